# SPDX-License-Identifier: Apache-2.0
"""How layers map to an array: passes, planes, the pace of results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorflow.compile.plan import LayerPlan
from xnorflow.core.geometry import Geometry
from xnorflow.core.layer import LayerSpec
from xnorflow.core.program import Unroll

PIXELS = tuple(1 << bit for bit in reversed(range(8)))


def conv(shape, out, kernel, **options):
    return LayerSpec("layer", shape, out, kernel=kernel, **options)


@pytest.mark.parametrize(
    ("kernel", "channels", "unroll", "passes"),
    [
        ((3, 3), 30, Unroll.KERNEL, 1),
        ((5, 5), 30, Unroll.KERNEL, 4),
        ((3, 1), 96, Unroll.LINES, 1),  # three words beside three lines
        ((3, 1), 30, Unroll.KERNEL, 1),
        ((1, 1), 288, Unroll.WORDS, 1),  # nine words
        ((1, 1), 300, Unroll.WORDS, 2),
        ((2, 2), 288, Unroll.WORDS, 4),
    ],
)
def test_the_window_holds_what_needs_fewest_passes(kernel, channels, unroll, passes):
    plan = LayerPlan(Geometry.parse("3x3x8x32"), conv((6, 6, channels), 3, kernel))
    assert (plan.unroll, plan.passes) == (unroll, passes)


@pytest.mark.parametrize(
    ("geometry", "options", "planes"),
    [
        ("3x3x8x32", {}, True),
        ("3x3x8x16", {}, False),  # a row cannot hold 27 bits
        ("2x1x8x16", {}, False),  # nor a word three pixels
        ("3x3x8x32", {"in_scales": (4, 2, 1)}, False),
        ("3x3x8x32", {"padding": (1, 1)}, False),  # exact zeros are no code
        ("3x3x8x32", {"padding": (1, 1), "border": 0}, True),
    ],
)
def test_rows_hold_planes_of_pixels_where_they_can(geometry, options, planes):
    spec = conv((6, 6, 3), 3, (3, 3), **({"in_scales": PIXELS} | options))
    assert LayerPlan(Geometry.parse(geometry), spec, first=True).planes is planes
    assert not LayerPlan(Geometry.parse(geometry), spec).planes  # only the host's pixels
    plan = LayerPlan(Geometry.parse(geometry), spec, first=True)
    assert plan.lanes == (1 if planes else len(spec.in_scales))


@given(
    st.integers(2, 24), st.sampled_from((8, 16)), st.integers(2, 3), st.integers(1, 3),
    st.integers(1, 60), st.integers(1, 3),
)  # fmt: skip
def test_writes_take_as_many_cycles_as_words_and_lanes_are_touched(
    columns, width, streams, taps, channels, lanes
):
    """Channel by channel: the words of a tile, ``write_words`` at once, ``streams`` lanes at once.

    A word's channels beyond the last one belong to it.
    """
    geometry = Geometry(streams, taps, columns, width)
    plan = LayerPlan(geometry, conv((2, 2, 8), channels, (1, 1), out_lanes=lanes))
    for tile in range(plan.tiles):
        covered = range(tile * columns, (tile + 1) * columns)
        words = {channel // width for channel in covered if channel // width * width < channels}
        steps = -(-len(words) // geometry.write_words) * -(-lanes // streams)
        assert plan.write_cycles(tile) == steps
        # A window's results come as its last position does.
        assert plan.pace * plan.spec.pool_stride >= steps


def test_maps_are_computed_only_where_pooling_looks():
    spec = conv((11, 11, 8), 4, (2, 2), pool=3, pool_stride=2)  # 10 x 10, of which 9 x 9 count
    plan = LayerPlan(Geometry.parse("2x2x4x8"), spec)
    assert spec.out_shape[:2] == (4, 4)
    assert (plan.map_width, plan.map_lines(4), plan.map_lines(1)) == (9, 9, 3)
    assert plan.accumulators == 9  # one pass: a line's are enough
    deep = LayerPlan(
        Geometry.parse("2x2x4x8"), conv((11, 11, 40), 4, (2, 2), pool=3, pool_stride=2)
    )
    assert deep.keep and deep.accumulators == 81
