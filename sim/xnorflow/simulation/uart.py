# SPDX-License-Identifier: Apache-2.0
"""A simulated board: a design behind the pins of a UART, bytes in and bytes out."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from ctypes import c_char_p, c_uint64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xnorflow.core.baked import Baked
from xnorflow.core.geometry import Geometry
from xnorflow.simulation.instance import ModelInstance, Signatures
from xnorflow.simulation.pins import build_pins, pins_verilog

if TYPE_CHECKING:
    from amaranth.lib import wiring

__all__ = ["DIVISOR", "SimulatedBoard", "SimulatedLine", "UartModel", "build_uart", "load_uart"]

TOP = "uart_top"
DIVISOR = 4
"""Clock cycles a bit: the fewest, so that a simulation spends its time on the accelerator."""
RESET_CYCLES = 4
HARNESS = Path(__file__).with_name("uart.cpp")

_SIGNATURES: Signatures = {
    "reset": (None, (c_uint64,)),
    "send": (None, (c_char_p, c_uint64)),
    "run": (c_uint64, (c_uint64, c_uint64)),
    "take": (c_uint64, (c_char_p, c_uint64)),
    "waiting": (c_uint64, ()),
    "cycle": (c_uint64, ()),
    "set_spikes": (None, (c_uint64, c_uint64)),
}


@dataclass(frozen=True)
class UartModel:
    """A built simulation with the pins of a UART.

    Parameters
    ----------
    library : Path
        The shared library that uart.cpp describes.
    divisor : int
        Clock cycles a bit.
    """

    library: Path
    divisor: int


def build_uart(verilog: str, divisor: int, what: str) -> UartModel:
    """The simulation of Verilog whose top ``uart_top`` has clk, rst, rx and tx; built once.

    Raises
    ------
    ToolchainError
        If a tool is missing or fails.
    """
    return UartModel(build_pins("uart", verilog, TOP, HARNESS, what), divisor)


def load_uart(
    geometry: Geometry, *, divisor: int = DIVISOR, baked: Baked | None = None
) -> UartModel:
    """The simulation of the accelerator of ``geometry`` behind the pins of a UART; built once.

    With ``baked`` it has that network from the start.
    """
    holds = "" if baked is None else f" {baked}"

    def make(build_hash: int) -> wiring.Component:
        from xnorflow.links.uart import UartAccelerator

        return UartAccelerator(geometry, divisor=divisor, build_hash=build_hash, baked=baked)

    what = f"{geometry} divisor {divisor}{holds}"
    verilog = pins_verilog("uart", geometry, TOP, make, what=what)
    return build_uart(verilog, divisor, str(geometry))


class SimulatedBoard:
    """One instance of a model, reset and idle.

    Parameters
    ----------
    model : UartModel
    """

    def __init__(self, model: UartModel) -> None:
        self.model = model
        self._instance = ModelInstance(
            model.library, "uart", _SIGNATURES, "simulated board", model.divisor
        )
        self._call = self._instance.call

    @property
    def cycle(self) -> int:
        """Cycles simulated since creation."""
        return int(self._call("cycle"))

    @property
    def waiting(self) -> int:
        """Bytes that were sent and have not left for the pin."""
        return int(self._call("waiting"))

    def reset(self) -> None:
        """Hold the board in reset for a few cycles, whatever it does."""
        self._call("reset", RESET_CYCLES)

    def send(self, data: bytes) -> None:
        """Bytes for the pin rx, behind those that wait; ``run`` makes them move."""
        self._call("send", data, len(data))

    def run(self, cycles: int, *, until_bytes: int | None = None) -> int:
        """Let cycles pass, or fewer if so many received bytes wait; how many passed."""
        wanted = 2**64 - 1 if until_bytes is None else until_bytes
        return int(self._call("run", cycles, wanted))

    def take(self) -> bytes:
        """All bytes that came out of the pin tx."""
        taken = bytearray()
        buffer = ctypes.create_string_buffer(4096)
        while n := int(self._call("take", buffer, len(buffer))):
            taken += buffer.raw[:n]
        return bytes(taken)

    def set_spikes(self, seed: int, rate: float) -> None:
        """Invert rx in this share of the cycles, one at a time; every seed has its own pattern."""
        self._call("set_spikes", seed % 2**64, int(rate * 2**32))

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._instance.close()


class SimulatedLine:
    """A board as a port of the driver, in one process: time is the board's own.

    Parameters
    ----------
    board : SimulatedBoard
        Closed with the line.
    clock_hz : float
        What its clock stands for.
    latency : float
        Seconds that bytes wait on each of both ways, as on a USB adapter's.
    damage : callable or None
        What becomes of the bytes of one write or read: ``damage(data, to_device)``.
    """

    name = "simulated board"
    advice = "that the board runs"

    def __init__(
        self,
        board: SimulatedBoard,
        *,
        clock_hz: float = 48e6,
        latency: float = 0.0,
        damage: Callable[[bytes, bool], bytes] | None = None,
    ) -> None:
        self.board = board
        self.clock_hz = clock_hz
        self.latency = int(latency * clock_hz)
        self.damage = damage
        self._down: deque[tuple[int, bytes]] = deque()  # with the cycle at which they arrive
        self._up: deque[tuple[int, bytes]] = deque()
        self.reset_in: int | None = None  # cycles of reading until the board is reset once

    @property
    def byte_seconds(self) -> float:
        """Time of a byte on the line."""
        return 10 * self.board.model.divisor / self.clock_hz

    def now(self) -> float:
        """Seconds of the board's clock."""
        return self.board.cycle / self.clock_hz

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.damage is not None:
            data = self.damage(data, True)
        self._down.append((self.board.cycle + self.latency, data))

    def read(self, timeout: float) -> bytes:
        """What has come; lets at most that much time pass until the first byte."""
        end = self.board.cycle + max(1, int(timeout * self.clock_hz))
        while True:
            now = self.board.cycle
            while self._down and self._down[0][0] <= now:
                self.board.send(self._down.popleft()[1])
            if self._up and self._up[0][0] <= now:
                data = self._up.popleft()[1]
                return data if self.damage is None else self.damage(data, False)
            if now >= end:
                return b""
            events = [end, *(queue[0][0] for queue in (self._down, self._up) if queue)]
            passed = self.board.run(min(events) - now, until_bytes=1)
            if self.reset_in is not None:
                self.reset_in -= passed
                if self.reset_in <= 0:
                    self.board.reset()
                    self.reset_in = None
            if came := self.board.take():
                self._up.append((self.board.cycle + self.latency, came))

    def close(self) -> None:
        """Free the board; a second call does nothing."""
        self.board.close()
