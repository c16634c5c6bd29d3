# SPDX-License-Identifier: Apache-2.0
"""Rows, weight words and records of thresholds against what the hardware does with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorflow.compile.lower import record_items, scale_items, skewed_words, weight_beats
from xnorflow.compile.plan import LayerPlan
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, Unroll, pack_row, packet, row_fields


def plan_of(
    geometry: str, weights: np.ndarray, lanes: int = 1, pixel_lanes: int = 2, **options: object
) -> LayerPlan:
    """The plan of a first layer with these weights (planes, out, height, width, in)."""
    shape = (6, 7, weights.shape[-1])
    builder = NetworkBuilder("n", image_shape=shape, pixel_lanes=pixel_lanes)
    thresholds = np.zeros((weights.shape[1], (1 << lanes) - 1), int)
    scales = tuple(range(weights.shape[0], 0, -1))
    builder.conv(weights, thresholds=thresholds, weight_scales=scales, **options)
    builder.fc(np.ones((1, int(np.prod(builder.shape)))))
    spec = builder.build().network.layers[0]
    return LayerPlan(Geometry.parse(geometry), spec, first=True)


def shifted(words: list[int], geometry: Geometry) -> int:
    """A threshold unit's register after these words of a record came in at its top."""
    bits, bus = geometry.record_bits, geometry.rows * geometry.weight_beat
    register = (1 << bits) - 1  # what was there before
    for word in words:
        register = (register | int(word) << bits) >> bus & ((1 << bits) - 1)
    return register


def search(register: int, value: int, geometry: Geometry) -> int:
    """What a threshold unit finds for a value, from the code's highest bit on.

    It adds what the record holds, T - 1, to the negated value: below 0, the value reaches T.
    """
    width, code = geometry.accumulator_width, 0
    for level in range(geometry.max_lanes):
        half = 1 << (geometry.max_lanes - level - 1)
        slot = code * 2 * half + half - 1
        held = register >> slot * width & ((1 << width) - 1)
        held -= held >> (width - 1) << width
        code = code << 1 | (held - value < 0)
    return code


# Records of one word, of some, of many; a bus wider than a record.
@pytest.mark.parametrize(
    "geometry",
    ["2x1x3x8", "3x3x3x32", "2x2x3x8,max_lanes=2,accumulator_width=17", "2x2x3x64,weight_bus=512"],
)
@given(data=st.data())
def test_the_search_in_a_record_counts_reached_thresholds(geometry, data):
    most = Geometry.parse(geometry).max_lanes
    lanes = data.draw(st.integers(1, most))
    plan = plan_of(geometry, np.ones((1, 4, 3, 3, 2)), lanes)
    g = plan.geometry
    count = (1 << lanes) - 1
    rows = st.lists(st.integers(-300, 300) | st.just(2**31 - 1), min_size=count, max_size=count)
    thresholds = np.array(
        [sorted(data.draw(rows)) for _ in range(plan.spec.out_channels)], np.int64
    )
    value = data.draw(st.integers(-300, 300) | st.sampled_from(thresholds.ravel().tolist()))
    value = min(value, g.accumulator_limit)
    items = record_items(plan, thresholds, np.array([0, 1, 0, 1]))
    assert items.shape == (3, plan.tiles * g.record_words)
    records = items.reshape(3, plan.tiles, g.record_words)
    for channel in range(4):
        register = shifted(records[channel % 3, channel // 3].tolist(), g)
        found = search(register, value, g) >> (most - lanes)
        assert found == (value >= thresholds[channel]).sum()
        assert register >> (g.record_bits - 1) == channel % 2  # pool_min
    missing = shifted(records[1, 1].tolist(), g)  # column 1 of tile 1 is no channel
    assert search(missing, g.accumulator_limit, g) == 0


def resting(plan: LayerPlan, bits: np.ndarray) -> np.ndarray:
    """Words (column, tile, plane, ky, kx, cw, row) that rest after each load.

    Shifts the skewed bank words in as the elements do: row r takes what is read r cycles later.
    """
    g = plan.geometry
    beats = weight_beats(plan, bits)
    items = skewed_words(g, beats)
    load = g.weight_load_cycles
    assert items.shape == (g.columns, plan.weight_words + g.rows - 1)
    words = np.zeros((g.columns, plan.weight_words // load, g.rows), object)
    for column, index, row in np.ndindex(words.shape):
        for step in range(load):
            part = items[column, index * load + step + row] >> row * g.weight_beat
            part &= (1 << g.weight_beat) - 1
            words[column, index, row] |= int(part) << step * g.weight_beat
    shape = (g.columns, plan.tiles, plan.spec.planes, *plan.passes_shape, g.rows)
    return words.reshape(shape)


@pytest.mark.parametrize(
    "geometry", ["2x1x2x8", "3x3x4x16", "3x2x5x32", "8x8x2x8", "2x3x4x64,weight_bus=72"]
)
@pytest.mark.parametrize(("kernel", "inputs"), [((3, 3), 19), ((1, 1), 70), ((5, 2), 19)])
def test_every_weight_rests_where_its_word_comes(geometry, kernel, inputs):
    rng = np.random.default_rng(7)
    planes, channels = 2, 5
    bits = rng.integers(0, 2, (planes, channels, *kernel, inputs), dtype=np.uint8)
    plan = plan_of(geometry, bits * 2.0 - 1)
    g = plan.geometry
    words = resting(plan, bits)
    seen = np.zeros_like(bits)
    for column, tile, plane, ky, kx, cw, row in np.ndindex(words.shape):
        i, j = divmod(row, g.taps)
        y, x, word = {
            Unroll.KERNEL: (ky * g.streams + i, kx * g.taps + j, cw),
            Unroll.LINES: (ky * g.streams + i, kx, cw * g.taps + j),
            Unroll.WORDS: (ky, kx, cw * g.rows + row),
        }[plan.unroll]
        for bit in range(g.word_width):
            index = (plane, tile * g.columns + column, y, x, word * g.word_width + bit)
            inside = all(i < size for i, size in zip(index, bits.shape, strict=True))
            found = words[column, tile, plane, ky, kx, cw, row] >> bit & 1
            assert found == (bits[index] if inside else 0)
            if inside:
                seen[index] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("geometry", ["3x3x4x32", "2x2x3x32", "3x1x2x64", "8x1x2x64"])
@pytest.mark.parametrize(("kernel", "channels"), [((3, 3), 3), ((5, 2), 1), ((2, 4), 2)])
def test_in_planes_every_row_holds_the_whole_window(geometry, kernel, channels):
    """Three bits a word of the window, the same in every row that gets a plane."""
    rng = np.random.default_rng(8)
    bits = rng.integers(0, 2, (1, 5, *kernel, channels), dtype=np.uint8)
    plan = plan_of(geometry, bits * 2.0 - 1, pixel_lanes=8, padding=(0, 0))
    g = plan.geometry
    assert plan.planes and plan.lanes * g.planes_per_pass >= 8
    words = resting(plan, bits)
    for column, tile, ky, kx, row in np.ndindex(words[:, :, 0, :, :, 0].shape):
        expected = 0
        for index in range(g.rows):
            i, j = divmod(index, g.taps)
            for c in range(channels):
                at = (0, tile * g.columns + column, ky * g.streams + i, kx * g.taps + j, c)
                if all(i < size for i, size in zip(at, bits.shape, strict=True)):
                    expected |= int(bits[at]) << index * 3 + c
        expected = expected if row < g.planes_per_pass else 0
        assert words[column, tile, 0, ky, kx, 0, row] == expected


def test_scales_are_products_plane_by_plane():
    plan = plan_of("2x1x2x8", np.ones((2, 1, 1, 1, 1)))
    assert scale_items(plan) == [4, 2, 2, 1]  # planes 2, 1; lanes 2, 1


@pytest.mark.parametrize(
    ("geometry", "scales"),
    [("3x3x4x32", [1]), ("2x2x3x32", [16, 1]), ("3x1x2x64", [64, 8, 1])],
)
def test_groups_of_planes_weigh_as_their_lowest_plane(geometry, scales):
    """Within a group, rows double what falls into them."""
    plan = plan_of(geometry, np.ones((1, 1, 3, 3, 3)), pixel_lanes=8)
    assert scale_items(plan) == scales


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
    wide = Geometry.parse("3x3x8x64,weight_bus=144")  # 144 bits: five words an item
    item = sum((word + 1) << 32 * word for word in range(5))
    found = packet(wide, Target.WEIGHT, np.array([item], object)).tolist()
    assert found == [3 << 28 | 1, 0, 1, 2, 3, 4, 5]
