# SPDX-License-Identifier: Apache-2.0
"""The count of real inputs, which comes negated, against Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.realcount import RealCount


def random_cycles(geometry: Geometry, planes: int) -> list[dict[str, Any]]:
    """``real`` and ``filled`` as the fetch unit has them: what is filled is real too."""
    rng = np.random.default_rng([50, planes])
    rows, stimulus, window = geometry.rows, [], {}
    groups = -(-8 // geometry.planes_per_pass) if planes else 8
    for _ in range(250):
        if not window or rng.random() < 0.1:
            window = {
                "tails": (1 << rows) - 1 if planes else int(rng.integers(1 << rows)),
                "tail": int(rng.integers(1, 4 if planes else geometry.word_width + 1)),
                "planes": planes,
            }
        real = int(rng.integers(1 << rows)) if rng.random() < 0.9 else (1 << rows) - 1
        filled = real & int(rng.integers(1 << rows))
        lane = int(rng.integers(groups))
        stimulus.append({"real": real, "filled": filled, "lane": lane, "window": window})
    return stimulus


@pytest.mark.parametrize("shape", [*SHAPES, "2x1x2x64", "8x7x2x8"])
def test_counts_real_channels_and_makes_up_for_filled_ones(shape: str) -> None:
    """A filled word's bits beyond the tail meet weights of 0: each is a mismatch, counted twice."""
    geometry = geometry_of(shape)
    stimulus = random_cycles(geometry, 0)
    seen = trace(RealCount(geometry), stimulus, "n")
    for cycle, now in enumerate(stimulus[: -RealCount.latency_cycles]):
        n = 0
        for row in range(geometry.rows):
            tail = now["window"]["tails"] >> row & 1
            channels = now["window"]["tail"] if tail else geometry.word_width
            n += channels * (now["real"] >> row & 1)
            n += 2 * (geometry.word_width - channels) * (now["filled"] >> row & 1)
        assert seen[cycle + RealCount.latency_cycles]["n"] == -n, f"cycle {cycle}"


@pytest.mark.parametrize("shape", ["3x3x4x32", "2x2x4x32", "3x1x2x64", "8x1x2x32"])
def test_planes_count_with_their_weights(shape: str) -> None:
    """A group's planes weigh 1, 2, 4 ... from its last row up; the first group may be short."""
    geometry = geometry_of(shape)
    stimulus = random_cycles(geometry, 1)
    seen = trace(RealCount(geometry), stimulus, "n")
    count = geometry.planes_per_pass
    groups = -(-8 // count)
    for cycle, now in enumerate(stimulus[: -RealCount.latency_cycles]):
        planes = 8 - (groups - 1) * count if now["lane"] == 0 else count
        words = bin(now["real"]).count("1")
        n = words * now["window"]["tail"] * sum(2**plane for plane in range(planes))
        assert seen[cycle + RealCount.latency_cycles]["n"] == -n, f"cycle {cycle}"


def test_reset_in_mid_stream() -> None:
    geometry = geometry_of("3x1x12x8")
    beat = {"real": 7, "filled": 0, "lane": 0, "window": {"tail": 3, "tails": 2}}
    quiet = {"rst": 0, "real": 0}
    seen = trace(RealCount(geometry), [*[beat] * 20, {"rst": 1}, *[quiet] * 100], "n")
    assert seen[19]["n"] == -(8 + 3 + 8)
    assert all(out["n"] == 0 for out in seen[21 + RealCount.latency_cycles :])
