# SPDX-License-Identifier: Apache-2.0
"""Numbers that the compiler repeats, because it may not import the gateware."""

from __future__ import annotations

import pytest
from tests.gateware.helpers import SHAPES, geometry_of

from xnorflow.compile import cycles, plan
from xnorflow.gateware.accelerator import Accelerator
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.collector import Collector
from xnorflow.gateware.fabric import Fabric
from xnorflow.gateware.fetch import Fetch
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.issuer import Issuer
from xnorflow.gateware.outwalk import OutputWalk
from xnorflow.gateware.pacer import READ_CYCLES, Pacer
from xnorflow.gateware.pool import Pool
from xnorflow.gateware.popcount import PopcountTree
from xnorflow.gateware.store import ProgramStore
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.gateware.weightbank import WeightBank
from xnorflow.gateware.writepath import WritePath

ALL = [*SHAPES, "2x1x5x64", "8x2x24x8", "2x2x128x32", "3x3x32x64,weight_bus=144,pixels=2"]
ALL += ["3x3x32x64,popcount_levels=1", "3x1x4x16,popcount_levels=1"]


def test_cycles_of_single_components() -> None:
    assert Fetch.latency_cycles == cycles.FETCH_CYCLES
    assert WeightBank.latency_cycles == cycles.WEIGHT_BANK_CYCLES
    assert Feet.SUM_CYCLES == cycles.FOOT_SUM_CYCLES
    assert Feet.TURNAROUND_CYCLES == cycles.TURNAROUND_CYCLES
    assert READ_CYCLES == cycles.READ_CYCLES
    assert OutputWalk.latency_cycles == Pool.latency_cycles
    # A row that reads what another one wrote last, or the input, starts after that.
    assert WritePath.latency_cycles < cycles.START_CYCLES
    assert Pool.line_cycles == plan.POOL_TURNAROUND_CYCLES
    assert 1 + Collector.latency_cycles == cycles.COLLECT_CYCLES  # Deskew's register


@pytest.mark.parametrize("max_lanes", [1, 2, 3])
@pytest.mark.parametrize("shape", ALL)
def test_cycles_of_a_geometry(shape: str, max_lanes: int) -> None:
    geometry = geometry_of(shape, max_lanes=max_lanes)
    assert SystolicArray.cycles(geometry) == cycles.array_cycles(geometry)
    assert PopcountTree.of(geometry).cycles == geometry.popcount_cycles
    assert Fabric.foot_cycles(geometry) == cycles.sum_cycles(geometry)
    assert Feet.cycles(geometry) == cycles.FOOT_SUM_CYCLES + max_lanes
    assert ThresholdUnit.cycles(geometry) == max_lanes
    assert Pacer.record_offset(geometry) == cycles.record_offset(geometry)
    for records in (False, True):
        load = Pacer.load_cycles(geometry, records=records)
        assert load == cycles.load_cycles(geometry, records)
        spacing = Pacer.spacing_cycles(geometry, records=records)
        assert spacing == cycles.spacing_cycles(geometry, records)
        assert spacing >= load
    # Control takes a row, checks it, and reads the next one; what runs takes longer than that.
    skipped = ProgramStore.fetch_cycles(geometry) + 4
    assert cycles.START_CYCLES + geometry.rows > ProgramStore.fetch_cycles(geometry) - 6
    assert cycles.skip_cycles(geometry) == skipped
    # The flush outlasts a beat's whole way: issuer, fabric, collector.
    lanes = -(-max_lanes // geometry.streams)
    words = -(-(geometry.columns + geometry.word_width - geometry.granule) // geometry.word_width)
    way = Issuer.latency_cycles + Fabric.foot_cycles(geometry) + geometry.hops - 1
    way += Feet.cycles(geometry) + cycles.COLLECT_CYCLES + words * lanes
    assert Accelerator.flush_cycles(geometry) >= way
