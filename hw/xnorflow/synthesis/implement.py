# SPDX-License-Identifier: Apache-2.0
"""Placement, routing and packing for a board: from a netlist to a bitstream."""

from __future__ import annotations

from pathlib import Path

from xnorflow.boards.board import Board
from xnorflow.synthesis.floorplan import planned
from xnorflow.synthesis.report import REPORT, CriticalPath, Routed, read_report
from xnorflow.synthesis.tools import (
    ECPPACK,
    GOWIN_PACK,
    ICEPACK,
    NEXTPNR_ECP5,
    NEXTPNR_GOWIN,
    NEXTPNR_ICE40,
    YOSYS,
    find_tool,
    run_tool,
    tool_version,
)

__all__ = ["pack", "place", "versions"]

_NEXTPNR = {"ecp5": NEXTPNR_ECP5, "ice40": NEXTPNR_ICE40, "gowin": NEXTPNR_GOWIN}
_MINUTES = 120
"""For placement and routing: a router that rips up what is late goes on until nothing is."""
_PACKERS = {"ecp5": ECPPACK, "ice40": ICEPACK, "gowin": GOWIN_PACK}


def place(
    board: Board, folder: Path, *, target_mhz: float, seed: int, leds: int = 0
) -> tuple[Routed, CriticalPath]:
    """Place and route ``folder``/netlist.json; on an ECP5 with places for the array's block RAMs.

    Parameters
    ----------
    board : Board
    folder : Path
    target_mhz : float
        Clock to aim at.
    seed : int
        The placer's.
    leds : int
        LEDs that the design has.

    Raises
    ------
    SynthesisError
        If nextpnr is missing, or fails: the design does not fit, or is not routed in two hours.
    """
    find_tool(_NEXTPNR[board.family])  # or say that it is missing, before the netlist is read
    netlist = "netlist.json"
    if board.family == "ecp5":
        netlist = planned(folder, board.nextpnr[0].lstrip("-"))
    arguments = [
        *board.nextpnr, "--json", netlist, "--freq", f"{target_mhz:g}",
        "--timing-allow-fail", "--seed", str(seed), "--report", REPORT,
        *_FILES[board.family](folder, board.pins_of(leds)),
        *_clocks(board, folder, target_mhz), *board.options,
    ]  # fmt: skip
    run_tool(_NEXTPNR[board.family], arguments, folder, "nextpnr.log", minutes=_MINUTES)
    return read_report(folder)


def _ecp5_files(folder: Path, pins: dict[str, str]) -> list[str]:
    lines = [
        f'LOCATE COMP "{name}" SITE "{pin}";\nIOBUF PORT "{name}" IO_TYPE=LVCMOS33;\n'
        for name, pin in pins.items()
    ]
    (folder / "pins.lpf").write_text("".join(lines))
    return ["--lpf", "pins.lpf", "--textcfg", "routed.config"]


def _ice40_files(folder: Path, pins: dict[str, str]) -> list[str]:
    lines = [f"set_io {name} {pin}\n" for name, pin in pins.items()]
    (folder / "pins.pcf").write_text("".join(lines))
    return ["--pcf", "pins.pcf", "--asc", "routed.asc"]


def _gowin_files(folder: Path, pins: dict[str, str]) -> list[str]:
    lines = [
        f'IO_LOC "{name}" {pin};\nIO_PORT "{name}" IO_TYPE=LVCMOS33;\n'
        for name, pin in pins.items()
    ]
    (folder / "pins.cst").write_text("".join(lines))
    return ["--vopt", "cst=pins.cst", "--write", "routed.json"]


_FILES = {"ecp5": _ecp5_files, "ice40": _ice40_files, "gowin": _gowin_files}


def _clocks(board: Board, folder: Path, target_mhz: float) -> list[str]:
    """The host link's clock, and what to aim at for the array's."""
    clocks = (("get_ports clk", board.oscillator_mhz), ("get_nets array_clk", target_mhz))
    lines = [f"create_clock -period {1000 / mhz:.4f} [{net}]\n" for net, mhz in clocks]
    (folder / "clocks.sdc").write_text("".join(lines))
    return ["--sdc", "clocks.sdc"]


def pack(board: Board, folder: Path) -> Path:
    """Make the bitstream of what :func:`place` routed. Returns its file."""
    arguments, name = {
        "ecp5": (["--compress", "--input", "routed.config", "--bit", "top.bit"], "top.bit"),
        "ice40": (["routed.asc", "top.bin"], "top.bin"),
        "gowin": (["-d", board.packer, "-o", "top.fs", "routed.json"], "top.fs"),
    }[board.family]
    run_tool(_PACKERS[board.family], arguments, folder, "pack.log")
    return folder / name


def versions(family: str) -> dict[str, str]:
    """The tools, and their versions."""
    return {
        "yosys": tool_version(YOSYS),
        "nextpnr": tool_version(_NEXTPNR[family]),
        "packer": tool_version(_PACKERS[family]),
    }
