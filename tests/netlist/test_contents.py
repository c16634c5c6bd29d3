# SPDX-License-Identifier: Apache-2.0
"""A network in the memories from the start, as cells: initial values survive synthesis."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.netlist.runs import BUILD_HASH, GEOMETRY, network
from tests.system.test_baked import FLAT, fully_connected

from xnorflow.compile.program import compile_network
from xnorflow.core.contents import Contents
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.compare import compare
from xnorflow.flat.choose import make_accelerator
from xnorflow.gateware.memory import ecp5_blocks, ecp5_init
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.design import SimulatedDesign
from xnorflow.simulation.model import build_design
from xnorflow.simulation.transport import SimulatedTransport
from xnorflow.synthesis.bench import describe
from xnorflow.synthesis.netlist import synthesise
from xnorflow.synthesis.simulable import simulable
from xnorflow.zoo.catalog import sample

PLAIN = """module top(input clk, input we, input [{a}:0] wa, ra, input [{w}:0] d,
           output reg [{w}:0] q);
  (* ram_style = "block" *) reg [{w}:0] ram[0:{d}];
  initial $readmemh("words.hex", ram);
  always @(posedge clk) begin
    if (we) ram[wa] <= d;
    q <= ram[ra];
  end
endmodule
"""


def cells(netlist: Path) -> list[dict]:
    (top,) = json.loads(netlist.read_text())["modules"].values()
    return list(top["cells"].values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "depth"), [(36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)]
)
def test_an_ecp5_block_begins_as_yosys_has_it(width: int, depth: int, tmp_path: Path) -> None:
    rng = random.Random(width)
    words = [rng.getrandbits(width) for _ in range(depth)]
    (tmp_path / "words.hex").write_text("\n".join(f"{word:x}" for word in words))
    source = PLAIN.format(a=(depth - 1).bit_length() - 1, w=width - 1, d=depth - 1)
    synthesise(source, "top", "ecp5", tmp_path, language="verilog")
    (block,) = (c for c in cells(tmp_path / "netlist.json") if c["type"] in ("DP16KD", "PDPW16KD"))
    theirs = {
        name: int(value, 2)
        for name, value in block["parameters"].items()
        if name.startswith("INITVAL_") and int(value, 2)
    }
    blocks = ecp5_blocks(width, depth, width)
    assert blocks is not None
    ours = {f"INITVAL_{index:02X}": v for index, v in enumerate(ecp5_init(words, *blocks)[0]) if v}
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
@pytest.mark.parametrize("kind", ["flat", "general"])
def test_a_baked_network_runs_as_a_netlist(kind: str, family: str, tmp_path: Path) -> None:
    """Real images without a configuration word, then with another network loaded over it."""
    make, geometry = (fully_connected, FLAT) if kind == "flat" else (network, GEOMETRY)
    artifact = make(5)
    program = compile_network(artifact, geometry)
    contents = Contents.of(geometry, program.config)
    top = make_accelerator(geometry, build_hash=BUILD_HASH, contents=contents)
    synthesise(describe(top, family), "top", family, tmp_path, language="rtlil")
    verilog = simulable(tmp_path / "netlist.json", family, "xnorflow")
    model = build_design(SimulatedDesign(geometry, verilog, BUILD_HASH), optimise=False)
    images = sample("mnist")[0][:4]
    with Accelerator(SimulatedTransport(model), geometry=geometry) as device:
        device.adopt(program)
        for loaded in (artifact, make(6)):
            if loaded is not artifact:
                device.load(loaded)
            found = compare(
                device.run(images, record=True), GoldenNetwork(loaded)(images), loaded.network
            )
            assert found.identical, str(found)
