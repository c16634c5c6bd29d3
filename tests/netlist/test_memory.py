# SPDX-License-Identifier: Apache-2.0
"""Block memories as cells: each width of an ECP5's block RAM keeps what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from find_libpython import find_libpython

from xnorflow.gateware.memory import BlockMemory
from xnorflow.simulation.benches.networks import SEED_VARIABLE
from xnorflow.simulation.benches.runner import run_bench
from xnorflow.synthesis.bench import describe
from xnorflow.synthesis.netlist import synthesise
from xnorflow.synthesis.simulable import simulable

SHAPE_VARIABLE = "XNORFLOW_BENCH_MEMORY"


@pytest.mark.slow
@pytest.mark.skipif(
    find_libpython() is None,
    reason="cocotb needs Python's shared library; on Debian: apt install libpython3-dev",
)
@pytest.mark.parametrize(
    ("width", "depth", "granularity"),
    [
        (40, 512, 20),  # 36 bits a block, two blocks, enables of their own
        (24, 1024, 8),
        (18, 2048, 18),
        (8, 4096, 4),
        (3, 8192, 3),
        (2, 16384, 1),
    ],
)
def test_a_block_memory(width: int, depth: int, granularity: int, tmp_path: Path) -> None:
    memory = BlockMemory(width=width, depth=depth, granularity=granularity)
    synthesise(describe(memory, "ecp5"), "top", "ecp5", tmp_path, language="rtlil")
    verilog = simulable(tmp_path / "netlist.json", "ecp5", "memory")
    settings = {SEED_VARIABLE: "3", SHAPE_VARIABLE: f"{width},{depth},{granularity}"}
    bench = "xnorflow.simulation.benches.bench_memory"
    assert run_bench(verilog, "memory", bench, seed=3, settings=settings) == 1
