# SPDX-License-Identifier: Apache-2.0
"""The program's binary form, shared by compiler and gateware: configuration packets and layer rows.

A packet is two header words and then ``count`` items of one or more 32-bit words, low word first:

    word 0   [31:28] target   [27:20] column   [19:0] count
    word 1   address of the first item
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry

__all__ = ["SIZE_BITS", "RowField", "Target", "item_bits", "pack_row", "packet", "row_fields"]

SIZE_BITS = 10
"""Bits of a map's or kernel's side, and of a number of channel words."""


class Target(IntEnum):
    """What a configuration packet writes."""

    LAYER = 1
    """Layer rows: one item a layer, fields of :func:`row_fields`, first field lowest."""
    SCALE = 2
    """Lane scales s_l * t_j."""
    WEIGHT = 3
    """A column's weight bank: ``weight_beat`` bits a row, row 0 lowest."""
    THRESHOLD = 4
    """A column's thresholds. Address: tile << max_lanes | node. Nodes form a heap: 1 is the
    middle threshold, 2k and 2k + 1 are the middles of the halves below and above node k. Node 1
    has one more bit, the highest: 1 where the channel pools by minimum."""
    CONTROL = 5
    """Block constants: item 0 is the number of layers, item 1 the most images in a block."""


def item_bits(geometry: Geometry, target: Target) -> int:
    """Bits of one item of a target."""
    return {
        Target.LAYER: sum(field.width for field in row_fields(geometry)),
        Target.SCALE: geometry.scale_width,
        Target.WEIGHT: geometry.rows * geometry.weight_beat,
        Target.THRESHOLD: geometry.accumulator_width + 1,
        Target.CONTROL: 32,
    }[target]


@dataclass(frozen=True)
class RowField:
    """One unsigned field of a layer row."""

    name: str
    width: int
    description: str


def row_fields(geometry: Geometry) -> tuple[RowField, ...]:
    """Fields of a layer row, lowest first.

    ``*_last`` is a count less one. A *line group* is ``streams`` consecutive map rows: they lie at
    the same address of different banks.
    """
    address = (geometry.activation_depth - 1).bit_length()
    row = (geometry.streams - 1).bit_length()
    weight = (geometry.weight_depth - 1).bit_length()
    tile = (geometry.threshold_depth - 1).bit_length()
    scale = (geometry.scale_depth - 1).bit_length()
    image = (geometry.accumulator_depth).bit_length()
    return tuple(
        RowField(*field)
        for field in (
            ("flat", 1, "the map is one position: images of a block lie side by side as its width"),
            ("raw", 1, "last layer: accumulators are read out, nothing is thresholded"),
            ("by_words", 1, "streams are channel words of one kernel line, not kernel lines"),
            ("border_enable", 1, "padded positions have a code instead of contributing 0"),
            ("border_bits", 8, "that code's bit in lane i, at bit i"),
            # where the input map lies and how it is walked
            ("in_base", address, "input map's first address"),
            ("start_address", address, "line group of the topmost, padded row; wraps around"),
            ("start_row", row, "topmost, padded row modulo streams"),
            ("padding_y", SIZE_BITS, "rows above the map"),
            ("padding_x", SIZE_BITS, "positions left of the map"),
            ("row_last", SIZE_BITS, "input map's height - 1"),
            ("column_last", SIZE_BITS, "input map's width - 1"),
            ("word_last", SIZE_BITS, "channel words of a position - 1"),
            ("tail", 7, "channels in the last word"),
            ("lane_last", 3, "activation lanes - 1"),
            ("lane_stride", address, "addresses from lane to lane"),
            ("word_stride", address, "addresses from channel word to channel word"),
            ("line_stride", address, "addresses from line group to line group"),
            ("image_stride", address, "addresses from image to image"),
            # the loops of a pass
            ("stride", 4, "convolution stride"),
            ("step_line", address, "whole line groups that a stride skips, in addresses"),
            ("step_row", row, "rows that it skips besides"),
            ("kernel_last", SIZE_BITS, "kernel height - 1"),
            ("ky_last", SIZE_BITS, "passes over kernel lines - 1"),
            ("kx_last", SIZE_BITS, "passes over kernel columns - 1"),
            ("cw_last", SIZE_BITS, "passes over channel words - 1"),
            ("cw_step", address, "addresses from pass to pass over channel words"),
            ("plane_last", 3, "weight planes - 1"),
            ("taps_last", 4, "taps used in the last pass over kernel columns"),
            ("beats", SIZE_BITS + 1, "beats of a segment - 1"),
            ("beats_tail", SIZE_BITS + 1, "beats of a segment - 1, last pass over kernel columns"),
            ("map_row_last", SIZE_BITS, "rows that are computed - 1"),
            ("map_width", SIZE_BITS, "positions in such a row"),
            ("repeat_last", 4, "times the final segment is streamed for the writer's sake - 1"),
            ("group", image, "images for which the weights of a pass rest"),
            ("weight_base", weight, "first word in the weight banks"),
            ("scale_base", scale, "first lane scale"),
            # what becomes of the sums
            ("tile_last", tile, "channel tiles - 1"),
            ("tile_base", tile, "first tile in the threshold memories"),
            ("channels_tail", 8, "channels in the last tile"),
            ("pool_last", 4, "side of the pooling window - 1"),
            ("out_base", address, "output map's first address"),
            ("out_row_last", SIZE_BITS, "output map's height - 1"),
            ("out_column_last", SIZE_BITS, "output map's width - 1"),
            ("out_word_last", SIZE_BITS, "channel words of an output position - 1"),
            ("out_lane_last", 2, "lanes of the output code - 1"),
            ("out_lane_stride", address, "as lane_stride, for the output map"),
            ("out_word_stride", address, "as word_stride, for the output map"),
            ("out_line_stride", address, "as line_stride, for the output map"),
            ("out_image_stride", address, "as image_stride, for the output map"),
        )
    )


def pack_row(geometry: Geometry, values: Mapping[str, int]) -> int:
    """A layer row as one integer.

    Raises
    ------
    ValueError
        If a field is missing, unknown, or too large for its width.
    """
    fields = row_fields(geometry)
    if set(values) != {field.name for field in fields}:
        wrong = sorted(set(values) ^ {field.name for field in fields})
        raise ValueError(f"Layer row: missing or unknown fields {wrong}")
    row = shift = 0
    for field in fields:
        value = values[field.name]
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"Layer row: {field.name} is {value}; it has {field.width} bits")
        row |= value << shift
        shift += field.width
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
    if isinstance(items, np.ndarray):
        for word in range(min(words, 2)):
            body[:, word] = (items.astype(np.uint64) >> np.uint64(32 * word)) & np.uint64(
                0xFFFFFFFF
            )
    else:
        for index, item in enumerate(items):
            body[index] = [(item >> (32 * word)) & 0xFFFFFFFF for word in range(words)]
    header = np.array([target << 28 | column << 20 | count, address], np.uint32)
    return np.concatenate([header, body.ravel()])
