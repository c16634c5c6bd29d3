# SPDX-License-Identifier: Apache-2.0
"""The accelerator as cells of an FPGA gives what the golden model gives, on real images."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.netlist.runs import BUILD_HASH, GEOMETRY, check_netlist

from xnorflow.gateware.accelerator import Accelerator
from xnorflow.synthesis.bench import describe
from xnorflow.synthesis.netlist import synthesise

CELLS = {
    "ecp5": {"LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D"},
    "ice40": {"SB_LUT4", "SB_CARRY", "SB_DFF", "SB_RAM40_4K"},
}
"""Cells that must be in the netlist, or the test says less than it seems to."""


@pytest.mark.slow
@pytest.mark.parametrize("family", CELLS)
def test_every_layer_of_a_small_network(family: str, tmp_path: Path) -> None:
    text = describe(Accelerator(GEOMETRY, build_hash=BUILD_HASH), family)
    synthesise(text, "top", family, tmp_path, language="rtlil")
    netlist = tmp_path / "netlist.json"
    cells = json.loads(netlist.read_text())["modules"]["top"]["cells"].values()
    assert set(Counter(cell["type"] for cell in cells)) >= CELLS[family]
    assert check_netlist(netlist, family, images=8) > 0
