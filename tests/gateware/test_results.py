# SPDX-License-Identifier: Apache-2.0
"""The result shifter: accumulators of positions leave in the order of pixel streams and columns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.results import QUEUE_DEPTH, ResultShifter

OUTPUTS = ("results.valid", "results.payload", "room", "waiting", "idle")
SHAPES = (("2x1x2x8", 1), ("3x3x4x16", 2), ("2x2x3x8", 1), ("2x1x6x8", 2), ("3x3x16x8", 1))
FLIGHT_CYCLES = 80
"""From a promise to the first hop's values."""
VALUE_CYCLES = 4
"""From a promise to its values, at least."""
JUNK = 77


class Block:
    """Positions that are read out, and the host that takes the words."""

    def __init__(
        self, geometry: Geometry, channels: list[int], seed: int, *, stall: float, gap: float
    ) -> None:
        self.geometry, self.channels = geometry, channels
        self.rng = np.random.default_rng([130, seed])
        self.stall, self.gap = stall, gap
        top = 1 << geometry.accumulator_width - 1
        shape = (len(channels), geometry.columns, geometry.pixels)
        self.values = self.rng.integers(-top, top, size=shape)
        self.values[0, 0, 0], self.values[-1, 0, 0] = -top, top - 1
        self.ready: list[int] = []

    def expected(self) -> list[int]:
        return [
            -int(value)
            for count, values in zip(self.channels, self.values, strict=True)
            for value in values[:count].T.ravel()
        ]

    def stimulus(self, *, stay: bool) -> Generator[dict[str, Any], dict[str, Any], None]:
        """Promise while there is room; values come later, hop by hop.

        They are there for a cycle, or, with ``stay``, for as long as their words take.
        """
        geometry = self.geometry
        columns, pixels, hop_columns = geometry.columns, geometry.pixels, geometry.columns_per_hop
        arrive: dict[tuple[int, int], int] = {}  # (cycle, hop): position
        left, spacing, cycle, quiet = 0, 0, 0, 0
        now = [None] * geometry.hops  # (position, until), hop by hop
        seen: dict[str, Any] = {"room": 1}
        while quiet < SURPLUS_CYCLES:
            assert cycle < 20_000, "never idle"
            ready = int(self.rng.random() >= self.stall)
            self.ready.append(ready)
            inputs: dict[str, Any] = {"promise": 0, "results.ready": ready, "channels": 0}
            # The room of the cycle before counts: a promise may come a cycle late.
            wants = left < len(self.channels) and spacing == 0 and self.rng.random() >= self.gap
            if wants and seen["room"]:
                count = self.channels[left]
                inputs |= {"promise": 1, "channels": count}
                inputs["end"] = int(left == len(self.channels) - 1)
                for hop in range(geometry.hops):
                    arrive[cycle + FLIGHT_CYCLES + hop, hop] = left
                spacing = max(count * pixels, 3)
                left += 1
            spacing = max(spacing - 1, 0)
            values = np.full((columns, pixels), JUNK)
            valids = 0
            for hop in range(geometry.hops):
                span = slice(hop * hop_columns, (hop + 1) * hop_columns)
                position = arrive.get((cycle, hop))
                if position is not None:
                    until = cycle + (self.channels[position] * pixels if stay else 1)
                    now[hop] = (position, until)
                    valids |= ((1 << hop_columns) - 1) << hop * hop_columns
                if now[hop] and cycle < now[hop][1]:
                    values[span] = self.values[now[hop][0], span]
            seen = yield {**inputs, "values": values.ravel().tolist(), "valids": valids}
            cycle += 1
            quiet = quiet + 1 if left == len(self.channels) and seen["idle"] else 0


def check(block: Block, seen: list[dict[str, Any]]) -> list[int]:
    """The words that were taken, and cycles in which they were."""
    taken, cycles, held = [], [], None
    for cycle, (ready, out) in enumerate(zip(block.ready, seen, strict=True)):
        payload = out["results.payload"]
        if held is not None:
            assert out["results.valid"] and payload == held
        held = payload if out["results.valid"] and not ready else None
        assert out["waiting"] == (not out["room"])
        assert not (out["idle"] and out["results.valid"])
        if out["results.valid"] and ready:
            taken.append(payload)
            cycles.append(cycle)
    expected = block.expected()
    assert [word["data"] for word in taken] == expected
    assert [word["last"] for word in taken] == [0] * (len(expected) - 1) + [1]
    return cycles


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize(("shape", "pixels"), SHAPES)
def test_sends_each_position_once(shape: str, pixels: int, capture: bool, stall: float) -> None:
    """Full and ragged tiles, back to back; a word offered stays until it is taken."""
    geometry = geometry_of(shape, pixels=pixels)
    rng = np.random.default_rng(130)
    channels = [geometry.columns, 1, 1, *rng.integers(1, geometry.columns + 1, 20).tolist()]
    block = Block(geometry, channels, 1, stall=stall, gap=0.0 if stall else 0.2)
    shifter = ResultShifter(geometry, depth=32, capture=capture)
    seen = trace(shifter, block.stimulus(stay=not capture), *OUTPUTS)
    cycles = check(block, seen)
    assert any(out["waiting"] for out in seen) or stall < 0.9
    if not stall:
        assert cycles[0] == first_promise(seen) + FLIGHT_CYCLES + shifter.latency_cycles


def first_promise(seen: list[dict[str, Any]]) -> int:
    """The cycle before ``idle`` falls."""
    return next(at for at, out in enumerate(seen) if not out["idle"]) - 1


def test_never_promises_more_than_the_queue_holds() -> None:
    """Positions of one word: the queue of promises is full before the FIFO is."""
    geometry = geometry_of("2x1x2x8")
    block = Block(geometry, [1] * 120, 2, stall=0.0, gap=0.0)
    seen = trace(ResultShifter(geometry, depth=128), block.stimulus(stay=False), *OUTPUTS)
    check(block, seen)
    assert FLIGHT_CYCLES > QUEUE_DEPTH and any(out["waiting"] for out in seen)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refuses_a_depth_that_no_fifo_has() -> None:
    with pytest.raises(ValueError, match="power of two, not 48"):
        ResultShifter(geometry_of("2x1x2x8"), depth=48)
    with pytest.raises(ValueError, match=r"depth is 8.*at least 18"):
        ResultShifter(geometry_of("2x1x6x8", pixels=2), depth=8)


def test_reset_in_mid_position() -> None:
    geometry = geometry_of("2x1x2x8")
    ask = {"promise": 1, "channels": 2, "end": 1, "results.ready": 1}
    come = {"promise": 0, "values": [-5, 6], "valids": 3}
    wait = {"promise": 0}
    quiet = {"rst": 0, "valids": 0}
    stimulus = [
        {**ask, "results.ready": 1},
        *[wait] * VALUE_CYCLES,
        come,
        quiet,
        {"rst": 1},
        *[quiet] * SURPLUS_CYCLES,
        ask,
        *[wait] * VALUE_CYCLES,
        come,
        *[quiet] * 20,
    ]
    seen = trace(ResultShifter(geometry), stimulus, *OUTPUTS)
    assert not any(out["results.valid"] for out in seen[8 : 8 + SURPLUS_CYCLES])
    words = [out["results.payload"] for out in seen[8 + SURPLUS_CYCLES :] if out["results.valid"]]
    assert words == [{"data": 5, "last": 0}, {"data": -6, "last": 1}]
    assert seen[-1]["idle"]
