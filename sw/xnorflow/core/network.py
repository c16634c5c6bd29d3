# SPDX-License-Identifier: Apache-2.0
"""What a binary network is: a chain of layers and a float epilogue, validated as a whole.

Terms and equations are those of docs/numerics.md. Shapes are (height, width, channels).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from xnorflow.core.epilogue import AveragePool, EpilogueOp, op_from_json, op_to_json
from xnorflow.core.layer import LayerSpec, Shape, pixel_scales
from xnorflow.core.values import check_name, integers

__all__ = ["LayerSpec", "NetworkSpec", "Shape", "pixel_scales"]


@dataclass(frozen=True)
class NetworkSpec:
    """A chain of layers from uint8 images to logits.

    Parameters
    ----------
    name : str
        The network's name.
    image_shape : (int, int, int)
        Height, width, channels of a uint8 image. The first layer takes it as it is, or
        flattened to (1, 1, height * width * channels) in that order.
    layers : tuple of LayerSpec
        The first layer's ``in_scales`` are ``pixel_scales(lanes)``: pixels enter as their
        highest ``lanes`` bits. Only the last layer has ``out_lanes`` 0.
    epilogue : tuple of EpilogueOp
        Float operations that turn the last accumulators into logits (core/epilogue.py).
    classes : tuple of str
        Names of the logits, one each, or none at all.

    Raises
    ------
    TypeError
        If a value is of the wrong kind.
    ValueError
        If layers do not fit each other, the image or the classes; the message names the layer.
    """

    name: str
    image_shape: Shape
    layers: tuple[LayerSpec, ...]
    epilogue: tuple[EpilogueOp, ...] = ()
    classes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        check_name("network", self.name)
        shape = integers(f"network {self.name!r}", "image_shape", self.image_shape, 3)
        if min(shape) < 1:
            raise ValueError(f"network {self.name!r}: image_shape {shape} has an empty axis")
        object.__setattr__(self, "image_shape", shape)
        for what, kind in (("layers", LayerSpec), ("epilogue", EpilogueOp), ("classes", str)):
            values = getattr(self, what)
            if not isinstance(values, tuple | list) or not all(
                isinstance(value, kind) for value in values
            ):
                raise TypeError(f"network {self.name!r}: {what} holds a value of the wrong kind")
            object.__setattr__(self, what, tuple(values))
        if not self.layers:
            raise ValueError(f"network {self.name!r} has no layers")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ValueError(f"network {self.name!r}: layer names are not unique: {names}")
        self._check_input()
        for before, after in pairwise(self.layers):
            self._check_pair(before, after)
        if self.layers[-1].out_lanes != 0:
            raise ValueError(
                f"layer {names[-1]!r}: the last layer must give raw accumulators (out_lanes 0)"
            )
        if not all(name and name.isprintable() for name in self.classes):
            raise ValueError(f"network {self.name!r}: a class name is empty or not printable")
        if self.classes and len(self.classes) != self.logits:
            raise ValueError(
                f"network {self.name!r}: {len(self.classes)} class names for {self.logits} logits"
            )

    def _check_input(self) -> None:
        first = self.layers[0]
        height, width, channels = self.image_shape
        flat = (1, 1, height * width * channels)
        if first.in_shape not in (self.image_shape, flat):
            raise ValueError(
                f"layer {first.name!r}: in_shape {first.in_shape} is neither the image "
                f"{self.image_shape} nor the flattened image {flat}"
            )
        if first.in_scales != pixel_scales(first.in_lanes):
            raise ValueError(
                f"layer {first.name!r}: pixels enter with lane weights "
                f"{pixel_scales(first.in_lanes)}, not {first.in_scales}"
            )

    @staticmethod
    def _check_pair(before: LayerSpec, after: LayerSpec) -> None:
        if before.out_lanes == 0:
            raise ValueError(
                f"layer {before.name!r}: only the last layer may give raw accumulators "
                "(out_lanes 0)"
            )
        if after.in_shape != before.out_shape:
            raise ValueError(
                f"layer {after.name!r}: in_shape {after.in_shape} is not what layer "
                f"{before.name!r} gives: {before.out_shape}"
            )
        if after.in_lanes != before.out_lanes:
            raise ValueError(
                f"layer {after.name!r}: takes {after.in_lanes} lanes, but layer "
                f"{before.name!r} gives {before.out_lanes}"
            )

    @property
    def logits(self) -> int:
        """Numbers that an image ends as: one a channel and position, one a channel if averaged."""
        height, width, channels = self.layers[-1].out_shape
        averaged = any(isinstance(op, AveragePool) for op in self.epilogue)
        return channels if averaged else height * width * channels

    @property
    def input_lanes(self) -> int:
        """Highest bits of a pixel that enter the first layer."""
        return self.layers[0].in_lanes

    def tensors(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Data type and shape of every tensor of the network, the epilogue's included."""
        tensors: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        for layer in self.layers:
            tensors |= layer.tensors()
        channels = self.layers[-1].out_channels
        for index, op in enumerate(self.epilogue):
            for key in op.arrays:
                tensors[f"epilogue.{index}.{key}"] = (np.dtype(np.float32), (channels,))
        return tensors

    def to_json(self) -> dict[str, Any]:
        """The network as plain JSON values."""
        return {
            "name": self.name,
            "image_shape": list(self.image_shape),
            "layers": [layer.to_json() for layer in self.layers],
            "epilogue": [op_to_json(op) for op in self.epilogue],
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, data: Any) -> NetworkSpec:
        """The network that ``to_json`` wrote; ValueError or TypeError says what is wrong."""
        keys = {"name", "image_shape", "layers", "epilogue", "classes"}
        if not isinstance(data, dict) or set(data) != keys:
            raise ValueError(f"a network must be a JSON object with the keys {sorted(keys)}")
        for key in ("layers", "epilogue", "classes"):
            if not isinstance(data[key], list):
                raise TypeError(f"a network's {key} must be a JSON array, not {data[key]!r}")
        return cls(
            name=data["name"],
            image_shape=data["image_shape"],
            layers=tuple(LayerSpec.from_json(layer) for layer in data["layers"]),
            epilogue=tuple(op_from_json(op) for op in data["epilogue"]),
            classes=tuple(data["classes"]),
        )
