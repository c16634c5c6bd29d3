# SPDX-License-Identifier: Apache-2.0
"""The collector: codes of a layer, pooled, in the words where the next layer reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace
from tests.gateware.maps import written
from tests.gateware.outputs import OUTPUTS, OutputLayer

from xnorflow.gateware.collector import Collector

PORTS = ("done", "writes")


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("case", OUTPUTS, ids=lambda case: f"{case.shape}-{case.out_shape}")
def test_writes_a_layer(case: OutputLayer, idle: float) -> None:
    """Two layers in a row; each ends with its last write, and nothing comes after it."""
    geometry = case.geometry
    rng = np.random.default_rng(151)
    stimulus: list[dict[str, Any]] = []
    expected, ends = [], []
    for _ in range(2):
        codes, directions = case.random_codes(rng)
        layer = case.cycles(codes, directions, rng, idle)
        # Up to the last code; through the pool; word by word; registered.
        ends.append(len(stimulus) + len(layer) - 2 + 2 + case.write_cycles(case.tiles - 1) + 1)
        stimulus += [*layer, *[{"valid": 0}] * SURPLUS_CYCLES]
        expected.append(case.target.words_of(case.pooled(codes, directions)))
    seen = trace(Collector(geometry), stimulus, *PORTS)

    begun = [at for at, now in enumerate(stimulus) if now.get("start")]
    for part, (start, end) in enumerate(zip(begun, ends, strict=True)):
        span = seen[start + 1 : (begun[1] if part == 0 else len(seen))]
        memory, _ = written(geometry, span)
        # Bits of channels that the map does not have are 0 in every word.
        assert memory == expected[part]
        writes = [start + 1 + at for at, out in enumerate(span)
                  if any(write["enable"] for write in out["writes"])]  # fmt: skip
        assert writes[-1] == end
        done = [start + 1 + at for at, out in enumerate(span) if out["done"]]
        assert done == list(range(end, start + 1 + len(span)))


def test_reset_in_mid_layer() -> None:
    """After a reset nothing is written, and the next layer is whole."""
    case = OUTPUTS[2]
    rng = np.random.default_rng(152)
    codes, directions = case.random_codes(rng)
    layer = case.cycles(codes, directions, rng, 0.0)
    quiet = [{"rst": 0, "valid": 0}] * SURPLUS_CYCLES
    cut = len(layer) // 2
    stimulus = [*layer[:cut], {"rst": 1, "valid": 0}, *quiet, *layer, *quiet]
    seen = trace(Collector(case.geometry), stimulus, *PORTS)
    assert written(case.geometry, seen[: cut + 1])[1] > 0
    assert written(case.geometry, seen[cut + 1 : cut + 1 + SURPLUS_CYCLES])[1] == 0
    memory, _ = written(case.geometry, seen[cut + 1 + SURPLUS_CYCLES :])
    assert memory == case.target.words_of(case.pooled(codes, directions))
