# SPDX-License-Identifier: Apache-2.0
"""Binary networks as a chain of blocks; a block becomes one layer of the artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.core.epilogue import AveragePool
from xnorflow.core.network import NetworkSpec
from xnorflow.train.binarize import Binarizer, ResidualBinarizer, Sign
from xnorflow.train.estimators import Estimator, clipped_identity
from xnorflow.train.layers import (
    BatchNorm,
    BinaryConv2d,
    BinaryLinear,
    Flatten,
    PixelInput,
    PReLU,
    Scale,
)

__all__ = ["BinaryNetwork", "Block", "Layer", "build", "layers_of"]


HEADS = ("norm", "scale")


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
        Of the convolution, in both directions.
    border : int or None
        What a padded position is: None contributes exactly 0, an integer is that code.
    pool, pool_stride : int
        Side of the max-pool, 1 for none, and its step; 0 stands for the side.
    pool_first : bool
        Pool before BatchNorm (conv, pool, norm, activation) or after the activation.
    lanes : int
        Bits of the activation: 1 is a sign, 2 and 3 are residual binarizations. Not used by the
        last layer, which gives logits.
    prelu : bool
        A PReLU between BatchNorm and activation.
    head : str
        What the last layer has behind its sums: ``"norm"`` is BatchNorm; ``"scale"`` one learned
        factor for all logits, from 0.001 on.
    average : bool
        The last layer's logits are means over its map.
    """

    channels: int
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pool_first: bool = True
    lanes: int = 1
    prelu: bool = False
    border: int | None = None
    pool_stride: int = 0
    head: str = "norm"
    average: bool = False

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"Layer: head must be one of {', '.join(HEADS)}, not {self.head!r}")


class Block(nn.Module):
    """Binary convolution or linear layer, BatchNorm, PReLU, binarizer, with one max-pool.

    Parameters
    ----------
    linear : BinaryConv2d or BinaryLinear
        Sums of signs; its float result is an integer accumulator times a power of two.
    norm : BatchNorm or Scale
        Of the same channels.
    binarizer : Binarizer or None
        None in the last block, which gives the normalised sums as logits.
    prelu : PReLU or None
        Between the two.
    pool, pool_stride : int
        Side and step of the max-pool; side 1 is none, step 0 stands for the side.
    pool_first : bool
        Pool the sums rather than the activations. XNOR-Net's order B-A-C-P (section 3.2) is
        this: chained, its blocks pool between convolution and BatchNorm. False is C-B-A-P.
    """

    def __init__(
        self,
        linear: BinaryConv2d | BinaryLinear,
        norm: BatchNorm | Scale,
        binarizer: Binarizer | None,
        *,
        prelu: PReLU | None = None,
        pool: int = 1,
        pool_stride: int = 0,
        pool_first: bool = True,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.norm = norm
        self.prelu = prelu
        self.binarizer = binarizer
        self.pool = pool
        self.pool_stride = pool_stride or pool
        self.pool_first = pool_first

    def normalize(self, sums: Tensor) -> Tensor:
        """Everything between the (pooled) sums and the binarizer."""
        x: Tensor = self.norm(sums)
        return x if self.prelu is None else self.prelu(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.pool > 1 and self.pool_first:
            x = F.max_pool2d(x, self.pool, self.pool_stride)
        x = self.normalize(x)
        if self.binarizer is not None:
            x = self.binarizer(x)
        if self.pool > 1 and not self.pool_first:
            x = F.max_pool2d(x, self.pool, self.pool_stride)
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

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.input(images)
        for block in self.blocks:
            assert isinstance(block, Block)  # for mypy: a ModuleList yields plain modules
            if isinstance(block.linear, BinaryLinear) and x.dim() == 4:
                x = self.flatten(x)
            x = block(x)
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


def layers_of(network: NetworkSpec) -> tuple[Layer, ...]:
    """The layers whose export has the network's structure; shape and pixels are its own."""
    average = any(isinstance(op, AveragePool) for op in network.epilogue)
    return tuple(
        Layer(
            channels=spec.out_channels,
            kernel=0 if spec.kind == "fc" else spec.kernel[0],
            stride=spec.stride,
            padding=spec.padding[0],
            border=spec.border,
            pool=spec.pool,
            pool_stride=spec.pool_stride,
            lanes=max(spec.out_lanes, 1),
            average=average and spec.out_lanes == 0,
        )
        for spec in network.layers
    )


def build(
    image_shape: tuple[int, int, int],
    pixel_lanes: int,
    layers: Sequence[Layer],
    estimator: Estimator = clipped_identity,
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
                channels,
                layer.channels,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                border=_border(layers, index, pixel_lanes),
            )
            height, width = (_side(size, layer) for size in (height, width))
            if height < 1 or width < 1:
                raise ValueError(f"build: nothing is left of the map after layer {index}: {layer}")
        channels = layer.channels
        last = index == len(layers) - 1
        blocks.append(
            Block(
                linear,
                Scale(channels) if last and layer.head == "scale" else BatchNorm(channels),
                None if last else _binarizer(layer, estimator),
                prelu=PReLU(channels) if layer.prelu else None,
                pool=layer.pool,
                pool_stride=layer.pool_stride,
                pool_first=layer.pool_first,
            )
        )
    return BinaryNetwork(image_shape, pixel_lanes, blocks, layers[-1].average)


def _side(size: int, layer: Layer) -> int:
    """Height or width behind a layer."""
    convolved = (size + 2 * layer.padding - layer.kernel) // layer.stride + 1
    return (convolved - layer.pool) // (layer.pool_stride or layer.pool) + 1


def _border(layers: Sequence[Layer], index: int, pixel_lanes: int) -> float:
    """The value of a padded position: only codes of pixels are the same in every network."""
    border = layers[index].border
    if border is None:
        return 0.0
    if index > 0:
        raise ValueError(f"build: layer {index} has border code {border}; only the first may")
    return (2 * border + 1 - (1 << pixel_lanes)) / (1 << pixel_lanes)


def _binarizer(layer: Layer, estimator: Estimator) -> Binarizer:
    if layer.lanes == 1:
        return Sign(estimator)
    return ResidualBinarizer(layer.lanes, estimator=estimator)
