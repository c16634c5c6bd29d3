# SPDX-License-Identifier: Apache-2.0
"""Layers of a binary network. Maps are (N, C, H, W), vectors (N, C).

In ``eval()`` every layer is a fixed sequence of single, correctly rounded float32 operations, so
its result does not depend on batch size or memory layout; export evaluates these very layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.binarize import sign

__all__ = [
    "BatchNorm",
    "BinaryConv2d",
    "BinaryLinear",
    "Flatten",
    "PReLU",
    "PixelInput",
    "Scale",
    "project",
]


class PixelInput(nn.Module):
    """uint8 images (N, H, W, C) to values (N, C, H, W): the highest ``lanes`` bits of a pixel.

        value = (2 * (pixel >> (8 - lanes)) - (2^lanes - 1)) * unit,   unit = 2^-lanes

    The integer is what the hardware sums; ``unit`` brings it into (-1, 1) for training.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__()
        if not 1 <= lanes <= 8:
            raise ValueError(f"PixelInput: lanes must be from 1 to 8, not {lanes}")
        self.lanes = lanes
        self.unit = 2.0**-lanes

    def forward(self, images: Tensor) -> Tensor:
        codes = (images >> (8 - self.lanes)).permute(0, 3, 1, 2)
        return codes.float().mul(2).sub(2**self.lanes - 1).mul(self.unit)

    def extra_repr(self) -> str:
        return f"lanes={self.lanes}"


class Flatten(nn.Module):
    """(N, C, H, W) to (N, H * W * C): row by row, channel last, as an artifact counts inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class BinaryConv2d(nn.Conv2d):
    """Convolution with the signs of its weights, without bias. Padding contributes exactly 0.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels.
    kernel_size, stride, padding : int
        In both directions.
    border : float
        Value of the padding, where it is not 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        border: float = 0.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )
        self.border = border
        nn.init.xavier_uniform_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        weight, padding = sign(self.weight), self.padding
        if self.border:
            height, width = (int(size) for size in self.padding)
            input, padding = F.pad(input, (width, width, height, height), value=self.border), (0, 0)
        return F.conv2d(input, weight, None, self.stride, padding)


class BinaryLinear(nn.Linear):
    """Fully connected layer with the signs of its weights, without bias."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, sign(self.weight))


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of maps or vectors; in ``eval()`` it is x * scale + shift."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"BatchNorm: takes (N, C) or (N, C, H, W), not {tuple(input.shape)}")

    def folded(self) -> tuple[Tensor, Tensor]:
        """Scale and shift a channel, (C,) each: gamma / sqrt(var + eps), beta - mean * scale."""
        assert self.running_mean is not None and self.running_var is not None  # for mypy
        scale = self.weight / torch.sqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            return super().forward(input)
        self._check_input_dim(input)
        scale, shift = self.folded()
        if input.dim() == 4:
            scale, shift = scale[:, None, None], shift[:, None, None]
        # Two operations, not one fused: the epilogue in numpy then gives the same bits.
        return input * scale + shift


class PReLU(nn.PReLU):
    """x where x >= 0, else slope * x, a slope a channel, kept >= 0 so that it never falls."""

    def __init__(self, channels: int, init: float = 0.25) -> None:
        super().__init__(channels, init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight.to(input.dtype))


class Scale(nn.Module):
    """One learned factor for all logits, after a binary last layer without BatchNorm.

    Sums of N signs reach N, where softmax is saturated; the factor starts at 0.001.
    Source: Tang, Hua, Wang 2017, "Improving the overall compression rate" and algorithm 1.
    """

    def __init__(self, channels: int, init: float = 0.001) -> None:
        super().__init__()
        self.num_features = channels
        self.weight = nn.Parameter(torch.tensor(init))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Scale and shift a channel, as BatchNorm's: (C,) each."""
        scale = self.weight.expand(self.num_features)
        return scale, torch.zeros_like(scale)

    def forward(self, input: Tensor) -> Tensor:
        return input * self.weight


@torch.no_grad()
def project(model: nn.Module) -> None:
    """After an optimiser step: hidden weights back into [-1, 1], PReLU slopes to >= 0.

    A hidden weight outside would get no gradient any more (BinaryNet, arXiv:1602.02830,
    algorithm 1).
    """
    for module in model.modules():
        if isinstance(module, BinaryConv2d | BinaryLinear):
            module.weight.clamp_(-1, 1)
        elif isinstance(module, PReLU):
            module.weight.clamp_(min=0)
