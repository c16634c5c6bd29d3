# SPDX-License-Identifier: Apache-2.0
"""The processing element against a few lines of Python."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gateware.helpers import geometry_of, popcount, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.element import ProcessingElement

# One load beat a word, two and four; every word width.
SHAPES = ("2x1x2x8", "2x2x3x16", "3x3x4x16", "2x2x4x32", "3x3x2x64")


def stimulus(geometry: Geometry, seed: int, cycles: int) -> list[dict[str, int]]:
    """Random words without a gap, a third of them masked, weights shifted in at any time."""
    rng = np.random.default_rng(seed)
    highest = (geometry.rows - 1) * geometry.word_width
    return [
        {
            "word": int(rng.integers(1 << geometry.word_width, dtype=np.uint64)),
            "mask": int(rng.random() < 0.67),
            "load": int(rng.random() < 0.3),
            "weights": int(rng.integers(1 << geometry.weight_beat)),
            "sum_in": int(rng.integers(highest + 1)),
        }
        for _ in range(cycles)
    ]


def model(geometry: Geometry, inputs: list[dict[str, int]]) -> list[int | None]:
    """``sum_out`` of each cycle; None before the first word can have come through."""
    latency = geometry.word_width.bit_length()  # log2(word_width) + 1
    weights = [0] * geometry.word_width  # bits, lowest first
    counts = []
    for now in inputs:
        word = [now["word"] >> bit & 1 for bit in range(geometry.word_width)]
        differ = sum(a != b for a, b in zip(word, weights, strict=True))
        counts.append(differ if now["mask"] else 0)
        if now["load"]:
            beat = [now["weights"] >> bit & 1 for bit in range(geometry.weight_beat)]
            weights = weights[geometry.weight_beat :] + beat
    return [None] * latency + [
        inputs[at - 1]["sum_in"] + counts[at - latency] for at in range(latency, len(inputs))
    ]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_counts_mismatches_every_cycle(shape: str, seed: int) -> None:
    geometry = geometry_of(shape)
    inputs = stimulus(geometry, seed, 250)
    seen = trace(ProcessingElement(geometry), inputs, "sum_out")
    expected = model(geometry, inputs)
    for cycle, (out, sum_out) in enumerate(zip(seen, expected, strict=True)):
        assert sum_out is None or out["sum_out"] == sum_out, f"cycle {cycle}"


@pytest.mark.parametrize("shape", SHAPES)
def test_latency_and_largest_sum(shape: str) -> None:
    """One word that mismatches in every bit, on top of rows that all do: seen once, and in time."""
    geometry = geometry_of(shape)
    element = ProcessingElement(geometry)
    above = (geometry.rows - 1) * geometry.word_width
    ones = (1 << geometry.word_width) - 1
    inputs = [{"word": ones, "mask": int(cycle == 5), "sum_in": above} for cycle in range(40)]
    sums = [out["sum_out"] for out in trace(element, inputs, "sum_out")]
    assert sums.index(above + geometry.word_width) == 5 + element.latency_cycles
    assert sums.count(above + geometry.word_width) == 1
    assert max(sums) < 1 << geometry.sum_width
    assert element.latency_cycles == ProcessingElement.popcount_cycles(geometry) + 1


def test_weights_rest_until_a_whole_load() -> None:
    """Four beats of four bits, lowest bits first, replace a 16-bit word."""
    geometry = geometry_of("3x3x4x16")
    old, new = 0xA5C3, 0x0F69
    beats = [{"load": 1, "weights": value >> shift & 15} for value in (old, new)
             for shift in (0, 4, 8, 12)]  # fmt: skip
    probe = {"load": 0, "mask": 1, "word": old}
    inputs = [*beats[:4], *[probe] * 20, *beats[4:], *[probe] * 20]
    sums = [out["sum_out"] for out in trace(ProcessingElement(geometry), inputs, "sum_out")]
    assert sums[23] == 0
    assert sums[-1] == popcount(old ^ new)


@pytest.mark.parametrize("shape", SHAPES)
def test_reset_clears_everything(shape: str) -> None:
    geometry = geometry_of(shape)
    before, after = stimulus(geometry, 3, 50), stimulus(geometry, 4, 50)
    inputs = [*before, {"rst": 1, "mask": 1}, *({"rst": 0, **now} for now in after)]
    seen = trace(ProcessingElement(geometry), inputs, "sum_out")[51:]
    expected = model(geometry, after)
    # Nothing of the words before comes out: the first cycles give the sums from above alone.
    assert seen[0]["sum_out"] == 0
    for cycle in range(1, 50):
        alone = after[cycle - 1]["sum_in"]
        sum_out = expected[cycle]
        assert seen[cycle]["sum_out"] == (alone if sum_out is None else sum_out), f"cycle {cycle}"
