# SPDX-License-Identifier: Apache-2.0
"""Build an artifact from plain +-1 arrays and integer thresholds, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.artifact import Artifact
from xnorflow.core.epilogue import EpilogueOp
from xnorflow.core.network import LayerSpec, NetworkSpec, Shape, pixel_scales
from xnorflow.core.packing import pack_bits

__all__ = ["NetworkBuilder"]


def _thresholds(name: str, values: npt.NDArray[Any], out_channels: int) -> npt.NDArray[np.int32]:
    if values.shape not in ((out_channels, 1), (out_channels, 3), (out_channels, 7)):
        raise ValueError(
            f"layer {name!r}: thresholds must be ({out_channels}, 1, 3 or 7), not {values.shape}"
        )
    if values.dtype.kind not in "iu":
        raise TypeError(f"layer {name!r}: thresholds must be integers, not {values.dtype}")
    limits = np.iinfo(np.int32)
    if values.min() < limits.min or values.max() > limits.max:
        raise ValueError(f"layer {name!r}: thresholds must fit 32 bits")
    return values.astype(np.int32)


def _flags(name: str, values: npt.NDArray[Any] | None, count: int) -> npt.NDArray[np.uint8]:
    flags = np.zeros(count) if values is None else np.asarray(values)
    if flags.shape != (count,) or not np.isin(flags, (0, 1)).all():
        raise ValueError(f"layer {name!r}: pool_min must be ({count},) of 0 or 1")
    return flags.astype(np.uint8)


class NetworkBuilder:
    """Collects layers and makes an :class:`Artifact`.

        builder = NetworkBuilder("tiny", image_shape=(8, 8, 1), pixel_lanes=8)
        builder.conv(weights, thresholds=t, padding=(1, 1), pool=2)   # weights (O, kh, kw, I)
        builder.fc(weights)                                           # raw accumulators: the last
        builder.build().save("tiny.safetensors")

    Parameters
    ----------
    name : str
        The network's name.
    image_shape : (int, int, int)
        Height, width, channels of a uint8 image.
    pixel_lanes : int
        Highest bits of a pixel that enter, 1..8.
    flatten : bool
        The first layer sees the image as one position of height * width * channels channels.
    """

    def __init__(
        self, name: str, *, image_shape: Shape, pixel_lanes: int = 8, flatten: bool = False
    ) -> None:
        self.name = name
        self.image_shape = image_shape
        height, width, channels = image_shape
        self.shape: Shape = (1, 1, height * width * channels) if flatten else image_shape
        self.scales = pixel_scales(pixel_lanes)
        self.layers: list[LayerSpec] = []
        self.tensors: dict[str, npt.NDArray[Any]] = {}

    def conv(
        self,
        weights: npt.NDArray[Any],
        *,
        thresholds: npt.NDArray[Any] | None = None,
        pool_min: npt.NDArray[Any] | None = None,
        out_scales: tuple[int, ...] | None = None,
        weight_scales: tuple[int, ...] = (1,),
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        border: int | None = None,
        pool: int = 1,
        pool_stride: int = 0,
        name: str | None = None,
    ) -> NetworkBuilder:
        """Add a layer.

        Parameters
        ----------
        weights : ndarray
            -1 or +1: (out, height, width, in), or (planes, out, height, width, in).
        thresholds : ndarray or None
            (out, 2^m - 1) integers, rising; the code is how many of them acc reaches. None for
            the last layer, which gives raw accumulators.
        pool_min : ndarray or None
            (out,) 0 or 1: 1 where the channel pools by minimum.
        out_scales : tuple of int or None
            Lane weights of the output code; (2^(m-1), ..., 1) unless given.
        weight_scales, stride, padding, border, pool, pool_stride
            As in :class:`LayerSpec`.

        Raises
        ------
        TypeError
            If thresholds are not integers.
        ValueError
            If a weight is neither -1 nor +1, shapes do not fit, or a name is taken.
        """
        name = name or f"layer{len(self.layers)}"
        if any(layer.name == name for layer in self.layers):
            raise ValueError(f"layer {name!r}: the network has a layer of that name already")
        weights = np.asarray(weights)
        if weights.ndim == 4:
            weights = weights[None]
        if weights.ndim != 5 or not np.isin(weights, (-1, 1)).all():
            raise ValueError(
                f"layer {name!r}: weights must be -1 or +1, shaped (out, height, width, in) or "
                "(planes, out, height, width, in)"
            )
        planes, out_channels, height, width, channels = weights.shape
        if planes != len(weight_scales) or channels != self.shape[2]:
            raise ValueError(
                f"layer {name!r}: weights {weights.shape} need {len(weight_scales)} planes and "
                f"{self.shape[2]} input channels"
            )
        tensors: dict[str, npt.NDArray[Any]] = {}
        if thresholds is not None:
            tensors["thresholds"] = _thresholds(name, np.asarray(thresholds), out_channels)
            tensors["pool_min"] = _flags(name, pool_min, out_channels)
        elif pool_min is not None:
            raise ValueError(f"layer {name!r}: pool_min needs thresholds")
        lanes = tensors["thresholds"].shape[1].bit_length() if tensors else 0
        layer = LayerSpec(
            name=name,
            in_shape=self.shape,
            out_channels=out_channels,
            kernel=(height, width),
            stride=stride,
            padding=padding,
            border=border,
            in_scales=self.scales,
            weight_scales=weight_scales,
            out_lanes=lanes,
            pool=pool,
            pool_stride=pool_stride,
        )
        tensors["weights"] = pack_bits(weights > 0)
        self.tensors |= {f"{name}.{key}": tensor for key, tensor in tensors.items()}
        self.layers.append(layer)
        self.shape = layer.out_shape
        self.scales = out_scales or pixel_scales(lanes)
        return self

    def fc(self, weights: npt.NDArray[Any], **options: Any) -> NetworkBuilder:
        """Add a fully connected layer: weights (out, in) or (planes, out, in), in = h * w * c.

        Inputs are counted as the map lies: row by row, position by position, channel by channel.
        """
        weights = np.asarray(weights)
        inputs = math.prod(self.shape)
        if weights.ndim not in (2, 3) or weights.shape[-1] != inputs:
            name = options.get("name") or f"layer{len(self.layers)}"
            raise ValueError(
                f"layer {name!r}: weights must be (out, {inputs}) or (planes, out, {inputs}) for "
                f"a map of {self.shape}, not {weights.shape}"
            )
        return self.conv(weights.reshape(*weights.shape[:-1], *self.shape), **options)

    def build(
        self,
        *,
        epilogue: tuple[tuple[EpilogueOp, dict[str, npt.NDArray[Any]]], ...] = (),
        classes: tuple[str, ...] = (),
        provenance: dict[str, Any] | None = None,
    ) -> Artifact:
        """The artifact; ``epilogue`` pairs each operation with its (channels,) arrays."""
        tensors = dict(self.tensors)
        for index, (_, arrays) in enumerate(epilogue):
            for key, array in arrays.items():
                tensors[f"epilogue.{index}.{key}"] = np.asarray(array, np.float32)
        network = NetworkSpec(
            name=self.name,
            image_shape=self.image_shape,
            layers=tuple(self.layers),
            epilogue=tuple(op for op, _ in epilogue),
            classes=classes,
        )
        return Artifact(network, tensors, provenance or {})
