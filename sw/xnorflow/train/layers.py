# SPDX-License-Identifier: Apache-2.0
"""Layers of a binary network. Maps are (N, C, H, W), vectors (N, C).

In ``eval()`` every layer is a fixed sequence of single, correctly rounded float32 operations, so
its result does not depend on batch size or memory layout; export evaluates these very layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.distributed import joint_mean, world_size
from xnorflow.train.weights import quantized

__all__ = [
    "BatchNorm",
    "BinaryConv2d",
    "BinaryLinear",
    "Flatten",
    "PReLU",
    "PixelInput",
    "Scale",
    "binarize_gradient",
    "box_filtered",
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
    """Convolution with what ``kind`` makes of its weights, without bias.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels.
    kernel_size, stride, padding : int
        In both directions.
    border : float
        Value of the padding.
    kind : str
        One of ``train.weights.KINDS``: signs, unless said otherwise.
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
        kind: str = "sign",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )
        self.border = border
        self.kind = kind
        _first_weights(self.weight, kind)

    def forward(self, input: Tensor) -> Tensor:
        weight, padding = quantized(self.weight, self.kind), self.padding
        if self.border:
            height, width = (int(size) for size in self.padding)
            input, padding = F.pad(input, (width, width, height, height), value=self.border), (0, 0)
        return F.conv2d(input, weight, None, self.stride, padding)

    def input_factor(self, magnitude: Tensor) -> Tensor:
        """K of A, (N, 1, H, W): see :func:`box_filtered`."""
        return box_filtered(magnitude, self)


def box_filtered(magnitude: Tensor, layer: nn.Conv2d) -> Tensor:
    """K = A * k, (N, 1, H', W'), of A = mean |I| over channels, (N, 1, H, W), for a convolution.

    k is the box filter of the kernel's size, each tap 1 / (w h). Source: XNOR-Net, section 3.2,
    before equation 11.
    """
    size, stride, padding = layer.kernel_size, layer.stride, layer.padding
    return F.avg_pool2d(magnitude, size, stride, padding)  # type: ignore[arg-type]


class BinaryLinear(nn.Linear):
    """Fully connected layer with what ``kind`` makes of its weights, without bias."""

    def __init__(self, in_features: int, out_features: int, kind: str = "sign") -> None:
        super().__init__(in_features, out_features, bias=False)
        self.kind = kind
        _first_weights(self.weight, kind)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, quantized(self.weight, self.kind))

    def input_factor(self, magnitude: Tensor) -> Tensor:
        """beta, (N, 1), the mean |I| of each image (XNOR-Net, equation 10)."""
        return magnitude.flatten(1).mean(1, keepdim=True)


def _first_weights(weight: Tensor, kind: str) -> None:
    """Glorot's, or all over the range that 8 bits cut into steps."""
    if kind == "8bit":
        nn.init.uniform_(weight, -1, 1)
    else:
        nn.init.xavier_uniform_(weight)


class _BinaryGradient(torch.autograd.Function):
    """x forward; backward sign(g) * max |g| of each image."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0]
        largest = gradient.abs().flatten(1).amax(1)
        return gradient.sign() * largest.view(-1, *[1] * (gradient.dim() - 1))


def binarize_gradient(x: Tensor) -> Tensor:
    """x itself; its gradient goes back as signs times its largest magnitude in each image.

    Source: XNOR-Net, "binary gradient": with the mean as the scale, the direction of the largest
    change would be lost. The paper does not say what becomes of 0, which most of a max-pool's
    gradients are; here it stays 0: as the largest magnitude it would drown the others.
    """
    result: Tensor = _BinaryGradient.apply(x)  # type: ignore[no-untyped-call]
    return result


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
        self._check_input_dim(input)
        if self.training:
            return super().forward(input) if world_size() == 1 else self._joint(input)
        scale, shift = self.folded()
        if input.dim() == 4:
            scale, shift = scale[:, None, None], shift[:, None, None]
        # Two operations, not one fused: the epilogue in numpy then gives the same bits.
        return input * scale + shift

    def _joint(self, input: Tensor) -> Tensor:
        """Training on the mean and variance of all processes' batches."""
        assert self.running_mean is not None and self.running_var is not None  # for mypy
        axes = (0, 2, 3) if input.dim() == 4 else (0,)
        shape = (1, -1, 1, 1) if input.dim() == 4 else (1, -1)
        x = input.float()
        mean = joint_mean(x.mean(axes))
        centred = x - mean.view(shape)
        variance = joint_mean(centred.square().mean(axes))
        count = input.numel() / input.shape[1] * world_size()
        momentum = 0.1 if self.momentum is None else self.momentum
        with torch.no_grad():
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / max(count - 1, 1), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight / torch.sqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


class PReLU(nn.PReLU):
    """x where x >= 0, else slope * x, a slope a channel.

    An array needs slopes >= 0 (a slope below makes a function that turns); ReLU is slope 0.
    Source: Tang, Hua, Wang 2017, "The scale factor": PReLU takes in the weights' scale.
    """

    def __init__(self, channels: int, init: float = 0.25, *, fixed: bool = False) -> None:
        super().__init__(channels, init)
        self.weight.requires_grad_(not fixed)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight.to(input.dtype))


class Scale(nn.Module):
    """One learned factor for all logits, after a binary last layer without BatchNorm.

    Sums of N signs reach N, where softmax is saturated; the factor starts at 0.001.
    Source: Tang, Hua, Wang 2017, "Improving the overall compression rate" and algorithm 1.
    """

    def __init__(self, channels: int, init: float = 0.001, *, fixed: bool = False) -> None:
        super().__init__()
        self.num_features = channels
        self.weight = nn.Parameter(torch.tensor(init), requires_grad=not fixed)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Scale and shift a channel, as BatchNorm's: (C,) each."""
        scale = self.weight.expand(self.num_features)
        return scale, torch.zeros_like(scale)

    def forward(self, input: Tensor) -> Tensor:
        return input * self.weight


@torch.no_grad()
def project(model: nn.Module, *, clip: bool = True, rising: bool = True) -> None:
    """After an optimiser step: hidden weights back into [-1, 1], PReLU slopes to >= 0.

    A hidden weight outside would get no gradient any more. Source: Clip of algorithm 1 in Tang,
    Hua, Wang 2017, as in BinaryNet (arXiv:1602.02830).

    Parameters
    ----------
    model : Module
        What was updated.
    clip : bool
        Whether to cut weights.
    rising : bool
        Whether to keep slopes >= 0.
    """
    for module in model.modules():
        if isinstance(module, BinaryConv2d | BinaryLinear):
            if clip and module.kind != "real":
                module.weight.clamp_(-1, 1)
        elif isinstance(module, PReLU) and rising:
            module.weight.clamp_(min=0)
