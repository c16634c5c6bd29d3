# SPDX-License-Identifier: Apache-2.0
"""Structures between components: rows as the compiler packs them, fields wide enough."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.lib import data
from tests.gateware.helpers import SHAPES

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits, pack_row, row_fields, row_words
from xnorflow.gateware import layouts

LARGEST = (
    "8x8x128x64,activation_depth=1048576,weight_depth=1048576,accumulator_depth=65536,"
    "layer_depth=256,scale_depth=4096,pool_depth=1024,accumulator_width=32,scale_width=18,"
    "pixels=4,weight_bus=512"
)


def widths(layout: data.StructLayout) -> dict[str, int]:
    """Bits of each field."""
    return {name: field.width for name, field in layout}


@pytest.mark.parametrize("shape", [*SHAPES, LARGEST])
def test_a_packed_row_reads_back_field_by_field(shape: str) -> None:
    geometry = Geometry.parse(shape)
    rng = np.random.default_rng(220)
    layout = layouts.row_layout(geometry)
    for _ in range(20):
        values = {f.name: int(rng.integers(1 << f.width)) for f in row_fields(geometry)}
        row = layout.from_bits(pack_row(geometry, values))
        assert {name: int(row[name]) for name in values} == values
    assert layout.size <= row_words(geometry) * item_bits(geometry, Target.LAYER)


@pytest.mark.parametrize("shape", ["2x1x2x8", LARGEST])
def test_fields_hold_their_largest_values(shape: str) -> None:
    geometry = Geometry.parse(shape)
    bus = widths(layouts.bus_layout(geometry))
    segment = widths(layouts.segment_layout(geometry))
    token = widths(layouts.token_layout(geometry))
    load = widths(layouts.load_layout(geometry))
    largest = {
        "bus.column": (bus["column"], geometry.columns - 1),
        "bus.target": (bus["target"], max(Target)),
        "bus.address": (
            bus["address"],
            max(
                geometry.weight_depth,
                geometry.scale_depth,
                geometry.layer_depth * row_words(geometry),
            )
            - 1,
        ),
        "segment.address": (segment["address"], geometry.accumulator_depth - 1),
        "segment.count": (segment["count"], geometry.accumulator_depth - 1),
        "segment.channels": (segment["channels"], geometry.columns),
        "segment.weights": (segment["weights"], geometry.weight_depth - 1),
        "segment.record": (segment["record"], geometry.weight_depth - 1),
        "load.address": (load["address"], geometry.weight_depth - 1),
        "token.address": (token["address"], geometry.accumulator_depth - 1),
        "token.record_address": (token["record_address"], geometry.weight_depth - 1),
    }
    for name, (bits, value) in largest.items():
        assert value < 1 << bits, name
    for target in Target:
        assert item_bits(geometry, target) <= bus["data"], target
    assert token["scale"] == segment["scale"] == geometry.scale_width
    assert widths(layouts.write_layout(geometry))["data"] == (geometry.word_width * geometry.pixels)
    assert widths(layouts.code_layout(geometry))["code"] == geometry.max_lanes
