# SPDX-License-Identifier: Apache-2.0
"""Place and route for ECP5 with nextpnr."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xnorflow.synthesis.floorplan import planned
from xnorflow.synthesis.report import REPORT, Routed, read_report
from xnorflow.synthesis.tools import NEXTPNR_ECP5, find_tool, run_tool

__all__ = ["DEFAULT_OPTIONS", "place_and_route"]

DEFAULT_OPTIONS = ("--placer", "static", "--router", "router2")
"""The static placer needs a fifth less wire than the default one, and router2 copes with what is
left of the congestion; docs/synthesis.md has the runs."""


_PINS = 'LOCATE COMP "clk" SITE "G2";\nIOBUF PORT "clk" IO_TYPE=LVCMOS33;\n'
"""Only some pins reach the clock network. The others go where the placer puts them."""


def place_and_route(
    folder: Path,
    *,
    device: str = "85k",
    speed: int = 6,
    seed: int = 1,
    target_mhz: float = 200.0,
    options: Sequence[str] = DEFAULT_OPTIONS,
) -> Routed:
    """Place and route ``folder``/netlist.json, its pins but the clock's where the placer puts them.

    The array's block RAMs get their places first (:mod:`xnorflow.synthesis.floorplan`).

    Not out of context: the clock would then use the wires of data.

    Parameters
    ----------
    folder : Path
        Where :func:`synthesise` worked.
    device : str
        ``"25k"``, ``"45k"`` or ``"85k"``.
    speed : int
        Speed grade, 6 (slowest) to 8.
    seed : int
        Of the placer.
    target_mhz : float
        Clock to aim at; too low a one makes the tools content early.
    options : sequence of str
        Further options, the placer's and router's names among them.

    Raises
    ------
    SynthesisError
        If nextpnr is missing, or fails: the design does not fit, or is not routed.
    """
    find_tool(NEXTPNR_ECP5)  # or say that it is missing, before the netlist is read
    arguments = [
        f"--{device}", "--speed", str(speed), "--package", "CABGA381",
        "--json", planned(folder, device),
        "--lpf", "pins.lpf", "--lpf-allow-unconstrained",
        "--freq", f"{target_mhz:g}", "--timing-allow-fail", "--seed", str(seed),
        "--report", REPORT, *options,
    ]  # fmt: skip
    (folder / "pins.lpf").write_text(_PINS)
    run_tool(NEXTPNR_ECP5, arguments, folder, "nextpnr.log")
    return read_report(folder)[0]
