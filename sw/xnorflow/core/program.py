# SPDX-License-Identifier: Apache-2.0
"""The program's binary form, shared by compiler and gateware: configuration packets and layer rows.

A packet is two header words and then ``count`` items of one or more 32-bit words, low word first:

    word 0   [31:28] target   [27:20] column   [19:0] count
    word 1   address of the first item
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from xnorflow.core.geometry import Geometry

__all__ = [
    "ROW_WORD_BITS",
    "SIZE_BITS",
    "RowField",
    "Target",
    "Unroll",
    "item_bits",
    "pack_row",
    "packet",
    "row_fields",
    "row_words",
]

SIZE_BITS = 10
"""Bits of a map's or kernel's side, and of a number of channel words."""


ROW_WORD_BITS = 32
"""Bits of one word of the row memory."""


class Unroll(IntEnum):
    """What the window's rows hold: row i * taps + j is word j of line i."""

    KERNEL = 0
    """Kernel lines i and kernel columns j, of one channel word."""
    LINES = 1
    """Kernel lines i and channel words j, of one kernel column."""
    WORDS = 2
    """Channel words i * taps + j, of one kernel position."""


class Target(IntEnum):
    """What a configuration packet writes."""

    LAYER = 1
    """Row memory: a row is ``row_words`` items, its lowest bits first (:func:`row_fields`)."""
    SCALE = 2
    """Lane scales s_l * t_j."""
    WEIGHT = 3
    """A column's bank: words of weights (``weight_beat`` bits a row, row 0 lowest; row r's beats
    lie r words later than row 0's), then records of thresholds."""
    CONTROL = 4
    """Block constants: item 0 is the number of rows, item 1 the most images in a block."""


def item_bits(geometry: Geometry, target: Target) -> int:
    """Bits of one item of a target."""
    return {
        Target.LAYER: ROW_WORD_BITS,
        Target.SCALE: geometry.scale_width,
        Target.WEIGHT: geometry.rows * geometry.weight_beat,
        Target.CONTROL: 32,
    }[target]


_SIGNED = ("start_y", "start_x")


@dataclass(frozen=True)
class RowField:
    """One unsigned field of a layer row.

    Parameters
    ----------
    name : str
    width : int
        Bits; a geometry's limits may leave fewer, or none.
    description : str
    fixed : int or None
        The value that the field has in all rows: it takes no bits of a row.
    """

    name: str
    width: int
    description: str
    fixed: int | None = None

    @property
    def stored(self) -> int:
        """Bits of a row that the field takes."""
        return self.width if self.fixed is None else 0

    def limited(self, low: int, high: int) -> RowField:
        """The same field, with values from ``low`` to ``high`` only."""
        width = high.bit_length()
        if self.name in _SIGNED:  # two's complement: the highest bit is the sign
            width = min(self.width, width + 1)
        return replace(self, width=width, fixed=low if low == high else None)


def row_fields(geometry: Geometry) -> tuple[RowField, ...]:
    """Fields of a layer row, lowest first.

    ``*_last`` is a count less one. A *slot* is ``taps`` consecutive positions of a line, a *line
    group* ``streams`` consecutive lines: they lie at the same address of different banks. Images
    are counted in *units* of ``pixels`` images that are computed side by side. Addresses wrap.
    Fields that ``geometry.limits`` names are narrower, or fixed.
    """
    limits = {name: (low, high) for name, low, high in geometry.limits}
    return tuple(
        field.limited(*limits[field.name]) if field.name in limits else field
        for field in _all_fields(geometry)
    )


def _all_fields(geometry: Geometry) -> tuple[RowField, ...]:
    """The fields of any program."""
    address = (geometry.activation_depth - 1).bit_length()
    line = (geometry.streams - 1).bit_length()
    column = (geometry.taps - 1).bit_length()
    weight = (geometry.weight_depth - 1).bit_length()
    scale = (geometry.scale_depth - 1).bit_length()
    size = SIZE_BITS
    return tuple(
        RowField(*field)
        for field in (
            ("flat", 1, "the map is one position: units lie side by side as its width"),
            ("raw", 1, "last layer: accumulators are read out, nothing is thresholded"),
            ("unroll", 2, "what the window's rows hold: see Unroll"),
            ("planes", 1, "the rows hold bit-planes of pixels instead; lanes count groups of them"),
            ("from_input", 1, "the input map is a part of the block that the host sends"),
            ("frees_input", 1, "and no later row needs that part"),
            ("border_enable", 1, "padded positions have a code instead of contributing 0"),
            ("border_bits", 8, "that code's bit in lane or plane i, at bit i"),
            ("unit_first", 16, "first unit of the block that the row is for"),
            ("unit_last", 16, "units that it is for - 1; fewer at the block's end"),
            # where the input map lies and how it is walked
            ("in_base", address, "input map's first address"),
            ("start_line", address, "from there to the line group of the topmost line"),
            ("start_row", line, "topmost line modulo streams"),
            ("start_y", size + 1, "topmost line; negative above the map"),
            ("start_slot", address, "slot of the leftmost position; negative left of the map"),
            ("start_column", column, "leftmost position modulo taps"),
            ("start_x", size + 1, "leftmost position; negative left of the map"),
            ("row_last", size, "input map's height - 1"),
            ("column_last", size, "input map's width - 1"),
            ("word_last", size, "channel words of a position - 1"),
            ("tail", 7, "channels in the last word"),
            ("lane_last", 3, "activation lanes - 1"),
            ("lane_stride", address, "addresses from lane to lane"),
            ("word_stride", address, "addresses from channel word to channel word"),
            ("line_stride", address, "addresses from line group to line group"),
            ("image_stride", address, "addresses from unit to unit"),
            # the loops of a pass
            ("stride", 4, "convolution stride"),
            ("step_line", address, "whole line groups that a stride skips, in addresses"),
            ("step_row", line, "lines that it skips besides"),
            ("step_slot", 4, "whole slots that a stride skips"),
            ("step_column", column, "positions that it skips besides"),
            ("kernel_row_last", size, "kernel height - 1"),
            ("kernel_column_last", size, "kernel width - 1"),
            ("ky_last", size, "passes over kernel lines - 1"),
            ("kx_last", size, "passes over kernel columns - 1"),
            ("cw_last", size, "passes over channel words - 1"),
            ("cw_step", address, "addresses from pass to pass over channel words"),
            ("plane_last", 3, "weight planes - 1"),
            ("map_row_last", size, "lines that are computed - 1"),
            ("map_width_last", size, "positions in such a line - 1"),
            ("pace", 4, "cycles from result to result - 1, for the writer's sake"),
            ("shortest", 2, "fewest beats of a line of one lane - 1"),
            ("keep", 1, "accumulators are kept from pass to pass, not only from lane to lane"),
            ("ends", 1, "raw: the last lines of its units"),
            ("weight_base", weight, "first word in the weight banks"),
            ("record_base", weight, "first word of the thresholds in the weight banks"),
            ("scale_base", scale, "first lane scale"),
            # what becomes of the sums
            ("tile_last", size, "channel tiles - 1"),
            ("channels_tail", 8, "channels in the last tile"),
            ("pool_last", 4, "side of the pooling window - 1"),
            ("pool_overlap", 1, "neighbouring windows share a line"),
            ("out_flat", 1, "the output map is one position: units lie side by side as its width"),
            ("out_base", address, "output map's address of the row's first result"),
            ("out_start_row", line, "its line modulo streams"),
            ("out_row_last", size, "output lines - 1"),
            ("out_column_last", size, "output positions in a line - 1"),
            ("out_word_last", size, "channel words of an output position - 1"),
            ("out_lane_last", 2, "lanes of the output code - 1"),
            ("out_lane_stride", address, "as lane_stride, for the output map"),
            ("out_word_stride", address, "as word_stride, for the output map"),
            ("out_line_stride", address, "as line_stride, for the output map"),
            ("out_image_stride", address, "as image_stride, for the output map"),
            # the host's stream into the banks, from every row for the input
            ("chunk_last", 16, "units of the input that lie in the banks at once - 1"),
            ("chunk_double", 1, "two such parts lie in the banks: one is filled, one is used"),
            ("chunk_stride", address, "addresses from one part to the other"),
        )
    )


def row_words(geometry: Geometry) -> int:
    """Items of the row memory that one row takes."""
    return max(1, -(-sum(field.stored for field in row_fields(geometry)) // ROW_WORD_BITS))


def pack_row(geometry: Geometry, values: Mapping[str, int]) -> int:
    """A layer row as one integer.

    Raises
    ------
    ValueError
        If a field is missing, unknown, too large for its width, or outside the geometry's limits.
    """
    limits = {name: (low, high) for name, low, high in geometry.limits}
    fields = row_fields(geometry)
    if set(values) != {field.name for field in fields}:
        wrong = sorted(set(values) ^ {field.name for field in fields})
        raise ValueError(f"Layer row: missing or unknown fields {wrong}")
    row = shift = 0
    for field in fields:
        value = values[field.name]
        low, high = limits.get(field.name, (0, (1 << field.width) - 1))
        if not low <= value <= high and field.name in limits:
            raise ValueError(
                f"Layer row: {field.name} is {value}; this array is made for "
                + (f"{low} alone" if low == high else f"{low} to {high}")
            )
        if not low <= value <= high:
            raise ValueError(f"Layer row: {field.name} is {value}; it has {field.width} bits")
        row |= (value if field.stored else 0) << shift
        shift += field.stored
    return row


def packet(
    geometry: Geometry,
    target: Target,
    items: npt.NDArray[Any] | list[int],
    *,
    column: int = 0,
    address: int = 0,
) -> npt.NDArray[np.uint32]:
    """One configuration packet: ``items`` written from ``address`` on.

    ``items`` are unsigned and at most ``item_bits(geometry, target)`` wide: a list of Python
    integers, or an array of uint64.
    """
    words = -(-item_bits(geometry, target) // 32)
    count = len(items)
    body = np.zeros((count, words), np.uint32)
    if isinstance(items, np.ndarray) and items.dtype != object:
        for word in range(min(words, 2)):
            body[:, word] = (items.astype(np.uint64) >> np.uint64(32 * word)) & np.uint64(
                0xFFFFFFFF
            )
    else:
        for index, item in enumerate(items):
            body[index] = [(item >> (32 * word)) & 0xFFFFFFFF for word in range(words)]
    header = np.array([target << 28 | column << 20 | count, address], np.uint32)
    return np.concatenate([header, body.ravel()])
