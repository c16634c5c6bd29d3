# SPDX-License-Identifier: Apache-2.0
"""What a layer is: one validated specification that every consumer derives from.

Terms and equations are those of docs/numerics.md. Shapes are (height, width, channels).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from xnorflow.core.values import check_integer, check_name, integers

__all__ = ["LayerSpec", "Shape", "pixel_scales"]

Shape = tuple[int, int, int]

MAX_LANES = 3
MAX_ACCUMULATOR = (1 << 31) - 2
"""A threshold is an int32, and one that no accumulator reaches must exist."""


def pixel_scales(lanes: int) -> tuple[int, ...]:
    """Lane weights of a pixel cut to its ``lanes`` highest bits: (2^(lanes-1), ..., 2, 1)."""
    return tuple(1 << (lanes - 1 - lane) for lane in range(lanes))


def _check(condition: bool, name: str, message: str) -> None:
    if not condition:
        raise ValueError(f"layer {name!r}: {message}")


@dataclass(frozen=True)
class LayerSpec:
    """One binary convolution with its lanes, border, pooling and output code.

    A fully connected layer is a convolution whose kernel covers the whole map.

        acc = sum_l sum_j in_scales[l] * weight_scales[j] * (n - 2 * mismatches(g_j, h_l))

    Parameters
    ----------
    name : str
        Unique in its network; error messages use it. 1 to 64 letters, digits, ``_.-``; neither
        ``input`` nor ``epilogue``.
    in_shape : (int, int, int)
        Height, width, channels of the input map.
    out_channels : int
        Output channels.
    kernel : (int, int)
        Height and width in taps.
    stride : int
        Step in both directions.
    padding : (int, int)
        Positions added above and below, left and right.
    border : int or None
        What a padded position means: ``None`` contributes exactly 0; an integer is the
        activation code that every channel has there.
    in_scales : tuple of int
        Lane weights s_l of the input activation, falling, positive.
    weight_scales : tuple of int
        Plane weights t_j, falling, positive; ``(1,)`` for binary weights.
    out_lanes : int
        Bits m of the output code, 1..3; 0 for the last layer, which gives raw accumulators.
    pool : int
        Side of the windows of a max-pool on the codes; 1 for none. A ragged rest is dropped.
    pool_stride : int
        Step of those windows: ``pool`` (the default, also written 0), or ``pool - 1`` for windows
        that overlap by one row and column, as the 3x3 windows in steps of 2 of
        Network-in-Network.

    Raises
    ------
    TypeError
        If a value is of the wrong kind.
    ValueError
        If a value is outside its range or does not fit another; the message names the layer.
    """

    name: str
    in_shape: Shape
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    border: int | None = None
    in_scales: tuple[int, ...] = (1,)
    weight_scales: tuple[int, ...] = (1,)
    out_lanes: int = 1
    pool: int = 1
    pool_stride: int = 0

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.pool_stride == 0:
            object.__setattr__(self, "pool_stride", self.pool)
        self._check_window()
        self._check_lanes()
        self._check_map()

    def _check_kinds(self) -> None:
        check_name("layer", self.name)
        for what, length in (
            ("in_shape", 3),
            ("kernel", 2),
            ("padding", 2),
            ("in_scales", None),
            ("weight_scales", None),
        ):
            values = integers(f"layer {self.name!r}", what, getattr(self, what), length)
            object.__setattr__(self, what, values)
        for what in ("out_channels", "stride", "out_lanes", "pool", "pool_stride"):
            check_integer(f"layer {self.name!r}", what, getattr(self, what))
        if self.border is not None:
            check_integer(f"layer {self.name!r}", "border", self.border)

    def _check_window(self) -> None:
        name = self.name
        for what in ("out_channels", "stride", "pool", "pool_stride"):
            value = getattr(self, what)
            _check(value >= 1, name, f"{what} must be at least 1, not {value}")
        _check(
            self.pool - self.pool_stride in (0, 1),
            name,
            f"pool_stride {self.pool_stride} does not fit pool {self.pool}: windows lie side by "
            f"side (pool_stride = pool) or overlap by one (pool_stride = pool - 1)",
        )
        _check(min(self.in_shape) >= 1, name, f"in_shape {self.in_shape} has an empty axis")
        _check(min(self.kernel) >= 1, name, f"kernel {self.kernel} has an empty axis")
        _check(min(self.padding) >= 0, name, f"padding {self.padding} is negative")
        _check(
            self.padding[0] < self.kernel[0] and self.padding[1] < self.kernel[1],
            name,
            f"padding {self.padding} must be smaller than the kernel {self.kernel}",
        )

    def _check_lanes(self) -> None:
        name = self.name
        for what in ("in_scales", "weight_scales"):
            scales = getattr(self, what)
            falling = all(a >= b for a, b in pairwise(scales))
            _check(
                bool(scales) and falling and scales[-1] >= 1,
                name,
                f"{what} must be positive and falling, not {scales}",
            )
            _check(len(scales) <= 8, name, f"{what} has {len(scales)} lanes; 8 is the most")
        _check(
            0 <= self.out_lanes <= MAX_LANES,
            name,
            f"out_lanes must be from 0 to {MAX_LANES}, not {self.out_lanes}",
        )
        if self.border is not None:
            top = (1 << len(self.in_scales)) - 1
            _check(0 <= self.border <= top, name, f"border code {self.border} is not in 0..{top}")
        _check(
            self.accumulator_bound <= MAX_ACCUMULATOR,
            name,
            f"accumulators reach {self.accumulator_bound}, past 32 bits; use smaller lane weights",
        )

    def _check_map(self) -> None:
        name = self.name
        height, width = self.map_shape
        _check(
            height >= 1 and width >= 1,
            name,
            f"kernel {self.kernel} is larger than the padded map of {self.in_shape}",
        )
        _check(
            height >= self.pool and width >= self.pool,
            name,
            f"pool {self.pool} is larger than the map {height}x{width}",
        )
        _check(
            self.out_lanes > 0 or self.pool == 1,
            name,
            "a layer that gives raw accumulators cannot max-pool codes; pool before it",
        )

    @property
    def kind(self) -> str:
        """``"fc"`` where the kernel covers the whole map, else ``"conv"``."""
        whole = self.kernel == self.in_shape[:2] and self.padding == (0, 0)
        return "fc" if whole else "conv"

    @property
    def map_shape(self) -> tuple[int, int]:
        """Height and width of the convolution's map, before pooling."""
        height, width = (
            (size + 2 * pad - taps) // self.stride + 1
            for size, pad, taps in zip(self.in_shape[:2], self.padding, self.kernel, strict=True)
        )
        return height, width

    @property
    def out_shape(self) -> Shape:
        """Height, width, channels after pooling."""
        height, width = ((size - self.pool) // self.pool_stride + 1 for size in self.map_shape)
        return height, width, self.out_channels

    @property
    def pooled_shape(self) -> tuple[int, int]:
        """Height and width of that part of the map that some pooling window covers."""
        height, width = ((count - 1) * self.pool_stride + self.pool for count in self.out_shape[:2])
        return height, width

    @property
    def in_lanes(self) -> int:
        """Bits of the input code."""
        return len(self.in_scales)

    @property
    def planes(self) -> int:
        """Weight planes."""
        return len(self.weight_scales)

    @property
    def reduction(self) -> int:
        """Real inputs n of one output: kernel positions times input channels."""
        return self.kernel[0] * self.kernel[1] * self.in_shape[2]

    @property
    def accumulator_bound(self) -> int:
        """Largest magnitude that an accumulator can reach."""
        return self.reduction * sum(self.in_scales) * sum(self.weight_scales)

    @property
    def xnors(self) -> int:
        """XNOR-and-count operations on real inputs that one image needs.

        Map positions that no pooling window covers and a ``zero`` border do not count.
        """
        taps = 1  # real kernel positions, summed over all outputs
        for axis in range(2):
            size, kernel, pad = self.in_shape[axis], self.kernel[axis], self.padding[axis]
            starts = [output * self.stride - pad for output in range(self.pooled_shape[axis])]
            if self.border is None:
                taps *= sum(min(at + kernel, size) - max(at, 0) for at in starts)
            else:
                taps *= kernel * len(starts)
        return taps * self.in_shape[2] * self.out_channels * self.in_lanes * self.planes

    @property
    def thresholds(self) -> int:
        """Thresholds a channel: 2^m - 1, none for raw accumulators."""
        return (1 << self.out_lanes) - 1

    # -- names, types and shapes of the layer's tensors in an artifact -------------------------

    def tensors(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Data type and shape of every tensor that an artifact holds for this layer."""
        packed = (self.in_shape[2] + 7) // 8
        weights = (self.planes, self.out_channels, *self.kernel, packed)
        tensors: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            f"{self.name}.weights": (np.dtype(np.uint8), weights)
        }
        if self.out_lanes:
            shape = (self.out_channels, self.thresholds)
            tensors[f"{self.name}.thresholds"] = (np.dtype(np.int32), shape)
            tensors[f"{self.name}.pool_min"] = (np.dtype(np.uint8), (self.out_channels,))
        return tensors

    def to_json(self) -> dict[str, Any]:
        """The specification as plain JSON values; ``pool_stride`` only where windows overlap."""
        data = asdict(self)
        if self.pool_stride == self.pool:
            del data["pool_stride"]
        return data

    @classmethod
    def from_json(cls, data: Any) -> LayerSpec:
        """The specification that ``to_json`` wrote; ValueError names a missing or foreign key."""
        if not isinstance(data, dict):
            raise ValueError(f"a layer must be a JSON object, not {data!r}")
        known = set(cls.__dataclass_fields__)
        wrong = sorted(set(data) ^ known - ({"pool_stride"} - set(data)))
        if wrong:
            raise ValueError(f"layer {data.get('name')!r}: missing or unknown keys {wrong}")
        if data.get("pool_stride") == 0:
            raise ValueError(f"layer {data['name']!r}: pool_stride must be at least 1, not 0")
        return cls(**data)
