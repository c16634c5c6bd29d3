# SPDX-License-Identifier: Apache-2.0
"""Structures that travel between the components."""

from amaranth import Shape, signed, unsigned
from amaranth.lib import data
from amaranth.utils import bits_for, ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS, Target, item_bits, row_fields

__all__ = [
    "beat_layout",
    "bus_layout",
    "code_layout",
    "field_width",
    "fixed",
    "images_shape",
    "load_layout",
    "pass_layout",
    "row_layout",
    "segment_layout",
    "token_layout",
    "units_shape",
    "write_layout",
    "x_shape",
    "y_shape",
]


def row_layout(geometry: Geometry) -> data.StructLayout:
    """A layer row: the fields of :func:`xnorflow.core.program.row_fields`."""
    return data.StructLayout({field.name: field.width for field in row_fields(geometry)})


def fixed(geometry: Geometry, name: str) -> int | None:
    """The value of a row's field where the geometry's limits leave only one."""
    return next(field.fixed for field in row_fields(geometry) if field.name == name)


def field_width(geometry: Geometry, name: str) -> int:
    """Bits of a row's field."""
    return next(field.width for field in row_fields(geometry) if field.name == name)


def units_shape(geometry: Geometry) -> Shape:
    """Shape of a number of units that a row runs for."""
    width = max(field_width(geometry, name) for name in ("unit_first", "unit_last"))
    return unsigned(min(16, width + 1))


def images_shape(geometry: Geometry) -> Shape:
    """Shape of a number of images of a block."""
    return unsigned(min(16, units_shape(geometry).width + ceil_log2(geometry.pixels)))


def x_shape(geometry: Geometry) -> Shape:
    """Shape of a position in a line of the input map, its borders included."""
    names = ("column_last", "kernel_column_last", "start_x")
    return signed(min(SIZE_BITS, max(field_width(geometry, name) for name in names)) + 2)


def y_shape(geometry: Geometry) -> Shape:
    """Shape of a line of the input map, its borders included."""
    names = ("row_last", "kernel_row_last", "start_y")
    return signed(min(SIZE_BITS, max(field_width(geometry, name) for name in names)) + 2)


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
    load = geometry.weight_load_cycles + geometry.record_words + geometry.max_lanes  # or less
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
            "x": x_shape(geometry),  # first position
            "slot": ceil_log2(geometry.activation_depth),
            "column": ceil_log2(geometry.taps),
            "pass": pass_layout(geometry),  # with load
            "weights": ceil_log2(geometry.weight_depth),  # with load: first word
            "record": ceil_log2(geometry.weight_depth),  # with load: first word of thresholds
            "records": 1,  # with load: thresholds follow the weights
            "single": 1,  # a line or read-out of one cycle
            "count": max(
                ceil_log2(geometry.accumulator_depth), bits_for(load)
            ),  # outputs, cycles of a load, or positions to read; less one
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
