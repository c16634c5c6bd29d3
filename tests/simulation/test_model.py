# SPDX-License-Identifier: Apache-2.0
"""Building: cached by content, whole, quick and light when warm."""

import dataclasses
import subprocess
import sys

import pytest
from tests.simulation import mock

from xnorflow.core.geometry import Geometry
from xnorflow.simulation import design as design_module
from xnorflow.simulation.device import SimulatedDevice
from xnorflow.simulation.model import build_design
from xnorflow.simulation.toolchain import ToolchainError


def test_the_same_design_is_built_once(design, model):
    again = build_design(design)
    assert again == model
    assert sorted(path.name for path in model.library.parent.iterdir()) == ["model.so", "ports.h"]


def test_another_geometry_is_another_model(model):
    other = Geometry(2, 1, 4, 16)
    text = mock.verilog(other)
    built = build_design(design_module.SimulatedDesign(other, text, mock.BUILD_HASH))
    assert built.library != model.library
    device = SimulatedDevice(built)
    assert device.read_register(3) == 0x10040102


def test_verilog_that_does_not_compile_says_why(design):
    broken = dataclasses.replace(design, verilog=design.verilog.replace("input rst,", ""))
    with pytest.raises(ToolchainError, match=r"(?s)verilator_bin failed.*rst"):
        build_design(broken)


def test_a_changed_source_is_emitted_again(tmp_path, monkeypatch):
    """The cached Verilog is found by its sources: gateware, core and the emitter."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "one.py").write_text("a = 1\n")

    class Spec:
        submodule_search_locations = (str(package),)

    monkeypatch.setattr(design_module.importlib.util, "find_spec", lambda name: Spec)

    def digest(what: str = "") -> str:
        return design_module.sources_key("package", what=what)

    first = digest()
    assert digest() == first
    (package / "one.py").write_text("a = 2\n")
    second = digest()
    (package / "two.py").write_text("")
    third = digest()
    monkeypatch.setattr(design_module.importlib.metadata, "version", lambda name: "9.9")
    assert len({first, second, third, digest(), digest("other")}) == 5


_WARM = """
import sys
from xnorflow.driver.accelerator import Accelerator
geometry = "2x1x2x8,accumulator_depth=200,weight_depth=32768"
with Accelerator.open("sim", geometry=geometry) as device:
    assert device.geometry.columns == 2
heavy = {"torch", "amaranth", "filelock", "rich", "xnorflow.gateware.verilog"} & set(sys.modules)
print(sorted(heavy))
"""


def test_a_warm_start_loads_neither_torch_nor_amaranth():
    command = [sys.executable, "-c", _WARM]
    subprocess.run(command, check=True, timeout=600)
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    assert said.stdout.strip() == "[]"
