# SPDX-License-Identifier: Apache-2.0
"""What others need for the same operation, synthesised by the same tools in the same run."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from xnorflow.synthesis.tools import SynthesisError

__all__ = ["PEERS", "behavioural", "da4ml_product"]


def behavioural(width: int) -> str:
    """Verilog of an XNOR-popcount unit as one would write it down; registered inputs and sum."""
    bits = (width).bit_length()
    return f"""module peer(input clk, input [{width - 1}:0] x, w, output reg [{bits - 1}:0] count);
  reg [{width - 1}:0] a, b;
  wire [{width - 1}:0] same = ~(a ^ b);
  reg [{bits - 1}:0] total;
  integer i;
  always @* begin
    total = 0;
    for (i = 0; i < {width}; i = i + 1) total = total + same[i];
  end
  always @(posedge clk) begin a <= x; b <= w; count <= total; end
endmodule
"""


def da4ml_product(width: int, *, seed: int = 0) -> str:
    """Verilog of da4ml's product of ``width`` bits with random constant weights +1 and -1.

    Its weights are wires: it saves the XORs and the weights' registers, and computes one network
    only.

    Raises
    ------
    SynthesisError
        If da4ml is missing.
    """
    try:
        import numpy as np
        from da4ml.codegen import rtl
        from da4ml.codegen.rtl.verilog.comb import comb_logic_gen
        from da4ml.trace import FixedVariableArrayInput, comb_trace
    except ImportError as error:
        raise SynthesisError("da4ml is missing: pip install 'xnorflow[fpga]'") from error
    rng = random.Random(seed)
    weights = np.array([[rng.choice((-1.0, 1.0))] for _ in range(width)])
    inputs = FixedVariableArrayInput(width)
    solution = comb_trace(inputs, inputs.quantize(k=0, i=1, f=0) @ weights)
    library = Path(rtl.__file__).parent / "verilog" / "source"
    parts = [comb_logic_gen(solution, "peer")]
    parts += [(library / name).read_text() for name in ("shift_adder.v", "negative.v")]
    return "\n".join(parts)


PEERS: dict[str, Callable[[int], str]] = {
    "behavioural popcount": behavioural,
    "da4ml, constant weights": da4ml_product,
}
"""Verilog of one word's product by peer; its top module is ``peer``."""
