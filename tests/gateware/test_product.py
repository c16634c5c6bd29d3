# SPDX-License-Identifier: Apache-2.0
"""The product against Python, and the ECP5's DSP block against the portable form."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module, Shape, Signal, signed, unsigned
from amaranth.back import rtlil
from tests.gateware.helpers import trace
from tests.gateware.yosys import run_yosys

from xnorflow.gateware.product import Product
from xnorflow.gateware.target import Target

SHAPES = [(signed(5), unsigned(4)), (unsigned(4), unsigned(3)), (signed(4), signed(4))]

PINS = [f"{name}{pin}" for name in "ABC" for pin in range(18)]
# A MULT18X18D with the registers that its parameters ask for (Lattice FPGA-TN-02205).
BLOCK = f"""
module MULT18X18D({", ".join(f"input {pin}" for pin in PINS)},
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    {", ".join(f"output P{pin}" for pin in range(36))});
  parameter REG_INPUTA_CLK="NONE", REG_INPUTA_CE="CE0", REG_INPUTA_RST="RST0";
  parameter REG_INPUTB_CLK="NONE", REG_INPUTB_CE="CE0", REG_INPUTB_RST="RST0";
  parameter REG_INPUTC_CLK="NONE";
  parameter REG_PIPELINE_CLK="NONE", REG_PIPELINE_CE="CE0", REG_PIPELINE_RST="RST0";
  parameter REG_OUTPUT_CLK="NONE", REG_OUTPUT_CE="CE0", REG_OUTPUT_RST="RST0";
  parameter CLK0_DIV="ENABLED", GSR="ENABLED", RESETMODE="SYNC";
  wire [17:0] a = {{{", ".join(f"A{pin}" for pin in reversed(range(18)))}}};
  wire [17:0] b = {{{", ".join(f"B{pin}" for pin in reversed(range(18)))}}};
  reg [17:0] ra, rb; reg [35:0] rp, ro;
  wire [17:0] ia = REG_INPUTA_CLK == "CLK0" ? ra : a, ib = REG_INPUTB_CLK == "CLK0" ? rb : b;
  wire signed [18:0] sa = {{SIGNEDA & ia[17], ia}}, sb = {{SIGNEDB & ib[17], ib}};
  wire [35:0] p = sa * sb, ip = REG_PIPELINE_CLK == "CLK0" ? rp : p;
  wire [35:0] o = REG_OUTPUT_CLK == "CLK0" ? ro : ip;
  assign {{{", ".join(f"P{pin}" for pin in reversed(range(36)))}}} = o;
  always @(posedge CLK0) if (RST0) begin ra <= 0; rb <= 0; rp <= 0; ro <= 0; end
    else if (CE0) begin ra <= a; rb <= b; rp <= p; ro <= ip; end
endmodule
"""


@pytest.mark.parametrize(
    "a, b",
    [*SHAPES, (signed(14), unsigned(16)), (signed(20), unsigned(16)), (signed(6), unsigned(1))],
)
def test_products_come_two_cycles_later(a: Shape, b: Shape) -> None:
    rng = np.random.default_rng([180, a.width, b.width])

    def numbers(shape: Shape) -> list[int]:
        low = -(1 << shape.width - 1) if shape.signed else 0
        high = low + (1 << shape.width)
        return [low, high - 1, *rng.integers(low, high, size=60).tolist()]

    pairs = [(x, y) for x, y in zip(numbers(a), numbers(b)[::-1], strict=True)]
    late = Product.latency_cycles
    stimulus = [{"a": x, "b": y} for x, y in pairs] + [{}] * late
    seen = trace(Product(a, b), stimulus, "product")
    assert [out["product"] for out in seen[late:]] == [x * y for x, y in pairs]


def differs(a: Shape, b: Shape) -> str:
    """RTLIL of both forms side by side; ``wrong`` where they differ."""
    m = Module()
    left, right, wrong = Signal(a), Signal(b), Signal()
    m.submodules.dsp, m.submodules.plain = dsp, plain = Product(a, b), Product(a, b)
    for unit in (dsp, plain):
        m.d.comb += [unit.a.eq(left), unit.b.eq(right)]
    m.d.comb += wrong.eq(dsp.product != plain.product)
    dsp_only = dsp.elaborate
    dsp.elaborate = lambda platform: dsp_only(Target("ecp5"))  # type: ignore[method-assign]
    return rtlil.convert(m, name="proof", ports=[left, right, wrong], emit_src=False)


def prove(text: str, block: str = BLOCK) -> None:
    """In the third cycle; registers begin with anything, and nothing is fed back."""
    script = "read_rtlil proof.il; read_verilog block.v; hierarchy -top proof; proc; flatten; "
    script += "opt -full; wreduce; opt -full; "
    script += "sat -verify -seq 3 -prove wrong 0 -prove-skip 2 proof"
    run_yosys(script, files={"proof.il": text, "block.v": block})


@pytest.mark.parametrize("a, b", SHAPES)
def test_the_dsp_block_multiplies(a: Shape, b: Shape) -> None:
    prove(differs(a, b))


@pytest.mark.parametrize(
    "right, wrong",
    [('"CLK0" ? rb : b', '"CLK1" ? rb : b'), ('"CLK0" ? ro : ip', '"CLK1" ? ro : ip')],
)
def test_the_proof_can_fail(right: str, wrong: str) -> None:
    """Without the register of one operand, and without that of the product."""
    assert right in BLOCK
    with pytest.raises(AssertionError, match="proof did fail"):
        prove(differs(signed(5), unsigned(4)), BLOCK.replace(right, wrong))
