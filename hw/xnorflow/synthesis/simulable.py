# SPDX-License-Identifier: Apache-2.0
"""A synthesised netlist as Verilog that can be simulated: its cells replaced by what they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xnorflow.synthesis.tools import YOSYS, run_tool

__all__ = ["NETLIST_FAMILIES", "simulable"]

# Yosys' own models of cells, and ours, which take their place.
_MODELS = {
    "ecp5": ("+/lattice/common_sim.vh +/lattice/ccu2c_sim.vh", "ecp5_cells.v"),
    "ice40": ("+/ice40/cells_sim.v", "ice40_cells.v"),
}
NETLIST_FAMILIES = tuple(_MODELS)


def close_carries(module: dict[str, Any]) -> None:
    """Give the open ends of carry chains a value, the one that shows whether it matters.

    :func:`open_carries` left them to the placer, as no position looks at them: so an arriving
    carry is 1 here.
    """
    for cell in module["cells"].values():
        pins = cell["connections"]
        if cell["type"] == "CCU2C":
            if pins.get("CIN") == ["x"]:
                pins["CIN"] = ["1"]
            if pins.get("COUT") == ["x"]:
                del pins["COUT"]


def simulable(netlist: Path, family: str, name: str) -> str:
    """Verilog of a netlist with the same ports, in plain expressions and registers.

    Parameters
    ----------
    netlist : Path
        JSON as Yosys writes it, with one module; as nextpnr is given it. The folder gets
        Yosys' files.
    family : str
        ``"ecp5"`` or ``"ice40"``: whose cells it has.
    name : str
        Of the module that is made.

    Raises
    ------
    ValueError
        If the family is neither.
    SynthesisError
        If a cell has no model, or a mode that its model lacks: the message names it.
    """
    if family not in _MODELS:
        raise ValueError(f"simulable: family must be one of {NETLIST_FAMILIES}, not {family!r}")
    folder = netlist.parent
    design = json.loads(netlist.read_text())
    (top,) = design["modules"]
    close_carries(design["modules"][top])
    (folder / "closed.json").write_text(json.dumps(design))
    theirs, ours = _MODELS[family]
    (folder / ours).write_text(Path(__file__).with_name(ours).read_text())
    commands = (
        f"read_verilog -defer {theirs}",  # most of them are not wanted
        f"read_verilog -defer -overwrite {ours}",
        "read_json closed.json",
        f"hierarchy -check -top {top}",
        "proc",
        "flatten",
        "clean",
        f"rename {top} {name}",
        "write_verilog -noattr simulable.v",
    )
    run_tool(YOSYS, ["-q", "-l", "simulable.log", "-p", "; ".join(commands)], folder, "yosys.out")
    return (folder / "simulable.v").read_text()
