# SPDX-License-Identifier: Apache-2.0
"""Numbers that the compiler repeats, because it may not import the gateware."""

from __future__ import annotations

import pytest
from tests.gateware.helpers import SHAPES, geometry_of

from xnorflow.compile import cycles, plan
from xnorflow.gateware.accelerator import Accelerator
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.banks import Fetch
from xnorflow.gateware.foot import Foot
from xnorflow.gateware.issuer import Issuer
from xnorflow.gateware.pool import Pool
from xnorflow.gateware.threshold import ThresholdUnit

ALL = [*SHAPES, "2x1x5x64", "8x2x24x8", "2x2x128x32"]


def test_cycles_of_single_components() -> None:
    assert Fetch.latency_cycles == cycles.FETCH_CYCLES
    assert cycles.FOOT_SUM_CYCLES == Foot.SUM_CYCLES
    assert Pool.latency_cycles == cycles.POOL_CYCLES
    assert plan.TURNAROUND_CYCLES == Foot.TURNAROUND_CYCLES


@pytest.mark.parametrize("max_lanes", [1, 2, 3])
@pytest.mark.parametrize("shape", ALL)
def test_cycles_of_a_geometry(shape: str, max_lanes: int) -> None:
    geometry = geometry_of(shape, max_lanes=max_lanes)
    array = Fetch.latency_cycles + SystolicArray.cycles(geometry) + geometry.hops - 1
    assert cycles.pipeline_cycles(geometry) == array
    assert Foot.cycles(geometry) == cycles.FOOT_SUM_CYCLES + ThresholdUnit.cycles(geometry)
    assert ThresholdUnit.cycles(geometry) == 2 * max_lanes
    assert Issuer.gap_cycles(geometry) == (geometry.streams - 1) * geometry.taps
    # The flush outlasts a beat's whole way: registers before the fetch, array, foot, pool, writes.
    phases = -(-max_lanes // geometry.streams)
    way = 2 + array + Foot.cycles(geometry) + Pool.latency_cycles
    words = -(-(geometry.columns + geometry.word_width - geometry.granule) // geometry.word_width)
    way += 2 + words * phases
    assert Accelerator.flush_cycles(geometry) >= way
