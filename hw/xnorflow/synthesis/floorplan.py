# SPDX-License-Identifier: Apache-2.0
"""A place for each block RAM of the array on an ECP5, from which the placer finds the others.

The placer puts block RAMs where their own wires want them, and the array then folds around them.
Here each hop has a stripe of the chip instead: activation banks at the left, then hop after hop,
with the weights of the array's first rows at one end of the stripe and the accumulators at the
other. Blocks that share their registers (:mod:`xnorflow.gateware.arraybanks`) are in one row.
docs/synthesis.md says what that gave.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DEVICES", "Blocks", "fix_blocks", "planned"]


@dataclass(frozen=True)
class Blocks:
    """Where an ECP5 has block RAMs: in groups of four next to each other.

    Parameters
    ----------
    groups : tuple of int
        Columns of tiles in which a group begins.
    rows : tuple of int
        Rows of tiles that have these groups.
    """

    groups: tuple[int, ...]
    rows: tuple[int, ...]

    def names(self, row: int) -> list[str]:
        """nextpnr's names of a row's blocks, from left to right."""
        return [
            f"X{column + 2 * block}/Y{row}/EBR{block}"
            for column in self.groups
            for block in range(4)
        ]


DEVICES = {
    "25k": Blocks((4, 13, 22, 33, 42, 51, 60), (25, 37)),
    "45k": Blocks((4, 13, 22, 31, 42, 51, 60, 69, 78), (10, 34, 58)),
    "85k": Blocks((4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114), (22, 46, 70, 82)),
}
"""By nextpnr's name."""

_WEIGHTS = re.compile(r"\.array\.banks\.slice_(\d+)_(\d+)\.bank_(\d+)\.block_0$")
_ACCUMULATORS = re.compile(r"\.feet_(\d+)\.accumulators\.block_(\d+)$")
_ACTIVATIONS = re.compile(r"\.banks\.bank_(\d+)_(\d+)\.block_(\d+)$")


def planned(folder: Path, device: str) -> str:
    """Fix block RAMs' places in ``folder``/netlist.json; returns the new netlist's name there."""
    netlist = json.loads((folder / "netlist.json").read_text())
    (module,) = netlist["modules"].values()
    fix_blocks(module, device)
    (folder / "planned.json").write_text(json.dumps(netlist))
    return "planned.json"


def fix_blocks(module: dict[str, Any], device: str) -> int:
    """Fix the places of weights, accumulators and activations in a netlist for nextpnr.

    Parameters
    ----------
    module : dict
        The netlist's only module; block RAMs in it get an attribute ``BEL``.
    device : str
        One of ``DEVICES``.

    Returns
    -------
    int
        Block RAMs that have a place now: 0 where they are less than half of the device's, as small
        arrays need not spread over it, or too many for a row.
    """
    sites = [DEVICES[device].names(row) for row in DEVICES[device].rows]
    activations, hops = _blocks(module)
    for together in (True, False):
        plan = _plan(activations, hops, len(sites), together=together)
        if all(len(names) <= len(row) for names, row in zip(plan, sites, strict=True)):
            break
    else:
        return 0
    if 2 * sum(map(len, plan)) < sum(map(len, sites)):
        return 0
    for names, row in zip(plan, sites, strict=True):
        for at, name in enumerate(names):
            bel = row[(2 * at + 1) * len(row) // (2 * len(names))]
            module["cells"][name]["attributes"]["BEL"] = bel
    return sum(map(len, plan))


def _blocks(module: dict[str, Any]) -> tuple[list[str], list[list[list[str]]]]:
    """Names of the activations' block RAMs; and each hop's, from the array's first row on.

    A hop's are in groups: those with the same bits of its columns' weights, and each accumulator.
    """
    activations: list[tuple[tuple[int, ...], str]] = []
    weights: dict[int, dict[int, list[tuple[int, str]]]] = defaultdict(lambda: defaultdict(list))
    accumulators: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        if cell["type"] != "DP16KD":
            continue
        if found := _WEIGHTS.search(name):
            hop, part, column = map(int, found.groups())
            weights[hop][part].append((column, name))
        elif found := _ACCUMULATORS.search(name):
            hop, block = map(int, found.groups())
            accumulators[hop].append((block, name))
        elif found := _ACTIVATIONS.search(name):
            activations.append((tuple(map(int, found.groups())), name))
    hops = []
    for hop in sorted(weights):
        groups = [[name for _, name in sorted(part)] for _, part in sorted(weights[hop].items())]
        # Before the last weights: the feet are there too, and they want both.
        groups[-1:-1] = [[name] for _, name in sorted(accumulators[hop])]
        hops.append(groups)
    return [name for _, name in sorted(activations)], hops


def _plan(
    activations: list[str], hops: list[list[list[str]]], rows: int, *, together: bool
) -> list[list[str]]:
    """Names for each row of block RAMs, left to right; ``together``: no group in two rows."""
    plan: list[list[str]] = [[] for _ in range(rows)]
    for groups in hops:
        parts = groups if together else [[name] for group in groups for name in group]
        total = sum(map(len, parts))
        before = 0
        for part in parts:
            plan[(2 * before + len(part)) * rows // (2 * total)] += part
            before += len(part)
    # As many activations to the left of a row as keep each hop's blocks above one another.
    blocks = sum(map(len, plan))
    begin = end = 0
    for names in plan:
        end += len(names)
        to = round(end / blocks * len(activations)) if blocks else len(activations)
        names[:0], begin = activations[begin:to], to
    return plan
