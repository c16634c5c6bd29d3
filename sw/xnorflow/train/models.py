# SPDX-License-Identifier: Apache-2.0
"""What a binary network's layers are, and the network of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xnorflow.core.epilogue import AveragePool
from xnorflow.core.network import NetworkSpec
from xnorflow.train.binarize import Binarizer, ResidualBinarizer, Sign
from xnorflow.train.blocks import BinaryNetwork, Block
from xnorflow.train.estimators import Estimator, clipped_identity
from xnorflow.train.layers import BatchNorm, BinaryConv2d, BinaryLinear, PReLU, Scale
from xnorflow.train.uniform import DoReFa, Uniform
from xnorflow.train.weights import KINDS

__all__ = ["Layer", "build", "layers_of"]

_CHOICES = {
    "head": ("norm", "scale", "raw"),
    "weights": KINDS,
    "activation": ("binary", "uniform", "dorefa", "real"),
}


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
    pool : int
        Side of the max-pool, 1 for none.
    pool_first : bool
        Pool before BatchNorm (conv, pool, norm, activation: XNOR-Net's B-A-C-P) or after the
        activation (C-B-A-P).
    lanes : int
        Bits of the activation. Not used by the last layer, which gives logits.
    prelu : bool
        A PReLU between BatchNorm and activation.
    border : int or None
        What a padded position is: None contributes exactly 0, an integer is that code.
    pool_stride : int
        Step of the max-pool; 0 stands for its side.
    head : str
        What the last layer has behind its sums: ``"norm"`` is BatchNorm; ``"scale"`` one learned
        factor for all logits, from 0.001 on; ``"raw"`` nothing.
    average : bool
        The last layer's logits are means over its map.
    weights : str
        ``"sign"``, ``"scaled"`` (alpha a filter), ``"8bit"`` or ``"real"``: ``train.weights``.
    activation : str
        ``"binary"``: a sign, or residual lanes (Tang, Hua, Wang 2017, eq. 3); ``"uniform"``:
        XNOR-Net's q_k; ``"dorefa"``: DoReFa's, from 0 to 1; ``"real"``: none.
    relu : bool
        A ReLU in PReLU's place.
    prelu_first : bool
        PReLU (or ReLU) before BatchNorm instead of behind it.
    input_scale : bool
        Multiply sums by K, the mean magnitude of the activations under the kernel, before they
        were binarized (XNOR-Net, equation 11).
    binary_gradient : bool
        Send only signs of the gradient back through the layer's sums (XNOR-Net).
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
    weights: str = "sign"
    activation: str = "binary"
    relu: bool = False
    prelu_first: bool = False
    input_scale: bool = False
    binary_gradient: bool = False

    def __post_init__(self) -> None:
        for what, known in _CHOICES.items():
            if getattr(self, what) not in known:
                raise ValueError(
                    f"Layer: {what} must be one of {', '.join(known)}, not {getattr(self, what)!r}"
                )


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
            weights="8bit" if spec.planes > 1 else "sign",
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
        If there is no layer, a convolution after a fully connected layer, a pool behind one, a
        kernel or pool larger than what is left of the map, or a border code or K in a layer that
        cannot have one.
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
            linear = BinaryLinear(height * width * channels, layer.channels, layer.weights)
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
                kind=layer.weights,
            )
            height, width = (_side(size, layer) for size in (height, width))
            if height < 1 or width < 1:
                raise ValueError(f"build: nothing is left of the map after layer {index}: {layer}")
        channels = layer.channels
        last = index == len(layers) - 1
        blocks.append(
            Block(
                linear,
                _norm(layer, last),
                None if last else _binarizer(layer, estimator),
                prelu=_prelu(layer),
                prelu_first=layer.prelu_first,
                pool=layer.pool,
                pool_stride=layer.pool_stride,
                pool_first=layer.pool_first,
                magnitude=_gives_magnitude(layers, index),
                binary_gradient=layer.binary_gradient,
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


def _norm(layer: Layer, last: bool) -> BatchNorm | Scale:
    if not last or layer.head == "norm":
        return BatchNorm(layer.channels)
    if layer.head == "scale":
        return Scale(layer.channels)
    return Scale(layer.channels, 1.0, fixed=True)


def _prelu(layer: Layer) -> PReLU | None:
    if layer.relu:
        return PReLU(layer.channels, 0.0, fixed=True)
    return PReLU(layer.channels) if layer.prelu else None


def _gives_magnitude(layers: Sequence[Layer], index: int) -> bool:
    """Whether the layer behind wants K; the activations that it sees must not be pooled ones."""
    if index == 0 and layers[0].input_scale:
        raise ValueError("build: layer 0 sees pixels, whose magnitude input_scale is not for")
    wanted = index + 1 < len(layers) and layers[index + 1].input_scale
    layer = layers[index]
    if wanted and layer.pool > 1 and not layer.pool_first:
        raise ValueError(
            f"build: layer {index + 1} has input_scale, but layer {index} pools its activations; "
            "pool its sums (pool_first)"
        )
    return wanted


def _binarizer(layer: Layer, estimator: Estimator) -> Binarizer | None:
    if layer.activation == "real":
        return None
    if layer.activation == "uniform":
        return Uniform(layer.lanes)
    if layer.activation == "dorefa":
        return DoReFa(layer.lanes)
    if layer.lanes == 1:
        return Sign(estimator)
    return ResidualBinarizer(layer.lanes, estimator=estimator)
