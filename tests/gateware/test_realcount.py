# SPDX-License-Identifier: Apache-2.0
"""The count of real inputs against Python, and in step with the array's sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.realcount import RealCount


def random_cycles(geometry: Geometry, seed: int, tail: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "masks": int(rng.integers(1 << geometry.streams)),
            "load": {
                "valid": int(rng.random() < 0.1),
                "taps": int(rng.integers(1 << geometry.taps)),
            },
            "tails": int(rng.integers(1 << geometry.streams)),
            "tail": tail,
        }
        for _ in range(250)
    ]


def row_counts(geometry: Geometry, stimulus: list[dict[str, Any]]) -> list[list[int]]:
    """Channels that each row counts in each cycle."""
    taps = tails = 0
    counts = []
    for now in stimulus:
        rows = []
        for row in range(geometry.rows):
            stream, tap = divmod(row, geometry.taps)
            channels = now["tail"] if tails >> stream & 1 else geometry.word_width
            rows.append(channels if now["masks"] >> stream & taps >> tap & 1 else 0)
        counts.append(rows)
        if now["load"]["valid"]:
            taps, tails = now["load"]["taps"], now["tails"]
    return counts


# A tail of one channel, of all but one, and of a whole word.
@pytest.mark.parametrize("tail", [1, -1, 0])
@pytest.mark.parametrize("shape", [*SHAPES, "2x1x2x64"])
def test_counts_real_channels(shape: str, tail: int) -> None:
    geometry = geometry_of(shape)
    channels = tail if tail > 0 else geometry.word_width + tail
    stimulus = random_cycles(geometry, 50, channels)
    seen = trace(RealCount(geometry), stimulus, "n")
    counts = row_counts(geometry, stimulus)
    late = SystolicArray.cycles(geometry)  # with column 0's sum
    for start in range(len(counts) - late):
        n = sum(counts[start + row][row] for row in range(geometry.rows))
        assert seen[start + late]["n"] == n, f"cycle {start + late}"


def test_reset_in_mid_stream() -> None:
    geometry = geometry_of("3x1x12x8")
    stream = [{"masks": 7, "load": {"valid": 1, "taps": 1}, "tail": 3, "tails": 2}] * 20
    seen = trace(RealCount(geometry), [*stream, {"rst": 1}, *[{"rst": 0, "masks": 0}] * 100], "n")
    assert seen[19]["n"] == 8 + 3 + 8
    assert all(out["n"] == 0 for out in seen[21:])
