# SPDX-License-Identifier: Apache-2.0
"""Estimates against synthesis, and searches that give what they promise."""

from __future__ import annotations

import pytest

from xnorflow.compile.explore import explore
from xnorflow.compile.program import plan_network
from xnorflow.compile.resources import DEVICES, estimate, measured, memory_blocks
from xnorflow.core.geometry import Geometry
from xnorflow.zoo.networks import named

SMALL = named("cnv", shrink=8)


def test_estimates_are_near_the_measurements() -> None:
    assert len({each.family for each in measured()}) >= 1
    for each in measured():
        guess = estimate(each.geometry, each.family)
        assert guess.lut == pytest.approx(each.lut, rel=0.07), each
        assert guess.ff == pytest.approx(each.ff, rel=0.05), each
        if each.family == "ecp5":
            assert guess.memory_blocks == pytest.approx(each.memory_blocks, abs=2), each


def test_memories_are_counted() -> None:
    g = Geometry.parse("3x3x32x64,weight_depth=2048,accumulator_depth=512")
    # 9 banks of two 32-bit granules, 8 lanes of 9 bits at 1024 words, 2 a block; 32 columns of 36
    # bits at 2048 words; 8 hops of 96 bits, 11 lanes, 4 a block.
    rest = memory_blocks(g, "ecp5") - 9 * 4 - 32 * 4 - 8 * 3
    assert 3 <= rest <= 6
    deeper = g.with_memory(weight_depth=4096)
    assert memory_blocks(deeper, "ecp5") - memory_blocks(g, "ecp5") == 32 * (9 - 4)


def test_larger_arrays_take_more() -> None:
    small, large = (estimate(Geometry.parse(f"3x3x{n}x32"), "ecp5") for n in (8, 32))
    assert small.lut < large.lut
    assert small.ff < large.ff
    assert small.dsp < large.dsp
    assert estimate(Geometry.parse("3x3x8x32"), "ice40").lut > small.lut


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_the_best_come_first_and_are_exact(objective: str) -> None:
    device = DEVICES["ecp5-25f"]
    found = explore(SMALL, device, objective=objective, top=3)
    assert len(found) == 3
    costs = [each.cost(objective) for each in found]
    assert costs == sorted(costs)
    for each in found:
        assert all(share <= 1 for share in each.resources.shares(device).values())
        _, schedule = plan_network(SMALL, each.geometry, max_block=each.block)
        assert schedule.cycles(schedule.units) * each.block <= each.cycles * schedule.units * (
            each.geometry.pixels
        )
        if objective == "latency":
            assert each.block == each.geometry.pixels
    best = explore(SMALL, device, objective=objective, top=1)[0]
    assert best.cost(objective) == costs[0]


def test_errors() -> None:
    with pytest.raises(ValueError, match="objective must be throughput or latency"):
        explore(SMALL, DEVICES["up5k"], objective="speed")
    with pytest.raises(ValueError, match="top must be at least 1"):
        explore(SMALL, DEVICES["up5k"], top=0)
