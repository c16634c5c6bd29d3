# SPDX-License-Identifier: Apache-2.0
"""Geometry: its text form, its limits, and the sizes derived from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorflow.core.geometry import Geometry

geometries = st.builds(
    Geometry,
    st.integers(2, 8),
    st.integers(1, 8),
    st.integers(2, 128),
    st.sampled_from((8, 16, 32, 64)),
    pixels=st.sampled_from((1, 2, 4)),
    weight_bus=st.integers(8, 512),
    weight_depth=st.integers(16, 1 << 20),
    max_lanes=st.integers(1, 3),
    accumulator_width=st.integers(12, 32),
)


@given(geometries)
def test_text_form_comes_back(geometry: Geometry) -> None:
    assert Geometry.parse(str(geometry)) == geometry


def test_defaults_are_not_written() -> None:
    assert str(Geometry(3, 3, 8, 32)) == "3x3x8x32"
    assert str(Geometry.parse("3x3x8x32, weight_depth=77")) == "3x3x8x32,weight_depth=77"
    assert Geometry.parse("2X1X2X8") == Geometry(2, 1, 2, 8)


@pytest.mark.parametrize(
    "text",
    ["", "3x3x8", "3x3x8x32x1", "3x3x8xw", "3x3x-8x32", "3*3*8*32", "3.0x3x8x32", "0x3x3x8x32"],
)
def test_other_text_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="streams x taps x columns x word width, as in 3x3x8x32"):
        Geometry.parse(text)


@pytest.mark.parametrize("option", ["depth=4", "weight_depth", "weight_depth=-4", "streams=3", ""])
def test_unknown_options_list_the_known_ones(option: str) -> None:
    with pytest.raises(ValueError, match=r"name=number with a name of .*weight_depth"):
        Geometry.parse(f"3x3x8x32,{option}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("streams", 1),
        ("streams", 9),
        ("taps", 0),
        ("taps", 9),
        ("columns", 1),
        ("columns", 129),
        ("word_width", 48),
        ("word_width", 128),
        ("activation_depth", 15),
        ("weight_depth", 1 << 21),
        ("accumulator_depth", 3),
        ("pixels", 3),
        ("pixels", 8),
        ("weight_bus", 7),
        ("weight_bus", 513),
        ("layer_depth", 1),
        ("scale_depth", 7),
        ("max_lanes", 0),
        ("max_lanes", 4),
        ("accumulator_width", 11),
        ("accumulator_width", 33),
        ("scale_width", 19),
        ("popcount_levels", 3),
    ],
)
def test_values_out_of_range_are_named(name: str, value: int) -> None:
    sizes = {"streams": 3, "taps": 3, "columns": 8, "word_width": 32} | {name: value}
    with pytest.raises(ValueError, match=rf"{name} must be .*not {value}"):
        Geometry(**sizes)


@pytest.mark.parametrize("value", [3.0, "3", None, True])
def test_values_of_the_wrong_kind_are_type_errors(value: object) -> None:
    with pytest.raises(TypeError, match="streams must be an integer"):
        Geometry(value, 3, 8, 32)  # type: ignore[arg-type]


@given(geometries)
def test_derived_sizes_keep_their_relations(geometry: Geometry) -> None:
    array = geometry.rows * geometry.columns * geometry.word_width
    assert geometry.xnors_per_cycle == array * geometry.pixels
    assert geometry.columns_per_hop * geometry.hops == geometry.columns
    assert geometry.weight_load_cycles * geometry.weight_beat == geometry.word_width
    bus = geometry.weight_beat * geometry.rows
    assert geometry.weight_beat == 1 or bus <= geometry.weight_bus
    assert geometry.weight_beat == geometry.word_width or 2 * bus > geometry.weight_bus
    assert geometry.record_bits <= geometry.record_words * bus < geometry.record_bits + bus
    assert geometry.columns % geometry.granule == 0
    assert geometry.word_width % geometry.granule == 0
    # One more than the largest accumulator is a threshold that none reaches.
    assert geometry.accumulator_limit + 1 < 1 << (geometry.accumulator_width - 1)


@given(geometries)
def test_sums_are_as_wide_as_what_falls(geometry: Geometry) -> None:
    """Row by row: whole words, or windows of pixels whose planes double."""
    words = planes = 0
    for row in range(geometry.rows):
        words += geometry.word_width
        if row < geometry.planes_per_pass:
            planes = 2 * planes + 3 * geometry.rows
            assert geometry.doubles(row) == (row > 0)
        else:
            assert not geometry.doubles(row)
        assert geometry.sum_bound(row) == max(words, planes)
        assert max(words, planes) < 1 << geometry.sum_width(row)
    assert geometry.sum_width() == geometry.sum_width(geometry.rows - 1)


@given(geometries)
def test_words_written_at_once_lie_in_different_banks(geometry: Geometry) -> None:
    assert 1 <= geometry.write_words <= geometry.taps
    if geometry.write_words > 1:
        assert geometry.columns == geometry.write_words * geometry.word_width


def test_the_example_of_the_documentation() -> None:
    geometry = Geometry.parse("3x3x8x32")
    assert (geometry.rows, geometry.banks, geometry.xnors_per_cycle) == (9, 9, 2304)
    assert (geometry.weight_beat, geometry.weight_load_cycles) == (4, 8)
    assert (geometry.record_bits, geometry.record_words) == (7 * 24 + 1, 5)
    assert geometry.planes_per_pass == 8  # 27 bits of a window in a word of 32
    assert Geometry.parse("3x3x8x16").planes_per_pass == 0
    assert geometry.with_memory(weight_depth=64).weight_depth == 64


def test_limits_are_part_of_the_text() -> None:
    geometry = Geometry.parse("2x1x4x64,weight_depth=64,word_last=0..7,flat=1")
    assert geometry.limits == (("flat", 1, 1), ("word_last", 0, 7))
    assert str(geometry) == "2x1x4x64,weight_depth=64,flat=1,word_last=0..7"
    assert geometry.with_limits({}) == Geometry.parse("2x1x4x64,weight_depth=64")
    assert geometry.limits_hash not in (0, geometry.with_limits({"flat": 1}).limits_hash)
    assert geometry.with_limits({}).limits_hash == 0


def test_limits_have_names() -> None:
    geometry = Geometry.parse("2x1x4x64,mlp,word_last=0..7")
    assert str(geometry) == "2x1x4x64,mlp,word_last=0..7"
    assert ("unroll", 2, 2) in geometry.limits
    assert Geometry.parse(str(geometry)) == geometry


@pytest.mark.parametrize(
    "option", ["flat=2", "word_last=7..3", "word_last=0..1024", "flat=0,flat=1"]
)
def test_impossible_limits(option: str) -> None:
    with pytest.raises(ValueError, match=r"limits"):
        Geometry.parse(f"2x1x4x64,{option}")
