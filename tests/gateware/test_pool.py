# SPDX-License-Identifier: Apache-2.0
"""Max-pooling on codes against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.pool import Pool

SHAPES = (("2x1x2x8", 1, 3), ("3x3x4x16", 1, 1), ("2x2x3x8", 2, 2), ("2x1x6x8", 2, 1))
"""Array, pixel streams, lanes."""


def positions(
    codes: np.ndarray, directions: np.ndarray, side: int, stride: int
) -> list[dict[str, Any]]:
    """Cycles that offer a map's codes (height, width, columns, pixels)."""
    height, width, columns, pixels = codes.shape

    def first(at: int) -> int:
        return int(at % stride == 0) if stride == side else int(at == 0)

    def last(at: int) -> int:
        return int(at >= side - 1 and (at - side + 1) % stride == 0)

    return [
        {
            "codes": [
                {"code": int(codes[y, x, c, p]), "pool_min": int(directions[c])}
                for c in range(columns)
                for p in range(pixels)
            ],
            "valid": 1,
            "first_x": first(x),
            "last_x": last(x),
            "first_y": first(y),
            "last_y": last(y),
            # The window that is not complete before this position.
            "window": max(0, -(-(x - side + 1) // stride)),
        }
        for y in range(height)
        for x in range(width)
    ]


def pooled(codes: np.ndarray, directions: np.ndarray, side: int, stride: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(codes, (side, side), (0, 1))
    windows = windows[::stride, ::stride]
    choose = directions[:, None]
    return np.where(choose, windows.min((-2, -1)), windows.max((-2, -1)))


def noise(geometry: Geometry, rng: np.random.Generator) -> dict[str, Any]:
    """A cycle without a position: nothing on the other inputs may matter."""
    flags = {name: int(rng.integers(2)) for name in ("first_x", "last_x", "first_y", "last_y")}
    codes = [{"code": int(rng.integers(1 << geometry.max_lanes)), "pool_min": 1}]
    count = geometry.columns * geometry.pixels
    window = int(rng.integers(geometry.pool_depth))
    return {"valid": 0, "codes": codes * count, "window": window, **flags}


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (2, 2), (3, 3), (4, 4), (3, 2), (4, 3)])
@pytest.mark.parametrize(("shape", "pixels", "lanes"), SHAPES)
def test_pools_every_window(shape: str, pixels: int, lanes: int, side: int, stride: int) -> None:
    """Maps back to back; windows that share borders, and windows that do not."""
    geometry = geometry_of(shape, pixels=pixels, max_lanes=lanes)
    rng = np.random.default_rng([80, side])
    stimulus: list[dict[str, Any]] = []
    ends: list[int] = []  # cycles of the windows' last positions
    expected: list[list[int]] = []
    for windows, idle in ((2, 0.0), (3, 0.5), (5, 0.0), (1 if side > 2 else 2, 0.0)):
        sides = (2 * stride + side, (windows - 1) * stride + side)
        codes = rng.integers(1 << lanes, size=(*sides, geometry.columns, pixels))
        directions = rng.integers(2, size=geometry.columns)
        expected += pooled(codes, directions, side, stride).reshape(-1, codes[0, 0].size).tolist()
        for cycle in positions(codes, directions, side, stride):
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
    # A result stays until the next one.
    for now, then in zip(seen[late[0] :], seen[late[0] + 1 :], strict=False):
        assert then["o_valid"] or then["o"] == now["o"]


def test_reset_in_mid_window() -> None:
    """What was pooled before a reset does not leak into the next map."""
    geometry = geometry_of("2x1x2x8")
    high = np.full((2, 4, 2, 1), 7)
    low = np.arange(16).reshape(2, 4, 2, 1) % 3
    directions = np.zeros(2, int)
    before = positions(high, directions, 2, 2)[:7]
    after = [{"rst": 0, **cycle} for cycle in positions(low, directions, 2, 2)]
    quiet = [{"rst": 0, "valid": 0}] * 20
    stimulus = [*before, {"rst": 1, "valid": 0}, *quiet, *after, *quiet]
    seen = trace(Pool(geometry), stimulus, "o", "o_valid")
    found = [out["o"] for out in seen[len(before) + 1 :] if out["o_valid"]]
    assert found == pooled(low, directions, 2, 2).reshape(2, 2).tolist()
