# SPDX-License-Identifier: Apache-2.0
"""A host on a bus: a network, its program, and the steps that every bus takes to run a block."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from xnorflow.compile.program import Program, compile_network
from xnorflow.core.geometry import Geometry
from xnorflow.core.hostmap import BUS_MAP, register_offset
from xnorflow.core.registers import MAGIC, REGISTERS, Command, Status
from xnorflow.gateware.registers import constant_values
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.benches.networks import (
    GEOMETRY_VARIABLE,
    SEED_VARIABLE,
    small_network,
)

__all__ = ["BLOCK", "BusError", "Host"]

BLOCK = 3
"""Images."""
SURPLUS_CYCLES = 100
PATIENCE = 2000
"""Reads of the status until a block must have ended."""


class BusError(Exception):
    """The slave answered with an error."""


class Host(ABC):
    """What a processor and its DMA do, whatever the bus is.

    Parameters
    ----------
    dut : handle
    clock : handle
        Its clock port.
    """

    def __init__(self, dut: Any, clock: Any) -> None:
        self.dut = dut
        self.clock = clock
        self.geometry = Geometry.parse(os.environ[GEOMETRY_VARIABLE])
        self.seed = int(os.environ[SEED_VARIABLE])
        self.rng = np.random.default_rng(self.seed)
        self.artifact = small_network(self.seed)
        self.program: Program = compile_network(self.artifact, self.geometry, max_block=BLOCK)
        Clock(clock, 10, unit="ns").start()

    @abstractmethod
    async def read(self, offset: int) -> int:
        """A word; BusError if the slave says so."""

    @abstractmethod
    async def write(self, offset: int, value: int, strobe: int = 0xF) -> None:
        """Write a word; BusError if the slave says so."""

    @abstractmethod
    async def reset(self) -> None:
        """Hold everything in reset."""

    @abstractmethod
    async def send_pixels(self, values: bytes) -> None:
        """Give a block's images; it may return before they are taken."""

    @abstractmethod
    async def take_results(self, count: int) -> list[int]:
        """A block's words, with bit 32 where it ends."""

    @abstractmethod
    async def quiet(self) -> bool:
        """Whether no result word is there."""

    @abstractmethod
    async def abort(self) -> None:
        """Abort, and bring the bus's streams in order."""

    async def cycles(self, count: int) -> None:
        """Let cycles pass."""
        await ClockCycles(self.clock, count)

    async def get(self, name: str) -> int:
        """One of the device's registers."""
        return await self.read(register_offset(name))

    async def put(self, name: str, value: int) -> None:
        """Write one of the device's registers."""
        await self.write(register_offset(name), value)

    async def status(self) -> Status:
        """The status register."""
        return Status(await self.get("status"))

    async def fails(self, offset: int, value: int | None = None, strobe: int = 0xF) -> bool:
        """Whether an access ends in an error."""
        try:
            if value is None:
                await self.read(offset)
            else:
                await self.write(offset, value, strobe)
        except BusError:
            return True
        return False

    async def check_registers(
        self, *, missing: Iterable[int], fixed: Iterable[int], partial: Iterable[int]
    ) -> None:
        """Every constant reads as what it is; what cannot be done is an error without effect.

        Parameters
        ----------
        missing : offsets
            Nothing can be read there.
        fixed : offsets
            Nothing can be written there.
        partial : byte strobes
            Of less than a word, in which registers and configuration are written.
        """
        constants = constant_values(self.geometry, 0)
        for name in REGISTERS:
            value = await self.get(name)
            if name in constants and name != "build_hash":
                assert value == constants[name], name
        await self.put("images", 0x1234)
        assert await self.get("images") == 0x1234
        for offset in missing:
            assert await self.fails(offset), hex(offset)
        for offset in fixed:
            assert await self.fails(offset, 1), hex(offset)
        for strobe in partial:
            assert await self.fails(register_offset("images"), 0, strobe)
            assert await self.fails(BUS_MAP["config"].offset, 0, strobe)
            assert await self.fails(register_offset("command"), Command.RUN, strobe)
        assert await self.get("images") == 0x1234
        assert await self.get("magic") == MAGIC
        assert await self.status() == Status(0)

    async def idle(self) -> Status:
        """Wait for the end of what runs."""
        for _ in range(PATIENCE):
            status = await self.status()
            if Status.BUSY not in status:
                return status
        raise AssertionError(f"still busy after {PATIENCE} reads")

    async def write_config(self, words: npt.NDArray[np.uint32]) -> None:
        """Through the window, as much as there is room for at a time, at rising addresses."""
        window = BUS_MAP["config"]
        at = 0
        while at < len(words):
            room = await self.read(BUS_MAP["config_room"].offset)
            for word in words[at : at + room].tolist():
                await self.write(window.offset + 4 * at % window.size, word)
                at += 1

    async def load(self) -> None:
        """The program, whatever was before."""
        await self.abort()
        await self.write_config(self.program.config)
        while await self.read(BUS_MAP["config_room"].offset) < self.full_room:
            pass
        assert await self.status() == Status(0)

    full_room = 0
    """Words of an empty configuration window."""

    def images(self, count: int) -> npt.NDArray[np.uint8]:
        """Random images."""
        shape = (count, *self.artifact.network.image_shape)
        return self.rng.integers(0, 256, shape, dtype=np.uint8)

    async def begin(self, count: int) -> npt.NDArray[np.uint8]:
        """Ask for a block, and give its images."""
        await self.put("images", count)
        await self.put("command", Command.RUN)
        images = self.images(count)
        await self.send_pixels(images.tobytes())
        return images

    async def check_block(self, count: int) -> None:
        """A block's accumulators are the golden model's, and nothing follows them."""
        images = await self.begin(count)
        words = await self.take_results(self.program.results_count(count))
        assert await self.idle() == Status.DONE
        await self.cycles(SURPLUS_CYCLES)
        assert await self.quiet()
        self.check_words(words, images)

    def check_words(self, words: list[int], images: npt.NDArray[np.uint8]) -> None:
        """Marks and values of a block's result words."""
        assert len(words) == self.program.results_count(len(images)), len(words)
        assert [word >> 32 for word in words] == [0] * (len(words) - 1) + [1]
        data = np.array([word & 0xFFFFFFFF for word in words], np.uint32).view(np.int32)
        found = self.program.unpack_results(data, len(images))
        expected = GoldenNetwork(self.artifact)(images).accumulators
        wrong = np.argwhere(found != expected)
        assert not len(wrong), f"{len(wrong)} wrong accumulators, the first at {wrong[0]}"

    def cuts(self, count: int) -> list[int]:
        """Cycles from a block's start at which to break it off."""
        return np.linspace(0, self.program.block_cycles(BLOCK), count).astype(int).tolist()
