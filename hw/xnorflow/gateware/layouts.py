# SPDX-License-Identifier: Apache-2.0
"""Structures that travel between the components."""

from amaranth import signed
from amaranth.lib import data
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS, Target, item_bits, row_fields

__all__ = [
    "beat_layout",
    "bus_layout",
    "code_layout",
    "load_layout",
    "pass_layout",
    "row_layout",
    "segment_layout",
    "token_layout",
    "write_layout",
]


def row_layout(geometry: Geometry) -> data.StructLayout:
    """A layer row: the fields of :func:`xnorflow.core.program.row_fields`."""
    return data.StructLayout({field.name: field.width for field in row_fields(geometry)})


def bus_layout(geometry: Geometry) -> data.StructLayout:
    """One configuration write, as it passes the columns."""
    width = max(item_bits(geometry, target) for target in Target)
    return data.StructLayout(
        {
            "valid": 1,
            "target": 4,
            "column": 8,
            "address": 20,
            "data": width,
        }
    )


def load_layout(geometry: Geometry) -> data.StructLayout:
    """One cycle of a weight load."""
    return data.StructLayout(
        {
            "valid": 1,  # read the banks
            "shift": 1,  # row 0 takes what is read; row r takes what is read r cycles later
            "address": ceil_log2(geometry.weight_depth),
        }
    )


def token_layout(geometry: Geometry) -> data.StructLayout:
    """What a foot does with the sum that arrives in the same cycle."""
    return data.StructLayout(
        {
            "valid": 1,
            "address": ceil_log2(geometry.accumulator_depth),
            "first": 1,  # starts from 0 instead of the stored accumulator
            "last": 1,  # the accumulator is complete: threshold it
            "read": 1,  # read the accumulator out instead
            "record": 1,  # instead of all that: a word of the tile's thresholds
            "record_address": ceil_log2(geometry.weight_depth),
            "scale": geometry.scale_width,
        }
    )


def pass_layout(geometry: Geometry) -> data.StructLayout:
    """What a pass's window is; it holds from the pass's weight load on."""
    return data.StructLayout(
        {
            "active": geometry.rows,  # the row has a word
            "tails": geometry.rows,  # the word is a position's last
            "tail": 7,  # channels of a last word; in planes, of all words
            "planes": 1,  # rows hold bit-planes: ``active`` is about the window's words
            "border": 1,  # padded positions have a code instead of contributing 0
            "fill": 8,  # the border code's bit, lane by lane or plane by plane
        }
    )


def beat_layout(geometry: Geometry) -> data.StructLayout:
    """One cycle's window."""
    address = ceil_log2(geometry.activation_depth)
    return data.StructLayout(
        {
            "valid": 1,
            "lines": data.ArrayLayout(address, geometry.streams),  # of bank row b, not of line i
            "slots": data.ArrayLayout(address, geometry.taps),  # of bank column b
            "row": ceil_log2(geometry.streams),  # bank row of line 0
            "column": ceil_log2(geometry.taps),  # bank column of word 0
            "inside": geometry.rows,  # the word comes from the map, not from its border
            "lane": 3,
        }
    )


def segment_layout(geometry: Geometry) -> data.StructLayout:
    """One line of one lane, or one weight load, or one read-out of accumulators."""
    return data.StructLayout(
        {
            "load": 1,
            "read": 1,
            "end": 1,  # with read: the block's last words follow
            "lines": data.ArrayLayout(ceil_log2(geometry.activation_depth), geometry.streams),
            "row": ceil_log2(geometry.streams),
            "inside": geometry.streams,  # the line is inside the map
            "lane": 3,
            "word_column": ceil_log2(geometry.taps),  # what the channel word adds to the column
            "x": signed(SIZE_BITS + 2),  # first position
            "slot": ceil_log2(geometry.activation_depth),
            "column": ceil_log2(geometry.taps),
            "pass": pass_layout(geometry),  # with load
            "weights": ceil_log2(geometry.weight_depth),  # with load: first word
            "record": ceil_log2(geometry.weight_depth),  # with load: first word of thresholds
            "records": 1,  # with load: thresholds follow the weights
            "single": 1,  # a line or read-out of one cycle
            "count": SIZE_BITS + 7,  # outputs, cycles of a load, or positions to read; less one
            "address": ceil_log2(geometry.accumulator_depth),
            "first": 1,
            "last": 1,
            "scale": geometry.scale_width,
            "channels": 8,  # with read: channels of the tile
        }
    )


def code_layout(geometry: Geometry) -> data.StructLayout:
    """One column's code and its channel's pooling direction."""
    return data.StructLayout({"code": geometry.max_lanes, "pool_min": 1})


def write_layout(geometry: Geometry) -> data.StructLayout:
    """One cycle's write into one activation bank of every pixel stream."""
    granules = geometry.word_width // geometry.granule
    return data.StructLayout(
        {
            "enable": data.ArrayLayout(granules, geometry.pixels),
            "address": ceil_log2(geometry.activation_depth),
            "data": data.ArrayLayout(geometry.word_width, geometry.pixels),
        }
    )
