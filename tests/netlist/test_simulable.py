# SPDX-License-Identifier: Apache-2.0
"""Netlists as plain Verilog: what a netlist's cells do is what its source says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.gateware.yosys import run_yosys

from xnorflow.synthesis.netlist import synthesise
from xnorflow.synthesis.simulable import close_carries, simulable
from xnorflow.synthesis.tools import SynthesisError

SOURCE = """module top(input clk, input rst, input [4:0] a, input signed [4:0] b,
           output reg [7:0] total, output reg signed [9:0] product, output [3:0] both);
  always @(posedge clk) begin
    total <= rst ? 8'd3 : total + a;
    product <= $signed({1'b0, a}) * b;
  end
  assign both = total[7:4] ^ (a[3:0] & b[3:0]);
endmodule
"""

MEMORY = """module top(input clk, input [2:0] at, input [35:0] d, output [35:0] q);
  DP16KD #(.DATA_WIDTH_A(9), .DATA_WIDTH_B(9)%s) ram(.CLKA(clk), .CLKB(clk), .CEA(1'b1),
    .CEB(1'b1), .WEA(1'b1), .ADA3(at[0]), .ADB3(at[1]), .DIA0(d[0]), .DOB0(q[0]));
endmodule
"""


def test_a_netlist_does_what_its_source_does(tmp_path: Path) -> None:
    """Proved for six cycles: counters, carries, products and gates of an ECP5."""
    synthesise(SOURCE, "top", "ecp5", tmp_path, language="verilog")
    made = simulable(tmp_path / "netlist.json", "ecp5", "cells")
    script = "read_verilog source.v cells.v; proc; flatten; miter -equiv -make_outputs "
    script += "-flatten top cells both; hierarchy -top both; "
    script += "sat -verify -seq 6 -set-at 1 in_rst 1 -prove trigger 0 -prove-skip 2 both"
    run_yosys(script, files={"source.v": SOURCE, "cells.v": made})


def test_a_mode_without_a_model_is_refused(tmp_path: Path) -> None:
    source = MEMORY % ', .WRITEMODE_A("READBEFOREWRITE")'
    synthesise(source, "top", "ecp5", tmp_path, language="verilog")
    with pytest.raises(SynthesisError, match="mode_of_dp16kd_that_is_not_modelled"):
        simulable(tmp_path / "netlist.json", "ecp5", "cells")


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": {"top": {}}}))
    with pytest.raises(ValueError, match=r"family must be one of .*'ecp5', 'ice40'.*not 'xc7'"):
        simulable(tmp_path / "netlist.json", "xc7", "cells")


def test_open_carries_get_the_value_that_would_show() -> None:
    pins = {"CIN": ["x"], "COUT": ["x"], "A0": [2]}
    other = {"CIN": ["0"], "COUT": [3]}
    cells = {
        "a": {"type": "CCU2C", "connections": pins},
        "b": {"type": "CCU2C", "connections": other},
    }
    close_carries({"cells": cells})
    assert pins == {"CIN": ["1"], "A0": [2]}
    assert other == {"CIN": ["0"], "COUT": [3]}
