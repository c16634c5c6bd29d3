# SPDX-License-Identifier: Apache-2.0
"""What nextpnr reports of a routed design."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["REPORT", "CriticalPath", "Routed", "read_report"]

REPORT = "report.json"
"""The file that nextpnr is told to write."""


@dataclass(frozen=True)
class Routed:
    """A routed design: the clock it holds, and the cells it took.

    Parameters
    ----------
    fmax_mhz : float
        What the clock that is aimed at may be, by nextpnr's analysis after routing; others,
        slower ones, meet their own.
    utilisation : dict of str to (int, int)
        Used and available, by kind of cell.
    """

    fmax_mhz: float
    utilisation: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class CriticalPath:
    """What bounds the clock.

    Parameters
    ----------
    begins, ends : str
        Names of its first and its last net.
    logic_ns, wire_ns : float
        What it is made of.
    """

    begins: str
    ends: str
    logic_ns: float
    wire_ns: float

    def __str__(self) -> str:
        return (
            f"{self.logic_ns + self.wire_ns:.1f} ns ({self.logic_ns:.1f} logic, "
            f"{self.wire_ns:.1f} wire) from {self.begins} to {self.ends}"
        )


def read_report(folder: Path) -> tuple[Routed, CriticalPath]:
    """The clock, the cells and the longest path in ``folder``/report.json."""
    report = json.loads((folder / REPORT).read_text())
    routed = Routed(
        fmax_mhz=_fmax(report),
        utilisation={
            kind: (use["used"], use["available"])
            for kind, use in report["utilization"].items()
            if use["available"]  # nextpnr's own cells are nowhere
        },
    )
    return routed, _critical_path(report)


def _fmax(report: dict[str, Any]) -> float:
    """What the clock that is aimed at may be. Others, slower ones, must meet their own."""
    clocks = list(report["fmax"].values())
    aimed = max(clock["constraint"] for clock in clocks)
    slower = [clock for clock in clocks if clock["constraint"] < 0.9 * aimed]
    share = min([1.0, *(clock["achieved"] / clock["constraint"] for clock in slower)])
    found = min(clock["achieved"] for clock in clocks if clock not in slower)
    return float(found if share == 1.0 else min(found, share * aimed))


def _critical_path(report: dict[str, Any]) -> CriticalPath:
    """The longest path between registers of the clock that is aimed at."""
    clocks = report["fmax"]
    aimed = max(clocks, key=lambda name: (clocks[name]["constraint"], -clocks[name]["achieved"]))
    inside = [path["path"] for path in report["critical_paths"]
              if path["from"] == path["to"] and path["from"].endswith(" " + aimed)]  # fmt: skip
    longest = max(inside, key=lambda path: sum(step["delay"] for step in path))
    wires = [step for step in longest if step["type"] == "routing"]
    wire = sum(step["delay"] for step in wires)
    return CriticalPath(
        begins=wires[0]["net"],
        ends=wires[-1]["net"],
        logic_ns=sum(step["delay"] for step in longest) - wire,
        wire_ns=wire,
    )
