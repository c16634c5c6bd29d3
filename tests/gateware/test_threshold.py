# SPDX-License-Identifier: Apache-2.0
"""The threshold unit against counting: code = thresholds that the accumulator reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, bus_write, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.threshold import ThresholdUnit

INDEX = 2
"""The unit's column; writes to others must not touch it."""


def unit_geometry(max_lanes: int, width: int) -> Geometry:
    return geometry_of("2x1x4x8", max_lanes=max_lanes, accumulator_width=width)


def heap(thresholds: list[int], node: int = 1) -> dict[int, int]:
    """Rising thresholds by heap node: the middle one, then the halves below and above it."""
    if not thresholds:
        return {}
    middle = len(thresholds) // 2
    below, above = thresholds[:middle], thresholds[middle + 1 :]
    return {node: thresholds[middle], **heap(below, 2 * node), **heap(above, 2 * node + 1)}


def writes(
    geometry: Geometry, tile: int, thresholds: list[int], pool_min: int, column: int = INDEX
) -> list[dict[str, Any]]:
    """Cycles that load one tile's thresholds."""
    mask = (1 << geometry.accumulator_width) - 1
    cycles = []
    for node, threshold in heap(thresholds).items():
        item = threshold & mask | (pool_min << geometry.accumulator_width if node == 1 else 0)
        address = tile << geometry.max_lanes | node
        cycles.append({"bus": bus_write(Target.THRESHOLD, column, address, item)})
    return [*cycles, {"bus": {"valid": 0}}]


def random_tiles(
    geometry: Geometry, lanes: int, rng: np.random.Generator
) -> list[tuple[list[int], int]]:
    """Thresholds and pooling direction of every tile: spread, equal, and at the extremes."""
    count = (1 << lanes) - 1
    top = (1 << geometry.accumulator_width - 1) - 1
    tiles = [
        sorted(rng.integers(-50, 50, count).tolist()),
        [7] * count,
        sorted(rng.choice([-top - 1, -top, 0, top - 1, top], count).tolist()),
        sorted(rng.integers(-top, top, count).tolist()),
    ]
    return [(tile, int(rng.integers(2))) for tile in tiles[: geometry.threshold_depth]]


def values_around(geometry: Geometry, thresholds: list[int]) -> list[int]:
    """Every threshold, its neighbours, and the accumulator's extremes."""
    low, high = -(1 << geometry.accumulator_width - 1), (1 << geometry.accumulator_width - 1) - 1
    around = {t + step for t in thresholds for step in (-1, 0, 1)} | {low, low + 1, -1, 0, high}
    return sorted(value for value in around if low <= value <= high)


@pytest.mark.parametrize("width", [12, 24, 32])
@pytest.mark.parametrize(("max_lanes", "lanes"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)])
def test_code_counts_the_thresholds_reached(max_lanes: int, lanes: int, width: int) -> None:
    """Every tile, at, just below and just above each threshold; one value a cycle, then gaps."""
    geometry = unit_geometry(max_lanes, width)
    rng = np.random.default_rng([60, max_lanes, lanes, width])
    tiles = random_tiles(geometry, lanes, rng)
    stimulus: list[dict[str, Any]] = []
    for tile, (thresholds, pool_min) in enumerate(tiles):
        # What a layer with fewer lanes leaves behind below its own levels must not matter.
        stimulus += writes(geometry, tile, rng.integers(-9, 9, (1 << max_lanes) - 1).tolist(), 0)
        stimulus += writes(geometry, tile, thresholds, pool_min)
        stimulus += writes(geometry, tile, thresholds[::-1], 1 - pool_min, column=INDEX + 1)
    for address in range(geometry.threshold_depth << max_lanes):
        foreign = bus_write(Target.WEIGHT, INDEX, address, 1)
        stimulus.append({"bus": foreign})
    stimulus.append({"bus": {"valid": 0}})
    asked = [(tile, value) for tile, (thresholds, _) in enumerate(tiles)
             for value in values_around(geometry, thresholds)]  # fmt: skip
    expected = {}
    for idle in (0.0, 0.5):
        for pick in rng.permutation(len(asked)):
            tile, value = asked[pick]
            while rng.random() < idle:
                stimulus.append({"valid": 0, "value": int(rng.integers(9)), "tile": 0})
            expected[len(stimulus)] = (tile, value)
            stimulus.append({"valid": 1, "value": value, "tile": tile})
    stimulus += [{"valid": 0}] * SURPLUS_CYCLES

    unit = ThresholdUnit(geometry, index=INDEX)
    seen = trace(unit, stimulus, "o", "o_valid")
    answers = [cycle for cycle, out in enumerate(seen) if out["o_valid"]]
    assert answers == [cycle + unit.latency_cycles for cycle in expected]
    for cycle, (tile, value) in expected.items():
        thresholds, pool_min = tiles[tile]
        out = seen[cycle + unit.latency_cycles]["o"]
        reached = sum(value >= threshold for threshold in thresholds)
        assert out["code"] >> (max_lanes - lanes) == reached, (tile, value, thresholds)
        assert out["pool_min"] == pool_min
    assert unit.latency_cycles == ThresholdUnit.cycles(geometry) == 2 * max_lanes


def test_loading_one_tile_leaves_lookups_of_another_alone() -> None:
    geometry = unit_geometry(3, 24)
    thresholds = [-30, -20, -10, 0, 10, 20, 30]
    load = writes(geometry, 0, thresholds, 0)
    other = writes(geometry, 1, [0] * 7, 1)[:-1]
    lookups = [{"valid": 1, "tile": 0, "value": value, **other[value % 7]}
               for value in range(-40, 41)]  # fmt: skip
    quiet = [{"valid": 0, "bus": {"valid": 0}}] * 10
    unit = ThresholdUnit(geometry, index=INDEX)
    seen = trace(unit, [*load, *lookups, *quiet], "o", "o_valid")
    codes = [out["o"]["code"] for out in seen if out["o_valid"]]
    assert codes == [sum(value >= t for t in thresholds) for value in range(-40, 41)]


def test_reset_drops_what_is_under_way_and_keeps_thresholds() -> None:
    geometry = unit_geometry(2, 24)
    load = writes(geometry, 3, [-5, 0, 5], 1)
    lookups = [{"rst": 0, "valid": 1, "tile": 3, "value": value} for value in (-6, -5, 0, 5)]
    quiet = [{"rst": 0, "valid": 0}] * SURPLUS_CYCLES
    stimulus = [*load, *lookups[:3], {"rst": 1, "valid": 0}, *quiet, *lookups, *quiet]
    unit = ThresholdUnit(geometry, index=INDEX)
    seen = trace(unit, stimulus, "o", "o_valid")
    found = [(cycle, out["o"]["code"]) for cycle, out in enumerate(seen) if out["o_valid"]]
    start = len(load) + 4 + SURPLUS_CYCLES + unit.latency_cycles
    assert found == [(start + code, code) for code in range(4)]
