# SPDX-License-Identifier: Apache-2.0
"""Blocks of a binary network, and the chain of them; a block becomes one layer of the artifact."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.binarize import Binarizer
from xnorflow.train.layers import (
    BatchNorm,
    BinaryConv2d,
    BinaryLinear,
    Flatten,
    PixelInput,
    PReLU,
    Scale,
    binarize_gradient,
)
from xnorflow.train.weights import filter_scale

__all__ = ["BinaryNetwork", "Block"]


class Block(nn.Module):
    """Convolution or linear layer, then norm, PReLU and binarizer, with one max-pool.

    Parameters
    ----------
    linear : BinaryConv2d or BinaryLinear
        With signs, its float result is an integer accumulator times a power of two.
    norm : BatchNorm or Scale
        Of the same channels.
    binarizer : Binarizer or None
        None in the last block, which gives logits, and where activations stay real.
    prelu : PReLU or None
        Behind the norm, or before it.
    prelu_first : bool
        PReLU, then norm: S = PReLU(O), A = BatchNorm(S) (Tang, Hua, Wang 2017, algorithm 1).
    pool, pool_stride : int
        Side and step of the max-pool; side 1 is none, step 0 stands for the side.
    pool_first : bool
        Pool the sums rather than the activations. XNOR-Net's order B-A-C-P (section 3.2) is
        this: chained, its blocks pool between convolution and BatchNorm. False is C-B-A-P.
    magnitude : bool
        Give mean |I| over channels too, of what the binarizer sees: the next block's K.
    binary_gradient : bool
        Send signs of the gradient back through ``linear``.
    """

    def __init__(
        self,
        linear: BinaryConv2d | BinaryLinear,
        norm: BatchNorm | Scale,
        binarizer: Binarizer | None,
        *,
        prelu: PReLU | None = None,
        prelu_first: bool = False,
        pool: int = 1,
        pool_stride: int = 0,
        pool_first: bool = True,
        magnitude: bool = False,
        binary_gradient: bool = False,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.norm = norm
        self.prelu = prelu
        self.prelu_first = prelu_first
        self.binarizer = binarizer
        self.pool = pool
        self.pool_stride = pool_stride or pool
        self.pool_first = pool_first
        self.magnitude = magnitude
        self.binary_gradient = binary_gradient

    def scale(self) -> Tensor | None:
        """alpha of each filter, (O,), which its sums are multiplied by; None for none."""
        return filter_scale(self.linear.weight) if self.linear.kind == "scaled" else None

    def normalize(self, sums: Tensor) -> Tensor:
        """Everything between the (pooled) sums and the binarizer."""
        x: Tensor = sums
        alpha = self.scale()
        if alpha is not None:
            alpha = alpha[:, None, None] if x.dim() == 4 else alpha
            x = x * alpha.to(x.dtype)
        if self.prelu is not None and self.prelu_first:
            x = self.prelu(x)
        x = self.norm(x)
        if self.prelu is not None and not self.prelu_first:
            x = self.prelu(x)
        return x

    def forward(self, x: Tensor, magnitude: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Activations of activations; with mean |I| of each where the block is to give it.

        With ``magnitude``, (N, 1, H, W) or (N, 1), sums are multiplied by the scale K of it:
        I * W ~ (sign(I) * sign(W)) K alpha (XNOR-Net, equation 11).
        """
        x = self.linear(x)
        if self.binary_gradient and x.requires_grad:
            x = binarize_gradient(x)
        if magnitude is not None:
            x = x * self.linear.input_factor(magnitude)
        if self.pool > 1 and self.pool_first:
            x = F.max_pool2d(x, self.pool, self.pool_stride)
        real = self.normalize(x)
        x = real if self.binarizer is None else self.binarizer(real)
        if self.pool > 1 and not self.pool_first:
            x = F.max_pool2d(x, self.pool, self.pool_stride)
        return (x, real.abs().mean(1, keepdim=True)) if self.magnitude else x


class BinaryNetwork(nn.Module):
    """uint8 images (N, H, W, C) to logits (N, classes).

    Parameters
    ----------
    image_shape : (int, int, int)
        Height, width, channels.
    pixel_lanes : int
        Highest bits of a pixel that enter.
    blocks : sequence of Block
        A linear block after a map sees it flattened.
    average : bool
        Logits are means over the last block's map.
    """

    blocks: nn.ModuleList

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        pixel_lanes: int,
        blocks: Sequence[Block],
        average: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.input = PixelInput(pixel_lanes)
        self.flatten = Flatten()
        self.blocks = nn.ModuleList(blocks)
        self.average = average

    def named_blocks(self) -> dict[str, Block]:
        """Blocks by their layers' names in an artifact: conv1, conv2, fc3, ..."""
        found = {}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)  # for mypy: a ModuleList yields plain modules
            kind = "conv" if isinstance(block.linear, BinaryConv2d) else "fc"
            found[f"{kind}{index + 1}"] = block
        return found

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.input(images)
        magnitude: Tensor | None = None
        for block in self.named_blocks().values():
            if isinstance(block.linear, BinaryLinear) and x.dim() == 4:
                x = self.flatten(x)
            given = block(x, magnitude)
            x, magnitude = given if block.magnitude else (given, None)
        # In float64, as the epilogue averages.
        return x.double().mean((2, 3)).float() if self.average else x.flatten(1)

    @torch.inference_mode()
    def infer(self, images: Tensor, batch: int = 500) -> Tensor:
        """Logits in ``eval()``, in batches, whatever mode the network is in."""
        mode = self.training
        self.eval()
        device = next(self.parameters()).device
        logits = torch.cat([self(part.to(device)).float() for part in torch.split(images, batch)])
        self.train(mode)
        return logits
