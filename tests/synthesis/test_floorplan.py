# SPDX-License-Identifier: Apache-2.0
"""Places of block RAMs: those that the device has, each once, hop after hop."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from xnorflow.core.geometry import Geometry
from xnorflow.synthesis.bench import describe
from xnorflow.synthesis.floorplan import DEVICES, fix_blocks, planned
from xnorflow.synthesis.netlist import synthesise
from xnorflow.synthesis.tools import NEXTPNR_ECP5, run_tool
from xnorflow.synthesis.tops import Chip


def blocks(names: list[str]) -> dict[str, Any]:
    """A netlist of block RAMs of these names that share a clock."""
    cells = {
        name: {
            "type": "DP16KD", "parameters": {}, "attributes": {},
            "port_directions": {"CLKA": "input", "DOA0": "output"},
            "connections": {"CLKA": [2], "DOA0": [at]},
        }
        for at, name in enumerate(names, 3)
    }  # fmt: skip
    return {"ports": {"clk": {"direction": "input", "bits": [2]}}, "cells": cells, "netnames": {}}


def array_blocks(hops: int, columns: int, deep: int) -> list[str]:
    """Names of an array's block RAMs; each column's bank has ``deep`` of them."""
    return [
        *(f"a.banks.bank_0_{bank}.block_{n}" for bank in range(9) for n in range(4)),
        *(
            f"a.fabric.array.banks.slice_{hop}_{n}.bank_{column}.block_0"
            for hop in range(hops)
            for column in range(columns)
            for n in range(deep)
        ),
        *(f"a.fabric.feet_{hop}.accumulators.block_{n}" for hop in range(hops) for n in range(2)),
        "a.store.program.block_0",
    ]


def places(module: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Column and row of each block RAM that has a place."""
    found = {}
    for name, cell in module["cells"].items():
        if bel := cell["attributes"].get("BEL"):
            x, y, _ = bel.split("/")
            found[name] = (int(x[1:]), int(y[1:]))
    return found


@pytest.mark.slow  # nextpnr is no tool of the quick tests
@pytest.mark.parametrize("device", DEVICES)
def test_the_device_has_these_blocks(device: str, tmp_path: Path) -> None:
    """nextpnr puts as many as there are on all of them."""
    known = {name for row in DEVICES[device].rows for name in DEVICES[device].names(row)}
    module = blocks([f"block_{at}" for at in range(len(known))])
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": {"top": module}}))
    arguments = [
        f"--{device}", "--package", "CABGA381", "--json", "netlist.json", "--no-route",
        "--lpf-allow-unconstrained", "--write", "placed.json",
    ]  # fmt: skip
    run_tool(NEXTPNR_ECP5, arguments, tmp_path, "nextpnr.log")
    placed = json.loads((tmp_path / "placed.json").read_text())["modules"]["top"]["cells"]
    bels = [cell["attributes"]["NEXTPNR_BEL"] for cell in placed.values() if "DP" in cell["type"]]
    assert set(bels) == known and len(bels) == len(known)


@pytest.mark.parametrize(("hops", "columns", "deep"), [(8, 4, 4), (4, 4, 9), (7, 2, 6)])
def test_hops_stand_side_by_side(hops: int, columns: int, deep: int) -> None:
    module = blocks(array_blocks(hops, columns, deep))
    fixed = fix_blocks(module, "85k")
    at = places(module)
    assert fixed == len(at) == len(set(at.values())) == 36 + hops * (columns * deep + 2)
    assert "a.store.program.block_0" not in at
    stripes = [[xy for name, xy in at.items() if ".banks.bank_" in name]]
    stripes += [
        [xy for name, xy in at.items() if f"slice_{hop}_" in name or f"feet_{hop}." in name]
        for hop in range(hops)
    ]
    for row in DEVICES["85k"].rows:
        for left, right in pairwise(stripes):
            assert max(x for x, y in left if y == row) < min(x for x, y in right if y == row)
    # Weights of the first rows at one end, sums at the other.
    for hop in range(hops):
        first = at[f"a.fabric.array.banks.slice_{hop}_0.bank_0.block_0"]
        sums = at[f"a.fabric.feet_{hop}.accumulators.block_1"]
        assert (first[1], sums[1]) == (22, 82)


@pytest.mark.parametrize(("hops", "device"), [(8, "25k"), (2, "85k")])
def test_too_many_or_few_blocks_are_left_to_the_placer(hops: int, device: str) -> None:
    module = blocks(array_blocks(hops, 4, 4))
    assert fix_blocks(module, device) == 0
    assert not places(module)


def test_an_accelerators_own_names(tmp_path: Path) -> None:
    """All blocks of a synthesised accelerator have a place, but control's and the way out's."""
    geometry = Geometry.parse("2x1x4x8,weight_depth=8192,activation_depth=512,accumulator_depth=16")
    synthesise(describe(Chip(geometry), "ecp5"), "top", "ecp5", tmp_path, language="rtlil")
    netlist = json.loads((tmp_path / planned(tmp_path, "25k")).read_text())
    (module,) = netlist["modules"].values()
    found = [name for name, cell in module["cells"].items() if cell["type"] == "DP16KD"]
    others = (".store.", ".pool.", ".shifter.")
    assert set(places(module)) == {name for name in found if not any(o in name for o in others)}
    for part in (".banks.bank_0_1.", ".banks.slice_0_0.bank_3.", ".feet_0.accumulators."):
        assert any(part in name for name in places(module))
