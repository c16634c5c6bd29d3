# SPDX-License-Identifier: Apache-2.0
"""A simulated board that is an SPI slave, as a bus of the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_uint64
from pathlib import Path
from typing import TYPE_CHECKING

from xnorflow.core.geometry import Geometry
from xnorflow.simulation.instance import ModelInstance, Signatures
from xnorflow.simulation.pins import build_pins, pins_verilog

if TYPE_CHECKING:
    from amaranth.lib import wiring

__all__ = ["TOP", "SimulatedSpi", "build_spi", "load_spi"]

TOP = "spi_top"
HALF_BIT = 4
"""Clock cycles of half a bit: the fewest."""
RESET_CYCLES = 4
HARNESS = Path(__file__).with_name("spi.cpp")

_SIGNATURES: Signatures = {
    "reset": (None, (c_uint64,)),
    "run": (None, (c_uint64,)),
    "transfer": (None, (c_char_p, c_uint64, c_char_p)),
    "cycle": (c_uint64, ()),
}


def build_spi(verilog: str, what: str) -> Path:
    """The library of Verilog whose top ``spi_top`` has clk, rst and the pins; built once.

    Raises
    ------
    ToolchainError
        If a tool is missing or fails.
    """
    return build_pins("spi", verilog, TOP, HARNESS, what)


def load_spi(geometry: Geometry) -> Path:
    """The library of the accelerator of ``geometry`` as an SPI slave; built once."""

    def make(build_hash: int) -> wiring.Component:
        from xnorflow.links.spi import SpiAccelerator

        return SpiAccelerator(geometry, build_hash=build_hash)

    return build_spi(pins_verilog("spi", geometry, TOP, make, what=str(geometry)), str(geometry))


class SimulatedSpi:
    """One instance of a library, reset and idle, as a bus: time is the board's own.

    Parameters
    ----------
    library : Path
        The shared library that spi.cpp describes.
    clock_hz : float
        What its clock stands for.
    half_bit : int
        Clock cycles of half a bit.
    damage : callable or None
        What becomes of the bytes of one exchange: ``damage(data, to_device)``.
    """

    name = "simulated board on SPI"

    def __init__(
        self,
        library: Path,
        *,
        clock_hz: float = 48e6,
        half_bit: int = HALF_BIT,
        damage: Callable[[bytes, bool], bytes] | None = None,
    ) -> None:
        self.clock_hz = clock_hz
        self.half_bit = half_bit
        self.damage = damage
        self.reset_in: int | None = None  # cycles until the board is reset once
        self._model = ModelInstance(
            library, "spi", _SIGNATURES, "simulated board", half_bit
        )  # fmt: skip

    @property
    def byte_seconds(self) -> float:
        """Time of a byte."""
        return 16 * self.half_bit / self.clock_hz

    def now(self) -> float:
        """Seconds of the board's clock."""
        return int(self._model.call("cycle")) / self.clock_hz

    def reset(self) -> None:
        """Hold the board in reset for a few cycles."""
        self._model.call("reset", RESET_CYCLES)

    def transfer(self, data: bytes) -> bytes:
        """Send bytes with the chip selected; those that came meanwhile."""
        if self.damage is None:
            return self.transfer_bits(data, 8 * len(data))
        data = self.damage(data, True)
        return self.damage(self.transfer_bits(data, 8 * len(data)), False)

    def transfer_bits(self, data: bytes, bits: int) -> bytes:
        """The first so many bits of these bytes; the chip is selected for no longer."""
        if not 0 <= bits <= 8 * len(data):
            raise ValueError(f"{len(data)} bytes have 0 to {8 * len(data)} bits, not {bits}")
        if self.reset_in is not None:
            self.reset_in -= 2 * self.half_bit * bits
            if self.reset_in <= 0:
                self.reset()
                self.reset_in = None
        came = ctypes.create_string_buffer(max(1, len(data)))
        self._model.call("transfer", data, bits, came)
        return came.raw[: -(-bits // 8)]

    def run(self, cycles: int) -> None:
        """Let cycles pass."""
        self._model.call("run", cycles)

    def close(self) -> None:
        """Free the board; a second call does nothing."""
        self._model.close()
