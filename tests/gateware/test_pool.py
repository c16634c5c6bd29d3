# SPDX-License-Identifier: Apache-2.0
"""Max-pooling on codes against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.pool import Pool


def results(
    codes: np.ndarray, directions: np.ndarray, side: int, order: list[int]
) -> list[dict[str, Any]]:
    """Cycles that offer a map's codes (height, width, columns), windows of a row in ``order``."""
    height, _, columns = codes.shape
    cycles = []
    for y in range(height):
        for window in order:
            for inner in range(side):
                here = codes[y, window * side + inner]
                cycles.append(
                    {
                        "codes": [
                            {"code": int(here[c]), "pool_min": int(directions[c])}
                            for c in range(columns)
                        ],
                        "valid": 1,
                        "first_x": int(inner == 0),
                        "last_x": int(inner == side - 1),
                        "first_y": int(y % side == 0),
                        "last_y": int(y % side == side - 1),
                        "window": window,
                    }
                )
    return cycles


def pooled(codes: np.ndarray, directions: np.ndarray, side: int) -> np.ndarray:
    height, width, columns = codes.shape
    windows = codes.reshape(height // side, side, width // side, side, columns)
    return np.where(directions, windows.min((1, 3)), windows.max((1, 3)))


def noise(geometry: Geometry, rng: np.random.Generator) -> dict[str, Any]:
    """A cycle without a result: nothing on the other inputs may matter."""
    flags = {name: int(rng.integers(2)) for name in ("first_x", "last_x", "first_y", "last_y")}
    codes = [{"code": int(rng.integers(1 << geometry.max_lanes)), "pool_min": 1}]
    return {"valid": 0, "codes": codes * geometry.columns, "window": 0, **flags}


@pytest.mark.parametrize("side", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_pools_every_window(shape: str, side: int) -> None:
    """Maps back to back, windows of a row in order and interleaved as by repeated segments."""
    geometry = geometry_of(shape)
    rng = np.random.default_rng([80, side])
    stimulus: list[dict[str, Any]] = []
    ends: list[int] = []  # cycles of the windows' last results
    expected: list[list[int]] = []
    for order, idle in (([0], 0.0), ([0, 1, 2], 0.5), ([0, 3, 1, 4, 2], 0.0)):
        size = (2 * side, len(order) * side, geometry.columns)
        codes = rng.integers(1 << geometry.max_lanes, size=size)
        directions = rng.integers(2, size=geometry.columns)
        expected += pooled(codes, directions, side)[:, order].reshape(-1, size[2]).tolist()
        for cycle in results(codes, directions, side, order):
            while rng.random() < idle:
                stimulus.append(noise(geometry, rng))
            if cycle["last_x"] and cycle["last_y"]:
                ends.append(len(stimulus))
            stimulus.append(cycle)
    stimulus += [noise(geometry, rng) for _ in range(SURPLUS_CYCLES)]

    pool = Pool(geometry)
    seen = trace(pool, stimulus, "o", "o_valid")
    found = [(cycle, out["o"]) for cycle, out in enumerate(seen) if out["o_valid"]]
    late = [cycle + pool.latency_cycles for cycle in ends]
    assert found == list(zip(late, expected, strict=True))


def test_reset_in_mid_window() -> None:
    """What was pooled before a reset does not leak into the next map."""
    geometry = geometry_of("2x1x2x8")
    high = np.full((2, 4, 2), 7)
    low = np.arange(16).reshape(2, 4, 2) % 3
    directions = np.zeros(2, int)
    before = results(high, directions, 2, [0, 1])[:7]
    after = [{"rst": 0, **cycle} for cycle in results(low, directions, 2, [0, 1])]
    quiet = [{"rst": 0, "valid": 0}] * 20
    stimulus = [*before, {"rst": 1, "valid": 0}, *quiet, *after, *quiet]
    seen = trace(Pool(geometry), stimulus, "o", "o_valid")
    found = [out["o"] for out in seen[len(before) + 1 :] if out["o_valid"]]
    assert found == pooled(low, directions, 2).reshape(2, 2).tolist()
