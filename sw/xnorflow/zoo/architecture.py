# SPDX-License-Identifier: Apache-2.0
"""What a network of the papers is: one description that training and accounting derive from.

A description says what is computed, not with which library: :mod:`xnorflow.train.architectures`
makes a torch module of it, :mod:`xnorflow.zoo.accounting` counts its parameters and operations.
Shapes are (height, width, channels).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from xnorflow.core.layer import Shape

__all__ = [
    "Activation",
    "Architecture",
    "AveragePool",
    "Convolution",
    "MaxPool",
    "Node",
    "Norm",
    "Residual",
    "Scale",
    "walk",
]

Activation = Literal["none", "relu", "prelu"]


@dataclass(frozen=True)
class MaxPool:
    """A max-pool; with ``ceil`` a last window may reach past the map, as Caffe's do."""

    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False

    def out_size(self, size: int) -> int:
        """Positions along one axis of ``size`` inputs."""
        reach = size + 2 * self.padding - self.kernel
        count = (-(-reach // self.stride) if self.ceil else reach // self.stride) + 1
        if self.ceil and (count - 1) * self.stride >= size + self.padding:
            count -= 1  # a window that begins past the map would hold nothing of it
        return count


@dataclass(frozen=True)
class Convolution:
    """A convolution with what belongs to it; a fully connected layer has a 1x1 map to cover.

    Binary: [BatchNorm,] sign, convolution, activation, pool: B-A-C-P, XNOR-Net, figure 3.
    In full precision: convolution, [BatchNorm,] activation, pool.

    Parameters
    ----------
    name : str
        Unique in its network.
    channels : int
        Filters.
    kernel, stride, padding : int
        In both directions; the border contributes 0.
    groups : int
        Groups that the channels fall into, each convolved by itself.
    binary : bool
        Signs of weights and inputs instead of real numbers.
    lanes : int
        Binarizations of a binary layer's input: m of the compact-BNN paper, equation 3.
    bias : bool
        A bias a filter.
    norm : bool
        A BatchNorm with gain and shift, of the input if binary, else of the output.
    activation : str
        Behind the convolution: ``"none"``, ``"relu"``, or ``"prelu"`` with a slope a channel.
    alpha : bool
        Scale of a binary filter, mean |W|: XNOR-Net, equation 6.
    input_scale : bool
        Scale of each position of a binary layer's input, K: XNOR-Net, equation 11.
    pool : MaxPool or None
        Behind the activation.
    """

    name: str
    channels: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    binary: bool = True
    lanes: int = 1
    bias: bool = False
    norm: bool = True
    activation: Activation = "none"
    alpha: bool = False
    input_scale: bool = False
    pool: MaxPool | None = None

    def __post_init__(self) -> None:
        if (self.alpha or self.input_scale or self.lanes > 1) and not self.binary:
            raise ValueError(
                f"layer {self.name!r}: alpha, input_scale and lanes belong to binary layers"
            )
        if self.channels < 1 or self.channels % self.groups:
            raise ValueError(
                f"layer {self.name!r}: {self.channels} channels do not fall into "
                f"{self.groups} groups"
            )

    def map_shape(self, shape: Shape) -> Shape:
        """Shape behind the convolution, before pooling.

        Raises
        ------
        ValueError
            If the kernel is larger than the padded map, or channels do not fall into the groups.
        """
        height, width, channels = shape
        if channels % self.groups:
            raise ValueError(
                f"layer {self.name!r}: {channels} input channels do not fall into "
                f"{self.groups} groups"
            )
        reach = 2 * self.padding - self.kernel
        if min(height, width) + reach < 0:
            raise ValueError(
                f"layer {self.name!r}: kernel {self.kernel} is larger than the padded map of "
                f"{shape}"
            )
        return (
            (height + reach) // self.stride + 1,
            (width + reach) // self.stride + 1,
            (self.channels),
        )

    def out_shape(self, shape: Shape) -> Shape:
        """Shape behind everything."""
        height, width, channels = self.map_shape(shape)
        if self.pool is None:
            return height, width, channels
        height, width = self.pool.out_size(height), self.pool.out_size(width)
        if min(height, width) < 1:
            raise ValueError(f"layer {self.name!r}: its pool is larger than its map")
        return height, width, channels


@dataclass(frozen=True)
class Residual:
    """body(x) + shortcut(x); without a shortcut layer, + x."""

    body: tuple[Convolution, ...]
    shortcut: Convolution | None = None


@dataclass(frozen=True)
class Norm:
    """BatchNorm with gain and shift, then ReLU: between binary layers and a last real one."""

    name: str


@dataclass(frozen=True)
class AveragePool:
    """The mean of a whole map, a channel each."""


@dataclass(frozen=True)
class Scale:
    """One learnt factor for all logits, 0.001 at first: compact-BNN paper, table 3."""


Node = Convolution | Residual | Norm | AveragePool | Scale


@dataclass(frozen=True)
class Architecture:
    """A network from real or uint8 images to logits.

    Parameters
    ----------
    name : str
        What ``xnorflow summary`` calls it.
    image_shape : (int, int, int)
        Height, width, channels.
    nodes : tuple of Node
        In order.
    source : str
        Where it is described.
    baseline : str
        The network whose size in full precision a paper compares it with; its own name, if empty.
    """

    name: str
    image_shape: Shape
    nodes: tuple[Node, ...]
    source: str
    baseline: str = ""

    def __post_init__(self) -> None:
        names = [layer.name for layer, _ in walk(self)]
        if len(set(names)) != len(names):
            raise ValueError(f"architecture {self.name!r}: layer names are not unique: {names}")

    @property
    def classes(self) -> int:
        """Logits."""
        layers = [layer for layer, _ in walk(self) if isinstance(layer, Convolution)]
        return layers[-1].channels

    @property
    def scaled(self) -> bool:
        """Whether its logits are scaled by a learnt factor."""
        return any(isinstance(node, Scale) for node in self.nodes)


def walk(architecture: Architecture) -> Iterator[tuple[Convolution | Norm, Shape]]:
    """Everything with parameters, shortcuts included, with the shape of its input.

    Raises
    ------
    ValueError
        If a layer does not fit its input, or a shortcut its body.
    """
    shape = architecture.image_shape
    for node in architecture.nodes:
        if isinstance(node, Convolution):
            yield node, shape
            shape = node.out_shape(shape)
        elif isinstance(node, Norm):
            yield node, shape
        elif isinstance(node, Residual):
            inner = shape
            for layer in node.body:
                yield layer, inner
                inner = layer.out_shape(inner)
            beside = shape
            if node.shortcut is not None:
                yield node.shortcut, shape
                beside = node.shortcut.out_shape(shape)
            if beside != inner:
                raise ValueError(
                    f"layer {node.body[-1].name!r}: gives {inner}, but its shortcut {beside}"
                )
            shape = inner
        elif isinstance(node, AveragePool):
            shape = (1, 1, shape[2])
