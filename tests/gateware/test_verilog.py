# SPDX-License-Identifier: Apache-2.0
"""The emitted Verilog: the same text every time, its hash, its modules."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.gateware.verilog import Design, convert, emit

GEOMETRY = "2x1x2x8,activation_depth=16,weight_depth=16,accumulator_depth=4,layer_depth=2"
MARK = f"32'd{0x9E3779B1}"
"""Stands for the hash while the text is hashed."""


@pytest.fixture(scope="module")
def design() -> Design:
    return emit(Geometry.parse(GEOMETRY))


def hashed_text(design: Design) -> str:
    """What was hashed: everything after the header, which states the hash itself."""
    header = re.match(r"(//.*\n|/\* verilator .*\n)*", design.verilog)
    assert header is not None
    return design.verilog[header.end() :]


def test_a_second_time_gives_the_same(design: Design) -> None:
    assert emit(Geometry.parse(GEOMETRY)) == design


def test_another_process_gives_the_same(design: Design, tmp_path: Path) -> None:
    """Other hash seed, other folder, other language."""
    script = (
        "import sys; from xnorflow.core.geometry import Geometry;"
        "from xnorflow.gateware.verilog import emit;"
        f"sys.stdout.write(emit(Geometry.parse({GEOMETRY!r})).verilog)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == design.verilog


def test_the_build_hash_is_the_texts_own(design: Design) -> None:
    literal = f"32'h{design.build_hash:08x}"
    text = hashed_text(design)
    assert text.count(literal) == 1
    assert f"// build hash {design.build_hash:08x}\n" in design.verilog
    assert design.digest.startswith(f"{design.build_hash:08x}")
    assert hashlib.sha256(text.replace(literal, MARK).encode()).hexdigest() == design.digest


def test_another_geometry_has_another_hash(design: Design) -> None:
    assert emit(Geometry.parse(f"{GEOMETRY},pool_depth=2")).build_hash != design.build_hash


def test_no_memory_and_no_register_depends_on_an_initial_block(design: Design) -> None:
    """Memories are written before they are read; what has a value at power-up also has a reset."""
    assert not re.search(r"^\s*initial\b", design.verilog, re.MULTILINE)
    assert re.search(r"^\s*reg \[\d+:0\] \S+ \[\d+:0\];", design.verilog, re.MULTILINE)


def test_modules(design: Design) -> None:
    modules = re.findall(r"^module (\S+?)\s*\(", design.verilog, re.MULTILINE)
    assert len(modules) == len(set(modules))
    names = {name.replace("\\", "") for name in modules}
    geometry = design.geometry
    assert "xnorflow" in names
    hops, rows = range(geometry.hops), range(geometry.rows)
    columns = range(geometry.columns_per_hop)
    units = (
        "control", "registers", "loader", "store", "formatter", "sequencer", "sequencer.queue",
        "issuer", "banks", "fabric", "collector", "path", "shifter", "fabric.fetch", "fabric.skew",
        "fabric.array", "fabric.realcount", "fabric.deskew",
        *(f"fabric.feet_{hop}" for hop in hops),
        *(f"fabric.feet_{hop}.threshold_0" for hop in hops),
        *(f"fabric.array.banks.hop_{hop}.bank_{c}" for hop in hops for c in columns),
        *(f"fabric.array.row_{hop}_{row}" for hop in hops for row in rows),
    )  # fmt: skip
    missing = [unit for unit in units if f"xnorflow.{unit}" not in names]
    assert not missing


def test_a_component_alone() -> None:
    text = convert(ThresholdUnit(Geometry.parse(GEOMETRY)), "threshold_unit")
    assert len(re.findall(r"^module ", text, re.MULTILINE)) >= 1
    assert re.search(r"^module threshold_unit\(", text, re.MULTILINE)
    for port in ("input clk", "input rst", "input record_valid"):
        assert re.search(rf"^\s*{port};", text, re.MULTILINE), port
