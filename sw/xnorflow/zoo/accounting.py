# SPDX-License-Identifier: Apache-2.0
"""How large a network is and how much it computes, counted as the papers count.

**Parameters.** Everything a network must store: 1-bit weights (a weight of several bit-planes is as
many), weights in full precision, and 32-bit biases, PReLU slopes, scale factors alpha, thresholds
and the scale layer, the first and the last layer included (compact-BNN paper, Experiments).
BatchNorm is counted beside that: the paper leaves it out.

**Operations.** One multiply-accumulate (MAC) a weight and output position, zero padding included.
With m binarizations, or weights of several planes, there are as many times more 1-bit MACs.
FLOPs are full-precision MACs plus 1-bit MACs / 64 (pruning paper, section 4.3), plus one
multiplication an output for alpha, and one for K, where a layer has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xnorflow.core.layer import LayerSpec, Shape
from xnorflow.core.network import NetworkSpec
from xnorflow.zoo.architecture import Architecture, Convolution, Norm, walk

__all__ = ["PARALLEL", "Account", "LayerAccount", "account", "pruned_share", "speedup"]

PARALLEL = 64
"""1-bit operations that a processor does at once: XNOR-Net, section 4.1."""

_TRAINED = ("bias", "slopes", "scale")
"""32-bit parameters that the network in full precision has too."""


def speedup(channels: int, window: int) -> float:
    """Of a binary convolution over a real one: 64 c N_W / (c N_W + 64), XNOR-Net, section 4.1.

    Parameters
    ----------
    channels : int
        c, input channels.
    window : int
        N_W, kernel width times height.
    """
    work = channels * window
    return PARALLEL * work / (work + PARALLEL)


def pruned_share(whole: Architecture, pruned: Architecture) -> float:
    """PFR of the pruning paper, section 4: pruned filters over the binary layers' filters."""

    def filters(network: Architecture) -> int:
        return sum(
            layer.channels
            for layer, _ in walk(network)
            if isinstance(layer, Convolution) and layer.binary
        )

    return 1 - filters(pruned) / filters(whole)


@dataclass(frozen=True)
class LayerAccount:
    """One layer's share.

    Parameters
    ----------
    name : str
        The layer's name.
    in_shape, out_shape : (int, int, int)
        Height, width, channels; the output behind pooling.
    weights : int
        Weights.
    weight_bits : int
        Of each: its bit-planes, or 32.
    others : dict of str to int
        32-bit parameters by kind: ``bias``, ``slopes``, ``scale``, ``alpha``, ``thresholds``.
    norm : int
        BatchNorm's gains and shifts.
    macs : int
        Multiply-accumulates of one image, in whatever precision.
    pairs : int
        Pairs of an input's and a weight's bit-plane; 0 in full precision.
    scalings : int
        Multiplications of outputs by alpha and K.
    """

    name: str
    in_shape: Shape
    out_shape: Shape
    weights: int
    weight_bits: int
    others: dict[str, int]
    norm: int
    macs: int
    pairs: int
    scalings: int = 0

    @property
    def parameters_1bit(self) -> int:
        """Bits of the weights' planes."""
        return self.weights * self.weight_bits if self.pairs else 0

    @property
    def parameters_32bit(self) -> int:
        """Weights in full precision and all others, without BatchNorm's."""
        return sum(self.others.values()) + (0 if self.pairs else self.weights)

    @property
    def macs_1bit(self) -> int:
        """1-bit MACs, one a pair of bit-planes."""
        return self.macs * self.pairs

    @property
    def macs_32bit(self) -> int:
        """MACs in full precision."""
        return 0 if self.pairs else self.macs

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "in_shape": list(self.in_shape),
            "out_shape": list(self.out_shape),
            "parameters_1bit": self.parameters_1bit,
            "parameters_32bit": self.parameters_32bit,
            "parameters_norm": self.norm,
            "macs_1bit": self.macs_1bit,
            "macs_32bit": self.macs_32bit,
        }


@dataclass(frozen=True)
class Account:
    """A network's layers, and what they add up to."""

    name: str
    layers: tuple[LayerAccount, ...]

    @property
    def parameters_1bit(self) -> int:
        """1-bit weights, planes counted one by one."""
        return sum(layer.parameters_1bit for layer in self.layers)

    @property
    def parameters_32bit(self) -> int:
        """32-bit parameters, without BatchNorm's."""
        return sum(layer.parameters_32bit for layer in self.layers)

    @property
    def parameters_norm(self) -> int:
        """BatchNorm's gains and shifts."""
        return sum(layer.norm for layer in self.layers)

    @property
    def packed_bytes(self) -> int:
        """Everything stored, without BatchNorm; weights fill whole bytes."""
        return -(-self.parameters_1bit // 8) + 4 * self.parameters_32bit

    @property
    def memory_bits(self) -> int:
        """Everything stored, BatchNorm's gains and shifts included."""
        return self.parameters_1bit + 32 * (self.parameters_32bit + self.parameters_norm)

    @property
    def float_bytes(self) -> int:
        """The same network with 32 bits for every weight, bias, slope and scale.

        It has neither alpha nor thresholds; BatchNorm is not counted here either.
        """
        others = sum(layer.others.get(kind, 0) for layer in self.layers for kind in _TRAINED)
        return 4 * (sum(layer.weights for layer in self.layers) + others)

    @property
    def macs_1bit(self) -> int:
        """1-bit MACs of one image."""
        return sum(layer.macs_1bit for layer in self.layers)

    @property
    def macs_32bit(self) -> int:
        """Full-precision MACs of one image."""
        return sum(layer.macs_32bit for layer in self.layers)

    @property
    def flops(self) -> float:
        """Full-precision MACs, scalings, and 1-bit MACs / 64."""
        scalings = sum(layer.scalings for layer in self.layers)
        return self.macs_32bit + scalings + self.macs_1bit / PARALLEL

    @property
    def float_flops(self) -> int:
        """MACs of the same network in full precision."""
        return sum(layer.macs for layer in self.layers)


def account(network: Architecture | NetworkSpec) -> Account:
    """Count a description's or an artifact's network."""
    if isinstance(network, NetworkSpec):
        layers = [_count_spec(layer) for layer in network.layers]
        extra = sum(len(op.arrays) for op in network.epilogue) * network.layers[-1].out_channels
        layers[-1].others["epilogue"] = extra
    else:
        layers = [_count(layer, shape) for layer, shape in walk(network)]
        if network.scaled:
            layers[-1].others["scale"] = 1
    return Account(network.name, tuple(layers))


def _count(layer: Convolution | Norm, shape: Shape) -> LayerAccount:
    """A layer of a description; ``shape`` is its input's."""
    if isinstance(layer, Norm):
        return LayerAccount(layer.name, shape, shape, 0, 32, {}, 2 * shape[2], 0, 0)
    height, width, channels = layer.map_shape(shape)
    weights = layer.kernel**2 * shape[2] // layer.groups * channels
    others = {"bias": layer.bias, "slopes": layer.activation == "prelu", "alpha": layer.alpha}
    return LayerAccount(
        name=layer.name,
        in_shape=shape,
        out_shape=layer.out_shape(shape),
        weights=weights,
        weight_bits=1 if layer.binary else 32,
        others={kind: channels for kind, there in others.items() if there},
        norm=2 * (shape[2] if layer.binary else channels) * layer.norm,
        macs=weights * height * width,
        pairs=layer.lanes if layer.binary else 0,
        scalings=(layer.alpha + layer.input_scale) * height * width * channels,
    )


def _count_spec(layer: LayerSpec) -> LayerAccount:
    """A layer of an artifact: signs and thresholds."""
    weights = layer.reduction * layer.out_channels
    return LayerAccount(
        name=layer.name,
        in_shape=layer.in_shape,
        out_shape=layer.out_shape,
        weights=weights,
        weight_bits=layer.planes,
        others={"thresholds": layer.out_channels * layer.thresholds},
        norm=0,
        macs=weights * layer.map_shape[0] * layer.map_shape[1],
        pairs=layer.in_lanes * layer.planes,
    )
