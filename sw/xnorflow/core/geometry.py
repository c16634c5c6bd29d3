# SPDX-License-Identifier: Apache-2.0
"""The array's geometry: one value from which gateware, compiler, cycle model and driver derive."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

__all__ = ["Geometry"]

WORD_WIDTHS = (8, 16, 32, 64)
PIXEL_BITS = 8
"""Bits of an image's values."""
PIXEL_CHANNELS = 3
"""Most channels of an image whose bit-planes rest in the array's rows."""


@dataclass(frozen=True)
class Geometry:
    """Shape and memory sizes of one accelerator, written ``3x3x8x32``.

    Memory sizes may follow the shape: ``3x3x8x32,weight_depth=16384``.

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
        Bits of an unsigned lane scale s_l * t_j (8..18).

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

    def __post_init__(self) -> None:
        for field in fields(self):
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
            ("scale_width", 8, 18),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"Geometry: {name} must be from {low} to {high}, not {value}")

    @classmethod
    def parse(cls, text: str) -> Geometry:
        """The geometry written as ``streams x taps x columns x word_width[,name=value...]``."""
        shape, *options = text.replace(" ", "").split(",")
        parts = shape.lower().split("x")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise ValueError(
                f"Geometry {text!r}: write streams x taps x columns x word width, as in 3x3x8x32"
            )
        known = [field.name for field in fields(cls)][4:]
        extra: dict[str, int] = {}
        for option in options:
            name, _, value = option.partition("=")
            if name not in known or not value.isdecimal():
                raise ValueError(
                    f"Geometry {text!r}: {option!r} is not name=number with a name of "
                    f"{', '.join(known)}"
                )
            extra[name] = int(value)
        return cls(*(int(part) for part in parts), **extra)

    def __str__(self) -> str:
        text = f"{self.streams}x{self.taps}x{self.columns}x{self.word_width}"
        for field in fields(self)[4:]:
            value = getattr(self, field.name)
            if value != field.default:
                text += f",{field.name}={value}"
        return text

    def with_memory(self, **sizes: int) -> Geometry:
        """The same shape with other memory sizes."""
        return replace(self, **sizes)

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
