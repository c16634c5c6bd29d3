# SPDX-License-Identifier: Apache-2.0
"""Binary networks as a chain of blocks; a block becomes one layer of the artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.binarize import Binarizer, ResidualBinarizer, Sign
from xnorflow.train.layers import (
    BatchNorm,
    BinaryConv2d,
    BinaryLinear,
    Flatten,
    PixelInput,
    PReLU,
)

__all__ = ["BinaryNetwork", "Block", "Layer", "build"]


@dataclass(frozen=True)
class Layer:
    """What one block is.

    Parameters
    ----------
    channels : int
        Output channels.
    kernel : int
        Side of the convolution; 0 for a fully connected layer.
    stride, padding : int
        Of the convolution, in both directions; the border contributes 0.
    pool : int
        Side of the max-pool, 1 for none.
    pool_first : bool
        Pool before BatchNorm (conv, pool, norm, activation) or after the activation.
    lanes : int
        Bits of the activation: 1 is a sign, 2 and 3 are residual binarizations. Not used by the
        last layer, which gives logits.
    prelu : bool
        A PReLU between BatchNorm and activation.
    """

    channels: int
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pool_first: bool = True
    lanes: int = 1
    prelu: bool = False


class Block(nn.Module):
    """Binary convolution or linear layer, BatchNorm, PReLU, binarizer, with one max-pool.

    Parameters
    ----------
    linear : BinaryConv2d or BinaryLinear
        Sums of signs; its float result is an integer accumulator times a power of two.
    norm : BatchNorm
        Of the same channels.
    binarizer : Binarizer or None
        None in the last block, which gives the normalised sums as logits.
    prelu : PReLU or None
        Between the two.
    pool : int
        Side and stride of the max-pool, 1 for none.
    pool_first : bool
        Pool the sums rather than the activations.
    """

    def __init__(
        self,
        linear: BinaryConv2d | BinaryLinear,
        norm: BatchNorm,
        binarizer: Binarizer | None,
        *,
        prelu: PReLU | None = None,
        pool: int = 1,
        pool_first: bool = True,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.norm = norm
        self.prelu = prelu
        self.binarizer = binarizer
        self.pool = pool
        self.pool_first = pool_first

    def normalize(self, sums: Tensor) -> Tensor:
        """Everything between the (pooled) sums and the binarizer."""
        x: Tensor = self.norm(sums)
        return x if self.prelu is None else self.prelu(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.pool > 1 and self.pool_first:
            x = F.max_pool2d(x, self.pool)
        x = self.normalize(x)
        if self.binarizer is not None:
            x = self.binarizer(x)
        if self.pool > 1 and not self.pool_first:
            x = F.max_pool2d(x, self.pool)
        return x


class BinaryNetwork(nn.Module):
    """uint8 images (N, H, W, C) to logits (N, classes).

    Parameters
    ----------
    image_shape : (int, int, int)
        Height, width, channels.
    pixel_lanes : int
        Highest bits of a pixel that enter.
    blocks : sequence of Block
        Only the last has no binarizer. A linear block after a map sees it flattened.
    """

    blocks: nn.ModuleList

    def __init__(
        self, image_shape: tuple[int, int, int], pixel_lanes: int, blocks: Sequence[Block]
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.input = PixelInput(pixel_lanes)
        self.flatten = Flatten()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.input(images)
        for block in self.blocks:
            assert isinstance(block, Block)  # for mypy: a ModuleList yields plain modules
            if isinstance(block.linear, BinaryLinear) and x.dim() == 4:
                x = self.flatten(x)
            x = block(x)
        return x.flatten(1)

    @torch.inference_mode()
    def infer(self, images: Tensor, batch: int = 500) -> Tensor:
        """Logits in ``eval()``, in batches, whatever mode the network is in."""
        mode = self.training
        self.eval()
        logits = torch.cat([self(part) for part in torch.split(images, batch)])
        self.train(mode)
        return logits


def build(
    image_shape: tuple[int, int, int], pixel_lanes: int, layers: Sequence[Layer]
) -> BinaryNetwork:
    """A network with random weights from torch's default generator.

    Raises
    ------
    ValueError
        If there is no layer, a convolution after a fully connected layer, a pool behind one, or
        a kernel or pool larger than what is left of the map.
    """
    if not layers:
        raise ValueError("build: a network needs at least one layer")
    height, width, channels = image_shape
    blocks: list[Block] = []
    for index, layer in enumerate(layers):
        linear: BinaryConv2d | BinaryLinear
        if layer.kernel == 0:
            if layer.pool > 1:
                raise ValueError(f"build: layer {index} is fully connected and cannot pool")
            linear = BinaryLinear(height * width * channels, layer.channels)
            height = width = 1
        elif blocks and isinstance(blocks[-1].linear, BinaryLinear):
            raise ValueError(f"build: layer {index} is a convolution after a fully connected one")
        else:
            linear = BinaryConv2d(
                channels, layer.channels, layer.kernel, stride=layer.stride, padding=layer.padding
            )
            reach = 2 * layer.padding - layer.kernel
            height = ((height + reach) // layer.stride + 1) // layer.pool
            width = ((width + reach) // layer.stride + 1) // layer.pool
            if height < 1 or width < 1:
                raise ValueError(f"build: nothing is left of the map after layer {index}: {layer}")
        channels = layer.channels
        last = index == len(layers) - 1
        binarizer = Sign() if layer.lanes == 1 else ResidualBinarizer(layer.lanes)
        blocks.append(
            Block(
                linear,
                BatchNorm(channels),
                None if last else binarizer,
                prelu=PReLU(channels) if layer.prelu else None,
                pool=layer.pool,
                pool_first=layer.pool_first,
            )
        )
    return BinaryNetwork(image_shape, pixel_lanes, blocks)
