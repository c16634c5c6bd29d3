# SPDX-License-Identifier: Apache-2.0
"""The collector: codes of a row, pooled, in the words where the next row reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace
from tests.gateware.maps import written
from tests.gateware.outputs import OUTPUTS, OutputRow

from xnorflow.gateware.collector import Collector

PORTS = ("done", "writes")


def enabled(out: dict[str, Any]) -> bool:
    return any(any(write["enable"]) for write in out["writes"])


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("case", OUTPUTS, ids=str)
def test_writes_a_row(case: OutputRow, idle: float) -> None:
    """Two rows one after the other; each ends with its last write, and nothing comes after it."""
    geometry = case.geometry
    collector = Collector(geometry)
    rng = np.random.default_rng(151)
    stimulus: list[dict[str, Any]] = []
    expected, ends = [], []
    for _ in range(2):
        codes, directions = case.random_codes(rng)
        row = case.cycles(codes, directions, rng, idle)
        last = len(stimulus) + len(row) - 2
        ends.append(last + collector.latency_cycles + case.write_cycles(case.tiles - 1))
        stimulus += [*row, *[{"valid": 0}] * SURPLUS_CYCLES]
        expected.append(case.expected(codes, directions))
    seen = trace(collector, stimulus, *PORTS)

    begun = [at for at, now in enumerate(stimulus) if now.get("start")]
    for part, (start, end) in enumerate(zip(begun, ends, strict=True)):
        span = seen[start + 1 : (begun[1] if part == 0 else len(seen))]
        memory, _ = written(geometry, span)
        # Bits of channels that the map does not have are 0 in every word.
        assert memory == expected[part]
        assert max(start + 1 + at for at, out in enumerate(span) if enabled(out)) == end - 1
        done = [start + 1 + at for at, out in enumerate(span) if out["done"]]
        assert done == list(range(end, start + 1 + len(span)))


def test_reset_in_mid_row() -> None:
    """After a reset nothing is written, and the next row is whole."""
    case = OUTPUTS[3]
    rng = np.random.default_rng(152)
    codes, directions = case.random_codes(rng)
    row = case.cycles(codes, directions, rng, 0.0)
    quiet = [{"rst": 0, "valid": 0}] * SURPLUS_CYCLES
    cut = len(row) // 2
    stimulus = [*row[:cut], {"rst": 1, "valid": 0}, *quiet, *row, *quiet]
    seen = trace(Collector(case.geometry), stimulus, *PORTS)
    assert written(case.geometry, seen[: cut + 1])[1] > 0
    assert written(case.geometry, seen[cut + 1 : cut + 1 + SURPLUS_CYCLES])[1] == 0
    memory, _ = written(case.geometry, seen[cut + 1 + SURPLUS_CYCLES :])
    assert memory == case.expected(codes, directions)
