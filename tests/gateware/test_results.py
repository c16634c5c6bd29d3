# SPDX-License-Identifier: Apache-2.0
"""The result shifter: accumulators of a position leave in the order of their columns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.results import ResultShifter

OUTPUTS = ("results.valid", "results.payload", "done", "waiting")


class Positions:
    """Positions' accumulators as the feet give them, and the host that takes the words."""

    def __init__(
        self, geometry: Geometry, channels: list[int], rng: np.random.Generator, stall: float
    ) -> None:
        self.geometry, self.channels, self.rng, self.stall = geometry, channels, rng, stall
        top = 1 << geometry.accumulator_width - 1
        shape = (len(channels), geometry.columns)
        self.values = rng.integers(-top, top, size=shape)
        self.values[0, 0], self.values[-1, 0] = -top, top - 1
        self.words: list[tuple[int, int]] = []
        self.ready: list[int] = []

    def arrive(self, values: np.ndarray) -> list[dict[str, Any]]:
        """Hop after hop, a cycle each; the ports of other columns hold something else."""
        geometry = self.geometry
        hop = np.arange(geometry.columns) // geometry.columns_per_hop
        return [
            {
                "values": np.where(hop == now, values, 77).tolist(),
                "valids": sum(1 << int(column) for column in np.flatnonzero(hop == now)),
            }
            for now in range(geometry.hops)
        ]

    def stimulus(self) -> Generator[dict[str, Any], dict[str, Any], None]:
        count = len(self.channels)
        for at, (channels, values) in enumerate(zip(self.channels, self.values, strict=True)):
            arrivals = self.arrive(values)
            seen: dict[str, Any] = {"done": 0}
            while not seen["done"]:
                ready = int(self.rng.random() >= self.stall)
                arrival = arrivals.pop(0) if arrivals else {"valids": 0}
                last = int(at == count - 1)
                seen = yield {"channels": channels, "end": last, "results.ready": ready, **arrival}
                self.ready.append(ready)
        for _ in range(SURPLUS_CYCLES):
            yield {"valids": 0, "results.ready": 1}
            self.ready.append(1)


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("shape", SHAPES)
def test_sends_each_position_once(shape: str, stall: float) -> None:
    """Full and ragged tiles, back to back; a word offered stays until it is taken."""
    geometry = geometry_of(shape)
    rng = np.random.default_rng(130)
    channels = [geometry.columns, 1, *rng.integers(1, geometry.columns + 1, 20).tolist()]
    positions = Positions(geometry, channels, rng, stall)
    seen = trace(ResultShifter(geometry), positions.stimulus(), *OUTPUTS)

    expected = [int(value) for count, values in zip(channels, positions.values, strict=True)
                for value in values[:count]]  # fmt: skip
    taken, held = [], None
    for ready, out in zip(positions.ready, seen, strict=True):
        payload = out["results.payload"]
        if held is not None:
            assert out["results.valid"] and payload == held
        held = payload if out["results.valid"] and not ready else None
        assert out["waiting"] == (held is not None)
        if out["results.valid"] and ready:
            taken.append(payload)
    assert [word["data"] for word in taken] == expected
    assert [word["last"] for word in taken] == [0] * (len(expected) - 1) + [1]
    assert sum(out["done"] for out in seen) == len(channels)
    if not stall:
        # From the first hop's values: a cycle after the last hop's, then a word a cycle.
        cycles = [geometry.hops + count for count in channels]
        done = [cycle for cycle, out in enumerate(seen) if out["done"]]
        assert done == (np.cumsum(cycles) - 1).tolist()


def test_reset_in_mid_position() -> None:
    geometry = geometry_of("2x1x2x8")
    feed = {"values": [5, -6], "valids": 3, "channels": 2, "end": 1}
    stimulus = [
        {**feed, "results.ready": 1},
        {"valids": 0},
        {"rst": 1, "results.ready": 0},
        *[{"rst": 0, "results.ready": 1}] * SURPLUS_CYCLES,
        feed,
        *[{"valids": 0}] * 10,
    ]
    seen = trace(ResultShifter(geometry), stimulus, *OUTPUTS)
    assert not any(out["results.valid"] for out in seen[3 : 4 + SURPLUS_CYCLES])
    words = [out["results.payload"] for out in seen[4 + SURPLUS_CYCLES :] if out["results.valid"]]
    assert words == [{"data": 5, "last": 0}, {"data": -6, "last": 1}]
