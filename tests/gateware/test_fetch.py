# SPDX-License-Identifier: Apache-2.0
"""The fetch unit against lists of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, geometry_of, trace

from xnorflow.compile.plan import LayerPlan
from xnorflow.core.geometry import Geometry
from xnorflow.core.layer import LayerSpec, pixel_scales
from xnorflow.gateware.fetch import Fetch
from xnorflow.gateware.memory import BlockMemory

FETCHES = (*SHAPES, "2x1x2x64", "3x3x4x32", "2x2x4x32,pixels=2", "8x1x2x32")
PLANES = ("3x3x4x32", "2x2x4x32,pixels=2", "8x1x2x32", "3x1x2x64")


def number(rng: np.random.Generator, bits: int) -> int:
    return int.from_bytes(rng.bytes(-(-bits // 8)), "little") % (1 << bits)


def random_beat(geometry: Geometry, rng: np.random.Generator, groups: int) -> dict[str, Any]:
    depth = geometry.activation_depth
    return {
        "valid": int(rng.random() < 0.8),
        "lines": rng.integers(depth, size=geometry.streams).tolist(),
        "slots": rng.integers(depth, size=geometry.taps).tolist(),
        "row": int(rng.integers(geometry.streams)),
        "column": int(rng.integers(geometry.taps)),
        "inside": number(rng, geometry.rows),
        "lane": int(rng.integers(groups)),
    }


def random_cycles(
    geometry: Geometry, seed: list[int], planes: int, border: int
) -> list[dict[str, Any]]:
    """Beats, what the banks say, and now and then another pass of the row."""
    rng = np.random.default_rng(seed)
    groups = -(-8 // geometry.planes_per_pass) if planes else 8
    row = {
        "tail": int(rng.integers(1, 4 if planes else geometry.word_width + 1)),
        "planes": planes,
        "border": border,
        "fill": number(rng, 8) if border else 0,
    }
    stimulus, window = [], {}
    for _ in range(150):
        if not window or rng.random() < 0.1:
            everything = (1 << geometry.rows) - 1
            tails = everything if planes else number(rng, geometry.rows)
            window = {**row, "active": number(rng, geometry.rows), "tails": tails}
        words = [
            [number(rng, geometry.word_width) for _ in range(geometry.rows)]
            for _ in range(geometry.pixels)
        ]
        beat = random_beat(geometry, rng, groups)
        stimulus.append({"beat": beat, "window": window, "bank_words": words})
    # The row is there before its first beat.
    return [{"window": stimulus[0]["window"]}, *stimulus]


def test_addresses_are_a_line_s_and_a_slot_s() -> None:
    geometry = geometry_of("3x2x4x8")
    stimulus = random_cycles(geometry, [91], 0, 0)[1:]
    seen = trace(Fetch(geometry), [*stimulus, {}], "addresses")
    for now, out in zip(stimulus, seen[1:], strict=True):
        lines, slots = now["beat"]["lines"], now["beat"]["slots"]
        depth = geometry.activation_depth
        assert out["addresses"] == [(line + slot) % depth for line in lines for slot in slots]


def fetched(
    geometry: Geometry, now: dict[str, Any], row: int, banks: list[int]
) -> tuple[int, int, int]:
    """A row's word (before planes), whether it counts, whether it is all ones by the border."""
    beat, window = now["beat"], now["window"]
    i, j = divmod(row, geometry.taps)
    bank = (i + beat["row"]) % geometry.streams * geometry.taps
    word = banks[bank + (j + beat["column"]) % geometry.taps]
    active, inside = window["active"] >> row & 1, beat["inside"] >> row & 1
    border = window["border"] and window["fill"] >> beat["lane"] & 1
    filled = active and not inside and border
    counts = beat["valid"] and active and (inside or window["border"])
    ones = (1 << geometry.word_width) - 1
    return (word if inside and active else ones if filled else 0), int(counts), int(filled)


@pytest.mark.parametrize("border", [0, 1])
@pytest.mark.parametrize("shape", FETCHES)
def test_rows_get_words_of_the_map_or_its_border(shape: str, border: int) -> None:
    """Word j of line i lies in bank row (i + row), bank column (j + column)."""
    geometry = geometry_of(shape)
    stimulus = random_cycles(geometry, [92, border], 0, border)
    fetch = Fetch(geometry)
    seen = trace(fetch, stimulus, "words", "masks", "real", "filled")
    read = 1 + BlockMemory.latency_cycles  # the banks answer
    for cycle, now in enumerate(stimulus[: -fetch.latency_cycles]):
        if "beat" not in now:
            continue
        out = seen[cycle + fetch.latency_cycles]
        count = seen[cycle + fetch.COUNT_CYCLES]
        for row in range(geometry.rows):
            for pixel in range(geometry.pixels):
                banks = stimulus[cycle + read]["bank_words"][pixel]
                word, counts, filled = fetched(geometry, now, row, banks)
                where = f"cycle {cycle}, row {row}"
                if counts:
                    assert out["words"][pixel][row] == word, where
                assert out["masks"] >> row & 1 == counts, where
                assert count["real"] >> row & 1 == counts, where
                assert count["filled"] >> row & 1 == (filled and now["beat"]["valid"]), where


@pytest.mark.parametrize("border", [0, 1])
@pytest.mark.parametrize("shape", PLANES)
def test_in_planes_rows_get_the_window_s_bits(shape: str, border: int) -> None:
    """Lane by lane a group of planes, highest first; outside the map the border code's bit."""
    geometry = geometry_of(shape)
    stimulus = random_cycles(geometry, [93, border], 1, border)
    fetch = Fetch(geometry)
    seen = trace(fetch, stimulus, "words", "masks", "real")
    spec = LayerSpec("layer", (9, 9, 3), 1, kernel=(1, 1), in_scales=pixel_scales(8))
    scales = LayerPlan(geometry, spec, first=True).lane_scales
    checked = 0
    for cycle, now in enumerate(stimulus[: -fetch.latency_cycles]):
        if "beat" not in now:
            continue
        beat, window = now["beat"], now["window"]
        out = seen[cycle + fetch.latency_cycles]
        weights = {}
        for row in range(geometry.rows):
            # Rows below double what falls: the last one of a group has the group's scale.
            below = geometry.planes_per_pass - 1 - row
            weight = scales[beat["lane"]] << below if below >= 0 else 0
            plane = weight.bit_length() - 1 if 0 < weight < 256 else None
            counts = beat["valid"] and plane is not None
            assert out["masks"] >> row & 1 == counts, f"cycle {cycle}, row {row}"
            if counts:
                weights[row] = plane
        for pixel in range(geometry.pixels):
            banks = stimulus[cycle + 3]["bank_words"][pixel]
            for row, plane in weights.items():
                expected = 0
                for index in range(geometry.rows):
                    plain = {**now, "window": {**window, "border": 0}}
                    word, _, _ = fetched(geometry, plain, index, banks)
                    outside = window["active"] >> index & ~(beat["inside"] >> index) & 1
                    for c in range(3):
                        bit = word >> 8 * c + plane & 1
                        if outside and border and c < window["tail"]:
                            bit |= window["fill"] >> (7 - plane) & 1
                        expected |= bit << 3 * index + c
                assert out["words"][pixel][row] == expected, f"cycle {cycle}, row {row}"
                checked += expected > 0
    assert checked > 100


def test_after_a_reset_nothing_counts() -> None:
    geometry = geometry_of("3x1x12x8")
    beat = {"valid": 1, "inside": 7}
    window = {"active": 7, "tail": 8}
    stimulus = [{"beat": beat, "window": window}] * 10 + [{"rst": 1}]
    stimulus += [{"rst": 0, "beat": {**beat, "valid": 0}}] * 20
    seen = trace(Fetch(geometry), stimulus, "masks")
    assert seen[9]["masks"] == 7
    assert all(out["masks"] == 0 for out in seen[11:])
