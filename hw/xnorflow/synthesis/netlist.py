# SPDX-License-Identifier: Apache-2.0
"""Synthesis with Yosys, and what the result takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnorflow.synthesis.tools import YOSYS, run_tool

__all__ = ["FAMILIES", "Resources", "open_carries", "synthesise"]

FAMILIES = ("ecp5", "xc7", "ice40", "gowin")

# Each module by itself, then flattened: registers of equal delay in different places must stay
# apart, and Yosys would merge them into one whose net spans the chip. ABC instead of ABC9: the
# critical paths are carry cells that neither changes, and ABC9 trips over their names.
_ANY_COLLISION = "setparam -set COLLISION_X_MASK 1'1 */t:$memrd_v2 */r:MEMID=*block_ram %i"
"""A word that is read while it is written is undefined (gateware/memory.py); else Yosys spends
registers and multiplexers on it."""

_SCRIPTS = {
    "ecp5": (
        "synth_lattice -family ecp5 -nowidelut -noiopad -noflatten -top {top} -run begin:map_luts",
        "opt_merge",
        "techmap -map +/lattice/latches_map.v",
        "abc -lut 4",
        "clean",
        "synth_lattice -family ecp5 -nowidelut -run map_cells:check",
        "blackbox =A:whitebox",
    ),
    "xc7": (
        "synth_xilinx -family xc7 -noiopad -noclkbuf -nosrl -top {top} -run begin:map_luts",
        "opt_expr -mux_undef -noclkinv",
        "opt_merge",
        "abc -luts 2:2,3,6:5",
        "clean",
        "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
        "xilinx_dffopt",
        "opt_lut_ins -tech xilinx",
        "clean",
        "blackbox =A:whitebox",
    ),
    # Small devices: what is the same is shared. ABC as above.
    "ice40": (
        _ANY_COLLISION,
        "synth_ice40 -device u -dsp -top {top} -run begin:map_luts",
        "techmap -map +/ice40/latches_map.v",
        "abc -lut 4",
        "ice40_wrapcarry -unwrap",
        "techmap -map +/ice40/ff_map.v",
        "clean",
        "opt_lut -tech ice40",
        "synth_ice40 -device u -run map_cells:blif",
        "blackbox =A:whitebox",
    ),
    "gowin": (
        _ANY_COLLISION,
        "synth_gowin -family gw2a -top {top} -run begin:map_luts",
        "sort",
        "abc -lut 4",
        "clean",
        "synth_gowin -family gw2a -run map_cells:vout",
        "blackbox =A:whitebox",
    ),
}


@dataclass(frozen=True)
class Resources:
    """What a netlist takes of its family.

    Parameters
    ----------
    lut : int
        ECP5: LUT4 + 2 for each CCU2C, and 6 for a DPR16X4 (4 of memory, 2 to write them). 7-series:
        LUT1..LUT6 and LUT6_2 one each; those used as memory or shift register likewise. iCE40:
        SB_LUT4. Gowin: LUT1..LUT4, ALU, and 4 for a RAM16SDP4.
    ff : int
        Flip-flops.
    memory_blocks : int
        ECP5: DP16KD (18 kbit). 7-series: halves of a RAMB36E1, so RAMB18E1 count one. iCE40:
        SB_RAM40_4K (4 kbit). Gowin: BSRAM (18 kbit).
    dsp : int
        Multipliers.
    """

    lut: int
    ff: int
    memory_blocks: int
    dsp: int


def _ecp5(cells: dict[str, int]) -> Resources:
    return Resources(
        lut=cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0) + 6 * cells.get("TRELLIS_DPR16X4", 0),
        ff=cells.get("TRELLIS_FF", 0),
        memory_blocks=cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
        dsp=cells.get("MULT18X18D", 0),
    )


_XC7_RAM_LUTS = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4}


def _xc7(cells: dict[str, int]) -> Resources:
    luts = sum(number for name, number in cells.items() if name.startswith("LUT"))
    luts += sum(number for name, number in cells.items() if name.startswith("SRL"))
    luts += sum(number * cells.get(name, 0) for name, number in _XC7_RAM_LUTS.items())
    return Resources(
        lut=luts,
        ff=sum(number for name, number in cells.items() if name.startswith("FD")),
        memory_blocks=2 * cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0),
        dsp=cells.get("DSP48E1", 0),
    )


def _starting(cells: dict[str, int], *names: str) -> int:
    return sum(number for cell, number in cells.items() if cell.startswith(names))


def _ice40(cells: dict[str, int]) -> Resources:
    return Resources(
        lut=cells.get("SB_LUT4", 0),
        ff=_starting(cells, "SB_DFF"),
        memory_blocks=_starting(cells, "SB_RAM40_4K"),
        dsp=cells.get("SB_MAC16", 0),
    )


def _gowin(cells: dict[str, int]) -> Resources:
    return Resources(
        lut=_starting(cells, "LUT", "ALU") + 4 * _starting(cells, "RAM16"),
        ff=_starting(cells, "DFF"),
        memory_blocks=_starting(cells, "SDP", "DPB", "DPX", "SP", "SPX"),
        dsp=_starting(cells, "MULT"),
    )


_COUNTS = {"ecp5": _ecp5, "xc7": _xc7, "ice40": _ice40, "gowin": _gowin}


def synthesise(source: str, top: str, family: str, folder: Path, *, language: str) -> Resources:
    """Synthesise a design; a netlist for nextpnr is then in ``folder``/netlist.json.

    Parameters
    ----------
    source : str
        The text.
    top : str
        Name of the top module.
    family : str
        One of ``FAMILIES``.
    folder : Path
        Gets every file, the logs included.
    language : str
        ``"rtlil"`` or ``"verilog"``.

    Raises
    ------
    SynthesisError
        If Yosys is missing or fails.
    """
    if family not in FAMILIES:
        raise ValueError(f"synthesise: family must be one of {FAMILIES}, not {family!r}")
    name = {"rtlil": "design.il", "verilog": "design.v"}[language]
    (folder / name).write_text(source)
    commands = [
        f"read_{language} {name}",
        *(step.format(top=top) for step in _SCRIPTS[family]),
        "tee -q -o modules.json stat -json",
        "flatten",
        "clean",
        "tee -q -o stat.json stat -json",
        *(["write_json yosys.json"] if family != "xc7" else []),
    ]
    run_tool(YOSYS, ["-q", "-l", "yosys.log", "-p", "; ".join(commands)], folder, "yosys.out")
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    if family != "xc7":
        netlist = json.loads((folder / "yosys.json").read_text())
        if family == "ecp5":
            open_carries(netlist["modules"][top])
        netlist["modules"] = {top: netlist["modules"][top]}
        (folder / "netlist.json").write_text(json.dumps(netlist))
        (folder / "yosys.json").unlink()
    return _COUNTS[family](cells)


def open_carries(module: dict[str, Any]) -> None:
    """Leave the ends of carry chains open in a netlist for nextpnr, which it says with "x".

    It spends cells on a constant carry into a chain and on a carry out that nobody reads. A chain
    whose first position does not propagate its carry needs no constant.
    """
    read: set[object] = set()
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                read.update(bits)
    for port in module["ports"].values():
        if port["direction"] != "input":
            read.update(port["bits"])
    for cell in module["cells"].values():
        if cell["type"] == "CCU2C":
            pins = cell["connections"]
            if pins["CIN"] == ["0"] and _ignores_carry(cell):
                pins["CIN"] = ["x"]
            if pins["COUT"][0] not in read:
                pins["COUT"] = ["x"]


def _ignores_carry(cell: dict[str, Any]) -> bool:
    """Whether position 0 never propagates: its function is 0 for the constants on its inputs."""
    table = int(cell["parameters"]["INIT0"], 2)
    pins = cell["connections"]
    for index in range(16):
        fits = all(
            pins[f"{pin}0"] not in (["0"], ["1"]) or pins[f"{pin}0"] == [str(index >> at & 1)]
            for at, pin in enumerate("ABCD")
        )
        if fits and table >> index & 1:
            return False
    return True
