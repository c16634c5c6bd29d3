# SPDX-License-Identifier: Apache-2.0
"""The accelerator behind its buses, driven by other people's bus masters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from amaranth.lib import wiring
from find_libpython import find_libpython

from xnorflow.buses.axi import AxiAccelerator
from xnorflow.buses.wishbone import WishboneAccelerator
from xnorflow.gateware.verilog import convert
from xnorflow.simulation.benches.networks import GEOMETRY, GEOMETRY_VARIABLE, SEED_VARIABLE
from xnorflow.simulation.benches.runner import run_bench

pytestmark = pytest.mark.skipif(
    find_libpython() is None,
    reason="cocotb needs Python's shared library; on Debian: apt install libpython3-dev",
)


QUICK = ("registers", "blocks", "abort_without_a_block")
"""Those of a bench's tests that always run; the others need minutes where the cores are busy."""


def run(component: wiring.Component, bench: str, seed: int, cases: Sequence[str] = ()) -> int:
    settings = {GEOMETRY_VARIABLE: str(GEOMETRY), SEED_VARIABLE: str(seed)}
    top = f"xnorflow_{bench}"
    name = f"xnorflow.simulation.benches.bench_{bench}"
    chosen = ",".join(cases) or None
    return run_bench(convert(component, top), top, name, seed=seed, settings=settings, case=chosen)


def test_axi_in_short() -> None:
    assert run(AxiAccelerator(GEOMETRY), "axi", 1, QUICK) == len(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_axi(seed: int) -> None:
    assert run(AxiAccelerator(GEOMETRY), "axi", seed) == 11


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_wishbone(seed: int) -> None:
    assert run(WishboneAccelerator(GEOMETRY, depth=16), "wishbone", seed) == 6
