# SPDX-License-Identifier: Apache-2.0
"""Rows, weight words and threshold heaps against what the hardware does with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorflow.compile.fit import allocate
from xnorflow.compile.lower import scale_items, threshold_items, weight_items
from xnorflow.compile.plan import LayerPlan
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, pack_row, packet, row_fields


def plan_of(geometry: str, weights: np.ndarray, lanes: int = 1, **options: object) -> LayerPlan:
    """The plan of a first layer with these weights (planes, out, height, width, in)."""
    shape = (6, 7, weights.shape[-1])
    builder = NetworkBuilder("n", image_shape=shape, pixel_lanes=2)
    thresholds = np.zeros((weights.shape[1], (1 << lanes) - 1), int)
    scales = tuple(range(weights.shape[0], 0, -1))
    builder.conv(weights, thresholds=thresholds, weight_scales=scales, **options)
    builder.fc(np.ones((1, int(np.prod(builder.shape)))))
    return allocate(builder.build().network, Geometry.parse(geometry), 4)[0]


def search(heap: np.ndarray, value: int, lanes: int, width: int) -> int:
    """What a threshold unit does with a heap."""
    code = 0
    for level in range(lanes):
        node = int(heap[(1 << level) + code]) & ((1 << width) - 1)
        node -= (node >> (width - 1)) << width
        code = code << 1 | (value >= node)
    return code


@given(
    lanes=st.integers(1, 3),
    data=st.data(),
    value=st.integers(-300, 300),
)
def test_heap_search_counts_reached_thresholds(lanes, data, value):
    plan = plan_of("2x1x3x8", np.ones((1, 4, 3, 3, 2)), lanes)
    count = (1 << lanes) - 1
    rows = st.lists(st.integers(-300, 300) | st.just(2**31 - 1), min_size=count, max_size=count)
    thresholds = np.array(
        [sorted(data.draw(rows)) for _ in range(plan.spec.out_channels)], np.int64
    )
    items = threshold_items(plan, thresholds, np.array([0, 1, 0, 1]))
    heaps = items.reshape(3, plan.tiles, 8)
    width = plan.geometry.accumulator_width
    for channel in range(4):
        heap = heaps[channel % 3, channel // 3]
        assert search(heap, value, lanes, width) == (value >= thresholds[channel]).sum()
        assert int(heap[1]) >> width == channel % 2  # pool_min
    missing = heaps[1, 1]  # column 1 of tile 1 is no channel
    assert search(missing, plan.geometry.accumulator_limit, lanes, width) == 0


@pytest.mark.parametrize("geometry", ["2x1x2x8", "3x3x4x16", "3x2x5x32", "8x8x2x8"])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (5, 2)])
def test_weight_beats_fill_every_row(geometry, kernel):
    """Shift the beats of every load as the elements do, and find each weight where it belongs."""
    rng = np.random.default_rng(7)
    planes, channels, inputs = 2, 5, 19
    bits = rng.integers(0, 2, (planes, channels, *kernel, inputs), dtype=np.uint8)
    plan = plan_of(geometry, bits * 2.0 - 1)
    g = plan.geometry
    items = weight_items(plan, bits)
    assert items.shape == (g.columns, plan.weight_words)
    loads = items.reshape(g.columns, plan.tiles, planes, *plan.passes_shape, g.weight_load_cycles)
    seen = np.zeros_like(bits)
    for column, tile, plane, ky, kx, cw in np.ndindex(loads.shape[:-1]):
        rows = [0] * g.rows
        for beat in loads[column, tile, plane, ky, kx, cw]:
            for row in range(g.rows):
                part = int(beat) >> (row * g.weight_beat) & ((1 << g.weight_beat) - 1)
                rows[row] = part << (g.word_width - g.weight_beat) | rows[row] >> g.weight_beat
        for row, word in enumerate(rows):
            stream, tap = divmod(row, g.taps)
            y = ky if plan.by_words else ky * g.streams + stream
            channel_word = cw * g.streams + stream if plan.by_words else cw
            where = (plane, tile * g.columns + column, y, kx * g.taps + tap)
            for bit in range(g.word_width):
                index = (*where, channel_word * g.word_width + bit)
                inside = all(i < size for i, size in zip(index, bits.shape, strict=True))
                assert (word >> bit & 1) == (bits[index] if inside else 0)
                if inside:
                    seen[index] += 1
    assert (seen == 1).all()


def test_streams_are_channel_words_where_that_needs_fewer_passes():
    pointwise = plan_of("3x1x2x8", np.ones((1, 2, 1, 1, 30)))
    assert pointwise.by_words and pointwise.passes == 2  # 4 words over 3 streams
    square = plan_of("3x1x2x8", np.ones((1, 2, 3, 3, 8)))
    assert not square.by_words and square.passes == 3  # 3 kernel columns, a line a stream


def test_scales_are_products_plane_by_plane():
    plan = plan_of("2x1x2x8", np.ones((2, 1, 1, 1, 1)))
    assert scale_items(plan) == [4, 2, 2, 1]  # planes 2, 1; lanes 2, 1


def test_row_refuses_what_does_not_fit():
    geometry = Geometry.parse("2x1x2x8")
    values = {field.name: 0 for field in row_fields(geometry)}
    assert pack_row(geometry, values) == 0
    with pytest.raises(ValueError, match="stride is 16; it has 4 bits"):
        pack_row(geometry, values | {"stride": 16})
    with pytest.raises(ValueError, match="unknown fields"):
        pack_row(geometry, values | {"colour": 1})


def test_packet_header_and_words():
    geometry = Geometry.parse("3x3x8x32")  # weight words have 36 bits: two words an item
    items = np.array([0xF_0000_0001, 2], np.uint64)
    words = packet(geometry, Target.WEIGHT, items, column=5, address=9)
    assert words.tolist() == [3 << 28 | 5 << 20 | 2, 9, 1, 0xF, 2, 0]
    assert packet(geometry, Target.SCALE, [7]).tolist() == [2 << 28 | 1, 0, 7]
