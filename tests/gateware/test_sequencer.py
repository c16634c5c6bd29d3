# SPDX-License-Identifier: Apache-2.0
"""The sequencer against nested loops in Python: every segment of a row, in order."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace
from tests.gateware.inputs import LAYERS, Layer, Segment

from xnorflow.gateware.sequencer import Sequencer

OUTPUTS = ("segments.valid", "segments.payload", "scale_index", "done")


class Host:
    """Starts rows, answers as the scale memory, takes segments, watches the stream."""

    def __init__(self, scales: list[int], rng: np.random.Generator, stall: float) -> None:
        self.scales, self.rng, self.stall = scales, rng, stall
        self.taken: list[Segment] = []
        self.cycles: list[int] = []
        self.looked_up = [0] * Sequencer.SCALE_CYCLES

    def row(
        self, row: dict[str, int], units: int, *, part: int = 0, final: int = 1
    ) -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {"row": row, "units": units, "part": part, "final": final, "start": 0}
        seen = yield {"start": 1, "segments.ready": 0}
        cycle, held = 0, None
        while True:
            self.looked_up = [*self.looked_up[1:], self.scales[seen["scale_index"]]]
            ready = int(self.rng.random() >= self.stall)
            seen = yield {"start": 0, "segments.ready": ready, "scale": self.looked_up[0]}
            cycle += 1
            assert cycle < 20_000, "not done"
            if held is not None:
                assert seen["segments.valid"] and seen["segments.payload"] == held
            held = None
            if seen["segments.valid"] and ready:
                self.taken.append(seen["segments.payload"])
                self.cycles.append(cycle)
            elif seen["segments.valid"]:
                held = seen["segments.payload"]
            if seen["done"]:
                return

    def quiet(self) -> Generator[dict[str, Any], dict[str, Any], None]:
        for _ in range(SURPLUS_CYCLES):
            seen = yield {"segments.ready": 1}
            assert seen["done"] and not seen["segments.valid"]


def check(layer: Layer, taken: list[Segment], expected: list[Segment]) -> None:
    """Compare what a segment of each kind means; other fields may hold anything."""
    assert len(taken) == len(expected)
    active = 0
    for number, (found, now) in enumerate(zip(taken, expected, strict=True)):
        where = f"segment {number}: found {found}, expected {now}"
        for name, value in now.items():
            if name == "reads":
                assert layer.found_reads(found, active) == value, where
            else:
                assert found[name] == value, f"{name} of {where}"
        if now["load"]:
            active = now["pass"]["active"]


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("name", LAYERS)
def test_walks_a_row(name: str, stall: float) -> None:
    """A whole row, one with a unit less, a whole one again: counters come back to the start."""
    layer = LAYERS[name]
    rng = np.random.default_rng(170)
    scales = rng.integers(1 << layer.geometry.scale_width, size=layer.geometry.scale_depth).tolist()
    whole, less = layer.blocks
    runs = [(whole, 0, 1), (less, 1, 0), (whole, 1, 1)]  # units, part, final
    host = Host(scales, rng, stall)

    def run() -> Generator[dict[str, Any], dict[str, Any], None]:
        for units, part, final in runs:
            yield from host.row(layer.row, units, part=part, final=final)
        yield from host.quiet()

    trace(Sequencer(layer.geometry), run(), *OUTPUTS)
    expected = [
        now
        for units, part, final in runs
        for now in layer.segments(units, scales, part=part, final=final)
    ]
    check(layer, host.taken, expected)
    if not stall:
        # A pass's first segment comes a cycle later: the loops outside the pass turn.
        late, at = 0, Sequencer.latency_cycles - 1
        segments = list(layer.segments(whole, scales))
        cycles = []
        for before, now in pairwise([{"load": 0}, *segments]):
            late += (now["load"] or now["read"]) and not before.get("read") and bool(cycles)
            cycles.append(at + len(cycles) + 1 + late)
        assert host.cycles[: len(segments)] == cycles


@pytest.mark.parametrize("cut", [1, 6, 17])
def test_reset_in_mid_row(cut: int) -> None:
    layer = LAYERS["padded and pooled"]
    rng = np.random.default_rng([171, cut])
    scales = rng.integers(1 << 16, size=layer.geometry.scale_depth).tolist()
    host = Host(scales, rng, 0.0)

    def run() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {"row": layer.row, "units": 2, "start": 0}
        yield {"start": 1}
        for _ in range(cut):
            yield {"start": 0, "segments.ready": 1}
        yield {"rst": 1}
        yield {"rst": 0}
        yield from host.quiet()
        yield from host.row(layer.row, 2)
        yield from host.quiet()

    trace(Sequencer(layer.geometry), run(), *OUTPUTS)
    check(layer, host.taken, list(layer.segments(2, scales)))
