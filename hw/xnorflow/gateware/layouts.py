# SPDX-License-Identifier: Apache-2.0
"""Structures that travel between the components."""

from amaranth.lib import data
from amaranth.utils import bits_for, ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS, Target, item_bits, row_fields

__all__ = [
    "beat_layout",
    "bus_layout",
    "code_layout",
    "load_layout",
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
    width = max(item_bits(geometry, t) for t in (Target.SCALE, Target.WEIGHT, Target.THRESHOLD))
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
    """One beat of a weight load; it crosses the array hop by hop."""
    return data.StructLayout(
        {
            "valid": 1,
            "address": ceil_log2(geometry.weight_depth),
            "taps": geometry.taps,  # which taps the pass uses
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
            "tile": ceil_log2(geometry.threshold_depth),
            "scale": geometry.scale_width,
        }
    )


def beat_layout(geometry: Geometry) -> data.StructLayout:
    """One cycle's reads for all streams."""
    streams = geometry.streams
    return data.StructLayout(
        {
            "addresses": data.ArrayLayout(ceil_log2(geometry.activation_depth), streams),
            "rotation": ceil_log2(streams),  # bank that stream 0 reads
            "mask": streams,  # the stream's word counts
            "inside": streams,  # the word comes from the map, not from its border
            "tails": streams,  # the word is a position's last
            "fill": 1,  # the border code's bit in this lane
        }
    )


def segment_layout(geometry: Geometry) -> data.StructLayout:
    """A line of beats with the same lane, or one weight load, or one read-out of accumulators."""
    streams = geometry.streams
    return data.StructLayout(
        {
            "load": 1,
            "read": 1,
            "end": 1,  # with read: the block's last words follow
            "addresses": data.ArrayLayout(ceil_log2(geometry.activation_depth), streams),
            "rotation": ceil_log2(streams),
            "active": streams,  # the stream has a kernel line or channel word
            "inside": streams,  # its row is inside the map
            "tails": streams,
            "fill": 1,
            "x": SIZE_BITS + 2,  # first position, two's complement
            "beats": SIZE_BITS + 1,  # less one
            "outputs": SIZE_BITS + 1,  # positions that the line gives
            "taps": geometry.taps,
            "weights": ceil_log2(geometry.weight_depth),  # load: first word
            "address": bits_for(geometry.accumulator_depth),  # first accumulator; read: count
            "first": 1,
            "last": 1,
            "repeat": 4,
            "tile": ceil_log2(geometry.threshold_depth),
            "scale": geometry.scale_width,
            "channels": 8,  # read: channels of the tile
        }
    )


def code_layout(geometry: Geometry) -> data.StructLayout:
    """One column's code and its channel's pooling direction."""
    return data.StructLayout({"code": geometry.max_lanes, "pool_min": 1})


def write_layout(geometry: Geometry) -> data.StructLayout:
    """One cycle's write into one activation bank."""
    return data.StructLayout(
        {
            "enable": geometry.word_width // geometry.granule,
            "address": ceil_log2(geometry.activation_depth),
            "data": geometry.word_width,
        }
    )
