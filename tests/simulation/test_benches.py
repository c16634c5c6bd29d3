# SPDX-License-Identifier: Apache-2.0
"""The cocotb benches, on Verilog that Verilator compiles."""

from __future__ import annotations

import importlib.metadata

import pytest
from find_libpython import find_libpython

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.gateware.verilog import TOP, convert, emit
from xnorflow.simulation.benches import runner
from xnorflow.simulation.benches.networks import (
    GEOMETRY,
    GEOMETRY_VARIABLE,
    SEED_VARIABLE,
)
from xnorflow.simulation.benches.runner import BenchError, run_bench

pytestmark = pytest.mark.skipif(
    find_libpython() is None,
    reason="cocotb needs Python's shared library; on Debian: apt install libpython3-dev",
)
BENCHES = "xnorflow.simulation.benches"
SMALL = "activation_depth=64,weight_depth=64,accumulator_depth=256"


def run(verilog: str, top: str, bench: str, geometry: Geometry, seed: int, **options: str) -> int:
    settings = {GEOMETRY_VARIABLE: str(geometry), SEED_VARIABLE: str(seed)}
    return run_bench(verilog, top, f"{BENCHES}.{bench}", seed=seed, settings=settings, **options)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_accelerator(seed: int) -> None:
    """Random stalls on every stream, aborts, resets, bad packets: nine tests."""
    assert run(emit(GEOMETRY).verilog, TOP, "bench_accelerator", GEOMETRY, seed) == 9


# One hop and one beat a weight word; three hops; four beats.
@pytest.mark.parametrize("shape", ["2x2x4x8", "3x1x12x8", "3x3x2x16"])
def test_systolic_array(shape: str) -> None:
    geometry = Geometry.parse(f"{shape},{SMALL}")
    verilog = convert(SystolicArray(geometry), "systolic_array")
    assert run(verilog, "systolic_array", "bench_array", geometry, seed=3) == 1


@pytest.mark.parametrize(("max_lanes", "width"), [(3, 24), (1, 12)])
def test_threshold_unit(max_lanes: int, width: int) -> None:
    options = f"max_lanes={max_lanes},accumulator_width={width}"
    geometry = Geometry.parse(f"2x1x3x8,{SMALL},{options}")
    verilog = convert(ThresholdUnit(geometry), "threshold_unit")
    assert run(verilog, "threshold_unit", "bench_threshold", geometry, seed=4) == 1


def test_a_bench_fails_where_the_design_is_wrong() -> None:
    """A unit that takes other records than it is given."""
    geometry = Geometry.parse(f"2x1x3x8,{SMALL},max_lanes=2")
    other = Geometry.parse(f"2x1x3x8,{SMALL},max_lanes=2,accumulator_width=23")
    verilog = convert(ThresholdUnit(other), "threshold_unit")
    with pytest.raises(BenchError, match=r"bench_threshold: 1 of 1 tests failed"):
        run(verilog, "threshold_unit", "bench_threshold", geometry, seed=4)


def test_no_test_at_all_is_a_failure() -> None:
    geometry = Geometry.parse(f"2x1x3x8,{SMALL}")
    verilog = convert(ThresholdUnit(geometry), "threshold_unit")
    with pytest.raises(BenchError):
        run(verilog, "threshold_unit", "bench_threshold", geometry, seed=4, case="nothing")


def test_a_model_belongs_to_a_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is linked with cocotb's libraries by their path, so another clone's is of no use."""
    keys = []
    monkeypatch.setattr(runner, "cached_folder", lambda *facts, **_: keys.append(facts[:2]))
    runner._executable("module top; endmodule", "top")
    runner._executable("module top; endmodule", "top")
    monkeypatch.setattr(
        importlib.metadata.PathDistribution, "locate_file", lambda self, path: f"/elsewhere/{path}"
    )
    runner._executable("module top; endmodule", "top")
    assert keys[0] == keys[1] != keys[2]


def test_what_a_design_is_compiled_into_is_not_another_ones(tmp_path) -> None:
    """cocotb's main includes the design's own header: with another one's, it corrupts memory."""
    made, kept = tmp_path / "made", tmp_path / "kept"
    made.mkdir()
    kept.mkdir()
    for name in ("verilated.o", "verilated_vpi.o", "verilator.o", "Vtop.o", "verilated.d"):
        (made / name).touch()
    runner._copy_library(made, kept)
    assert sorted(path.name for path in kept.iterdir()) == ["verilated.o", "verilated_vpi.o"]
