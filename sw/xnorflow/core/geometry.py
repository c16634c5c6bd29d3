# SPDX-License-Identifier: Apache-2.0
"""The array's geometry: one value from which gateware, compiler, cycle model and driver derive."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from zlib import crc32

from xnorflow.core.program import Unroll, row_fields

__all__ = ["Geometry"]

WORD_WIDTHS = (8, 16, 32, 64)
PIXEL_BITS = 8
"""Bits of an image's values."""
PIXEL_CHANNELS = 3
"""Most channels of an image whose bit-planes rest in the array's rows."""

LIMITS: dict[str, dict[str, int]] = {
    "mlp": {
        "flat": 1,
        "unroll": int(Unroll.WORDS),
        **dict.fromkeys(
            (
                "planes", "border_enable", "border_bits", "unit_first", "start_line", "start_row",
                "start_y", "start_slot", "start_column", "start_x", "row_last", "lane_last",
                "kernel_row_last", "kernel_column_last", "ky_last", "kx_last", "plane_last",
                "map_row_last", "map_width_last", "pool_last", "pool_overlap", "out_start_row",
                "out_row_last", "out_column_last", "out_lane_last", "chunk_double", "chunk_stride",
            ),
            0,
        ),
    },
}  # fmt: skip
"""Limits of rows by name. ``mlp``: fully connected layers of one lane, nothing pooled, blocks that
lie in the banks at once."""


def _text(limits: Iterable[tuple[str, int, int]]) -> str:
    return "".join(
        f",{name}={low}" + ("" if low == high else f"..{high}") for name, low, high in limits
    )


@dataclass(frozen=True)
class Geometry:
    """Shape and memory sizes of one accelerator, written ``3x3x8x32``.

    Memory sizes may follow the shape, ``3x3x8x32,weight_depth=16384``, and then limits of the
    program rows' fields, ``flat=1,word_last=0..31``: such an array is smaller, and computes only
    networks whose rows keep to them. ``LIMITS`` has names for some, as in ``2x1x4x64,mlp``.

    Parameters
    ----------
    streams : int
        Lines of the window of words that is read in one cycle (2..8).
    taps : int
        Words of each of these lines (1..8). The array has a row for each word of the window.
    columns : int
        Output channels computed at once (2..128).
    word_width : int
        Bits of an activation or weight word: 8, 16, 32 or 64.
    pixels : int
        Images computed side by side: streams of words that share the resting weights; 1, 2 or 4.
    activation_depth : int
        Words in each of the ``streams * taps`` activation banks.
    weight_bus : int
        Most bits that a column's weights may load in one cycle (8..512). An ECP5 block RAM port
        has 36.
    weight_depth : int
        Words of ``streams * taps * weight_beat`` bits in each column's bank of weights and
        thresholds.
    accumulator_depth : int
        Accumulators a column: output positions for which weights rest in one pass.
    layer_depth : int
        Rows a program may have: a layer is one row for each part of the block it runs on.
    scale_depth : int
        Lane scales (activation lane x weight plane) a program may have.
    pool_depth : int
        Pooling windows that a map's row may have.
    max_lanes : int
        Widest activation code in bits, m (1..3).
    accumulator_width : int
        Bits of a signed accumulator and of a threshold (12..32).
    scale_width : int
        Bits of an unsigned lane scale s_l * t_j (1..18).
    popcount_levels : int
        Levels of the popcount between two registers: 1 for shorter paths, 2 for fewer flip-flops.
    limits : tuple of (str, int, int)
        Fields of a program row (core/program.py) with the least and the greatest value that they
        have, sorted by name; others have any value. Where both are the same, the field is fixed.

    Raises
    ------
    TypeError
        If a value is not an integer.
    ValueError
        If a value is outside its range; the message names it and the range.
    """

    streams: int
    taps: int
    columns: int
    word_width: int
    pixels: int = 1
    activation_depth: int = 1024
    weight_bus: int = 36
    weight_depth: int = 8192
    accumulator_depth: int = 1024
    layer_depth: int = 64
    scale_depth: int = 256
    pool_depth: int = 64
    max_lanes: int = 3
    accumulator_width: int = 24
    scale_width: int = 16
    popcount_levels: int = 2
    limits: tuple[tuple[str, int, int], ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self)[:-1]:
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Geometry: {field.name} must be an integer, not {value!r}")
        if self.word_width not in WORD_WIDTHS:
            raise ValueError(
                f"Geometry: word_width must be one of {WORD_WIDTHS}, not {self.word_width}"
            )
        if self.pixels not in (1, 2, 4):
            raise ValueError(f"Geometry: pixels must be 1, 2 or 4, not {self.pixels}")
        for name, low, high in (
            ("streams", 2, 8),
            ("taps", 1, 8),
            ("columns", 2, 128),
            ("activation_depth", 16, 1 << 20),
            ("weight_bus", 8, 512),
            ("weight_depth", 16, 1 << 20),
            ("accumulator_depth", 4, 1 << 16),
            ("layer_depth", 2, 256),
            ("scale_depth", 8, 4096),
            ("pool_depth", 2, 1024),
            ("max_lanes", 1, 3),
            ("accumulator_width", 12, 32),
            ("scale_width", 1, 18),
            ("popcount_levels", 1, 2),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"Geometry: {name} must be from {low} to {high}, not {value}")
        self._check_limits()

    def _check_limits(self) -> None:
        """Sort the limits; ValueError if one is of no field, or beyond its field."""
        limits = tuple(sorted(self.limits))
        object.__setattr__(self, "limits", ())
        widths = {field.name: field.width for field in row_fields(self)}
        object.__setattr__(self, "limits", limits)
        if len({name for name, _, _ in limits}) < len(limits):
            raise ValueError("Geometry: two limits of one field")
        for name, low, high in limits:
            if name not in widths:
                raise ValueError(f"Geometry: {name} is no field of a program row")
            if not 0 <= low <= high < 1 << widths[name]:
                raise ValueError(
                    f"Geometry: limits of {name} must rise, and lie between 0 and "
                    f"{(1 << widths[name]) - 1}, not {low} and {high}"
                )

    @classmethod
    def parse(cls, text: str) -> Geometry:
        """The geometry written as ``streams x taps x columns x word_width[,name=value...]``."""
        shape, *options = text.replace(" ", "").split(",")
        parts = shape.lower().split("x")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise ValueError(
                f"Geometry {text!r}: write streams x taps x columns x word width, as in 3x3x8x32"
            )
        known = [field.name for field in fields(cls)][4:-1]
        limitable = {field.name for field in row_fields(cls(2, 1, 2, 8))}
        extra: dict[str, Any] = {}
        limits = []
        for option in options:
            if option in LIMITS:
                limits += [(name, value, value) for name, value in LIMITS[option].items()]
                continue
            name, _, value = option.partition("=")
            low, _, high = value.partition("..")
            if name in limitable and low.isdecimal() and (high or low).isdecimal():
                limits.append((name, int(low), int(high or low)))
                continue
            if name not in known or not value.isdecimal():
                raise ValueError(
                    f"Geometry {text!r}: {option!r} is not name=number with a name of "
                    f"{', '.join(known)}"
                )
            extra[name] = int(value)
        streams, taps, columns, word_width = (int(part) for part in parts)
        return cls(streams, taps, columns, word_width, **extra, limits=tuple(limits))

    def __str__(self) -> str:
        text = f"{self.streams}x{self.taps}x{self.columns}x{self.word_width}"
        for field in fields(self)[4:-1]:
            value = getattr(self, field.name)
            if value != field.default:
                text += f",{field.name}={value}"
        left = dict.fromkeys(self.limits)
        for name, values in LIMITS.items():
            named = [(field, value, value) for field, value in values.items()]
            if set(named) <= left.keys():
                text += f",{name}"
                left = {limit: None for limit in left if limit not in named}
        return text + _text(left)

    @property
    def limits_text(self) -> str:
        """The limits as they end the geometry's text."""
        return _text(self.limits)

    @property
    def limits_hash(self) -> int:
        """CRC-32 of ``limits_text``, by which a device says what it is made for; 0 for anything."""
        return crc32(self.limits_text.encode())

    def with_memory(self, **sizes: int) -> Geometry:
        """The same shape with other memory sizes."""
        return replace(self, **dict[str, Any](sizes))

    def with_limits(self, limits: Mapping[str, int | tuple[int, int]]) -> Geometry:
        """The same array for rows whose fields have these values, or lie between two."""
        pairs = {
            name: value if isinstance(value, tuple) else (value, value)
            for name, value in limits.items()
        }
        return replace(self, limits=tuple((name, *pair) for name, pair in pairs.items()))

    # -- the array ---------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Processing elements in a column."""
        return self.streams * self.taps

    @property
    def banks(self) -> int:
        """Activation banks (of each pixel stream): one for each word of the window."""
        return self.streams * self.taps

    @property
    def xnors_per_cycle(self) -> int:
        """XNOR-and-count operations the array does in one cycle."""
        return self.rows * self.columns * self.word_width * self.pixels

    @property
    def planes_per_pass(self) -> int:
        """Bit-planes of pixels that the rows take at once; 0 where words are too narrow for it.

        Row r holds the window's bits of one plane, and the sum that falls into it doubles.
        """
        window = self.rows * PIXEL_CHANNELS
        fits = max(window, PIXEL_BITS * PIXEL_CHANNELS) <= self.word_width
        return min(self.rows, PIXEL_BITS) if fits else 0

    @property
    def popcount_cycles(self) -> int:
        """Cycles from a word at an element to its count."""
        levels = self.word_width.bit_length() - 2  # 3 bits, 7, 15, ...
        return -(-levels // self.popcount_levels)

    def doubles(self, row: int) -> bool:
        """Whether the sum that falls into a row can count twice."""
        return 1 <= row < self.planes_per_pass

    def count_bound(self, row: int) -> int:
        """Largest partial sum that leaves a row where none doubled."""
        return (row + 1) * self.word_width

    def sum_bound(self, row: int) -> int:
        """Largest partial sum that leaves a row."""
        planes = min(row + 1, self.planes_per_pass)
        window = self.rows * PIXEL_CHANNELS
        return max(self.count_bound(row), window * ((1 << planes) - 1))

    def sum_width(self, row: int = -1) -> int:
        """Bits of the unsigned partial sum that leaves a row; by default the last one."""
        return self.sum_bound(row % self.rows).bit_length()

    @property
    def columns_per_hop(self) -> int:
        """Neighbouring columns that share one copy of the words; the next copy is a cycle later."""
        return math.gcd(self.columns, 4)

    @property
    def hops(self) -> int:
        """Cycles, less one, that a word needs to cross the array."""
        return self.columns // self.columns_per_hop

    # -- weights -----------------------------------------------------------------------------

    @property
    def weight_beat(self) -> int:
        """Weight bits that every row of a column takes in one cycle: a power of two."""
        beat = self.word_width
        while beat > 1 and beat * self.rows > self.weight_bus:
            beat //= 2
        return beat

    @property
    def weight_load_cycles(self) -> int:
        """Cycles, and weight bank words, that one pass's weights take."""
        return self.word_width // self.weight_beat

    @property
    def record_bits(self) -> int:
        """Bits of a channel's thresholds, lowest first, and above them its pooling direction."""
        return ((1 << self.max_lanes) - 1) * self.accumulator_width + 1

    @property
    def record_words(self) -> int:
        """Weight bank words that such a record takes."""
        return -(-self.record_bits // (self.rows * self.weight_beat))

    # -- output words ------------------------------------------------------------------------

    @property
    def granule(self) -> int:
        """Channels that one write enable of an activation bank covers."""
        return math.gcd(self.columns, self.word_width)

    @property
    def write_words(self) -> int:
        """Channel words that the collector writes in one cycle, each with up to ``streams`` lanes.

        More than one only where tiles are whole words that lie in banks of different columns.
        """
        words, rest = divmod(self.columns, self.word_width)
        return words if rest == 0 and 1 <= words <= self.taps else 1

    @property
    def accumulator_limit(self) -> int:
        """Largest magnitude that an accumulator may reach; one more still fits a threshold."""
        return (1 << (self.accumulator_width - 1)) - 2
