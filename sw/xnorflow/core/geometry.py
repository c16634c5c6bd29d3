# SPDX-License-Identifier: Apache-2.0
"""The array's geometry: one value from which gateware, compiler, cycle model and driver derive."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

__all__ = ["Geometry"]

WORD_WIDTHS = (8, 16, 32, 64)
WEIGHT_BUS_BITS = 36
"""Bits a column that weights may load in one cycle: the width of one ECP5 block RAM port."""


@dataclass(frozen=True)
class Geometry:
    """Shape and memory sizes of one accelerator, written ``3x3x8x32``.

    Memory sizes may follow the shape: ``3x3x8x32,weight_depth=16384``.

    Parameters
    ----------
    streams : int
        Groups of rows, each fed by one activation bank a cycle (2..8).
    taps : int
        Rows in a group; they see the same word in the same cycle (1..8).
    columns : int
        Output channels computed at once (2..128).
    word_width : int
        Bits of an activation or weight word: 8, 16, 32 or 64.
    activation_depth : int
        Words in each of the ``streams`` activation banks.
    weight_depth : int
        Words of ``streams * taps * weight_beat`` bits in each column's weight bank.
    accumulator_depth : int
        Accumulators a column: output positions for which weights rest in one pass.
    threshold_depth : int
        Channel tiles a column can hold thresholds for, summed over the network's layers.
    layer_depth : int
        Layers a program may have.
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
    activation_depth: int = 4096
    weight_depth: int = 8192
    accumulator_depth: int = 1024
    threshold_depth: int = 256
    layer_depth: int = 16
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
        for name, low, high in (
            ("streams", 2, 8),
            ("taps", 1, 8),
            ("columns", 2, 128),
            ("activation_depth", 16, 1 << 20),
            ("weight_depth", 16, 1 << 20),
            ("accumulator_depth", 4, 1 << 16),
            ("threshold_depth", 2, 1 << 12),
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
    def xnors_per_cycle(self) -> int:
        """XNOR-and-count operations the array does in one cycle."""
        return self.rows * self.columns * self.word_width

    @property
    def sum_width(self) -> int:
        """Bits of a column's unsigned partial sum."""
        return (self.rows * self.word_width).bit_length()

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
        while beat > 1 and beat * self.rows > WEIGHT_BUS_BITS:
            beat //= 2
        return beat

    @property
    def weight_load_cycles(self) -> int:
        """Cycles, and weight bank words, that one pass's weights take."""
        return self.word_width // self.weight_beat

    # -- output words ------------------------------------------------------------------------

    @property
    def granule(self) -> int:
        """Channels that one write enable of an activation bank covers."""
        return math.gcd(self.columns, self.word_width)

    @property
    def accumulator_limit(self) -> int:
        """Largest magnitude that an accumulator may reach; one more still fits a threshold."""
        return (1 << (self.accumulator_width - 1)) - 2
