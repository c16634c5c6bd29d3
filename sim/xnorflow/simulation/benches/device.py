# SPDX-License-Identifier: Apache-2.0
"""The accelerator in a bench: registers, three streams, and the taps of its banks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import REGISTERS, Command, Status
from xnorflow.core.tap import TAP_DTYPE
from xnorflow.simulation.benches.streams import Clocked, Sink, Source

__all__ = ["Device"]

PATIENCE_CYCLES = 30_000


class _Taps:
    """Records every write into the activation banks while ``on``."""

    def __init__(self, dut: Any, geometry: Geometry) -> None:
        self._row = dut.tap_row
        self._banks = [
            (
                getattr(dut, f"tap_{bank}__enable"),
                getattr(dut, f"tap_{bank}__address"),
                [getattr(dut, f"tap_{bank}__data_{pixel}") for pixel in range(geometry.pixels)],
            )
            for bank in range(geometry.banks)
        ]
        self.on = False
        self.rows: list[tuple[int, ...]] = []

    def drive(self) -> None:
        """Taps have no inputs."""

    def observe(self) -> None:
        if not self.on:
            return
        for bank, (enable, address, words) in enumerate(self._banks):
            if not int(enable.value):
                continue
            for pixel, data in enumerate(words):
                row = {
                    "row": int(self._row.value),
                    "bank": bank,
                    "pixel": pixel,
                    "enable": int(enable.value),
                    "address": int(address.value),
                    "data": int(data.value),
                }
                self.rows.append(tuple(row[name] for name in TAP_DTYPE.names or ()))


class Device(Clocked):
    """The accelerator behind its ports.

    Parameters
    ----------
    dut : handle
    geometry : Geometry
    seed : int
        Of the stalls.
    stall : float
        Probability of a pause on each stream in each cycle.
    """

    def __init__(self, dut: Any, geometry: Geometry, *, seed: int, stall: float) -> None:
        super().__init__(dut)
        rng = random.Random(seed)
        self.config = Source(dut, "config", rng, stall)
        self.pixels = Source(dut, "pixels", rng, stall)
        self.results = Sink(dut, "results", rng, stall)
        self.taps = _Taps(dut, geometry)
        self.agents = [self.config, self.pixels, self.results, self.taps]
        for name in ("reg_address", "reg_write", "reg_write_data"):
            getattr(dut, name).value = 0

    async def read(self, name: str) -> int:
        """A register."""
        await self.step(reg_address=REGISTERS[name].index)
        await self.step()
        return int(self.dut.reg_read_data.value)

    async def write(self, name: str, value: int) -> None:
        """Write a register; takes effect at the end of one cycle."""
        await self.step(reg_address=REGISTERS[name].index, reg_write_data=value, reg_write=1)

    async def step(self, cycles: int = 1, **inputs: int) -> None:
        """Let cycles pass; a write lasts one of them."""
        if "reg_write" not in inputs:
            inputs["reg_write"] = 0
        await super().step(cycles, **inputs)

    async def command(self, command: Command) -> None:
        """Give a command."""
        await self.write("command", command)

    async def status(self) -> Status:
        """The status bits."""
        return Status(await self.read("status"))

    async def begin(self, count: int) -> None:
        """Ask for a block of ``count`` images, as soon as none waits."""
        for _ in range(PATIENCE_CYCLES // 2):
            if Status.QUEUED not in await self.status():
                break
        await self.write("images", count)
        await self.command(Command.RUN)

    async def idle(self) -> Status:
        """Wait until the device is not busy."""
        for _ in range(PATIENCE_CYCLES // 2):  # a read takes two
            status = await self.status()
            if Status.BUSY not in status:
                return status
        raise AssertionError(f"still busy after {PATIENCE_CYCLES} cycles")

    async def load(self, words: npt.NDArray[np.uint32]) -> None:
        """Send a program down the configuration stream."""
        self.config.send(words.tolist())
        await self.drain(self.config)

    async def drain(self, source: Source) -> None:
        """Wait until everything queued was taken."""
        await self.until(lambda: not source.words, "words on a stream were not taken")

    async def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Let cycles pass until a condition holds."""
        for _ in range(PATIENCE_CYCLES):
            if condition():
                return
            await self.step()
        raise AssertionError(f"after {PATIENCE_CYCLES} cycles {otherwise}")

    async def abort(self) -> None:
        """Abort, and forget what the streams still hold."""
        with self.results.dropping():
            await self.command(Command.ABORT)
            self._drop()
            await self.idle()

    async def reset(self, cycles: int = 2) -> None:
        """Hold the device in reset, and forget what the streams still hold."""
        self._drop()
        with self.results.dropping():
            await super().reset(cycles)

    def _drop(self) -> None:
        for source in (self.config, self.pixels):
            source.drop()

    async def run(self, images: npt.NDArray[np.uint8]) -> Status:
        """Run one block to its end."""
        await self.begin(len(images))
        self.pixels.send(images.ravel().tolist())
        return await self.idle()
