# SPDX-License-Identifier: Apache-2.0
"""Hosts in cocotb, on the pins."""

from __future__ import annotations

import pytest
from find_libpython import find_libpython
from tests.links.digest import Digest

from xnorflow.gateware.verilog import convert
from xnorflow.links.spi import SpiDevice
from xnorflow.links.uart import UartDevice
from xnorflow.simulation.benches.runner import run_bench

pytestmark = pytest.mark.skipif(
    find_libpython() is None,
    reason="cocotb needs Python's shared library; on Debian: apt install libpython3-dev",
)

DIVISOR = 8
"""As in bench_uart, which only a simulator can import."""


def test_uart() -> None:
    verilog = convert(UartDevice(Digest(), divisor=DIVISOR), "uart_top")
    assert run_bench(verilog, "uart_top", "tests.links.bench_uart", seed=6) == 4


def test_spi() -> None:
    verilog = convert(SpiDevice(Digest()), "spi_top")
    assert run_bench(verilog, "spi_top", "tests.links.bench_spi", seed=7) == 7
