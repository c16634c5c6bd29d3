# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the accelerator on Wishbone; cocotbext-wishbone is the master."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotbext.wishbone.driver import WBOp, WBRes, WishboneMaster

from xnorflow.core.hostmap import BUS_MAP, register_offset
from xnorflow.core.registers import MAGIC, REGISTERS, Command, DeviceError, Status
from xnorflow.gateware.registers import constant_values
from xnorflow.simulation.benches.hosts import BLOCK, SURPLUS_CYCLES, BusError, Host

DEPTH = 16
"""Words of each window's queue in the design under test."""
CONFIG, DATA, RESULTS = (BUS_MAP[name].offset for name in ("config", "data", "results"))
SIGNALS = {
    **{name: name for name in ("cyc", "stb", "we", "adr", "ack")},
    **{"datwr": "dat_w", "datrd": "dat_r"},
}
TIMEOUT = 40
"""Cycles that an access may take."""


class WishboneHost(Host):
    """A classic master with idle cycles before its accesses."""

    full_room = DEPTH

    def __init__(self, dut: Any, idle: int) -> None:
        super().__init__(dut, dut.clk)
        self.random = random.Random(self.seed)
        self.most_idle = idle
        self.master = WishboneMaster(
            dut, "wb", dut.clk, width=32, timeout=TIMEOUT, signals_dict=SIGNALS
        )

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await self.cycles(3)
        self.dut.rst.value = 0

    async def run(self, operations: Sequence[WBOp]) -> list[int]:
        """Accesses of one bus cycle; BusError if the slave answers one of them with ERR."""
        answers: list[WBRes] = await self.master.send_cycle(operations)
        assert len(answers) == len(operations)
        if any(answer.ack != 1 for answer in answers):
            raise BusError
        return [int(answer.datrd) for answer in answers]

    def operation(self, offset: int, value: int | None = None, strobe: int = 0xF) -> WBOp:
        """An access after some idle cycles."""
        idle = self.random.randint(0, self.most_idle)
        return WBOp(offset // 4, value, idle=idle, sel=strobe)

    async def read(self, offset: int) -> int:
        return (await self.run([self.operation(offset)]))[0]

    async def write(self, offset: int, value: int, strobe: int = 0xF) -> None:
        await self.run([self.operation(offset, value, strobe)])

    async def write_config(self, words: Any) -> None:
        # As bursts, as large as there is room for.
        at = 0
        while at < len(words):
            room = await self.read(BUS_MAP["config_room"].offset)
            burst = [self.operation(CONFIG, word) for word in words[at : at + room].tolist()]
            if burst:
                await self.run(burst)
            at += room

    async def send_pixels(self, values: bytes) -> None:
        """Words of one to four bytes, as there is room for them."""
        at = 0
        while at < len(values):
            room = await self.read(BUS_MAP["pixels_room"].offset)
            for _ in range(min(room, len(values) - at)):
                count = min(self.random.choice((1, 2, 3, 4, 4, 4)), len(values) - at)
                first = self.random.randint(0, 4 - count)
                word = int.from_bytes(values[at : at + count], "little") << 8 * first
                strobe = ((1 << count) - 1) << first
                await self.write(DATA + 4 * self.random.randrange(256), word, strobe)
                at += count
                if at == len(values):
                    break

    async def take_results(self, count: int) -> list[int]:
        words: list[int] = []
        while not words or not words[-1] >> 32:
            state = await self.read(RESULTS)
            for _ in range(min(state & 0xFFFF, 3)):
                last = await self.read(RESULTS) >> 31
                words.append(await self.read(DATA + 4 * self.random.randrange(256)) | last << 32)
        return words

    async def quiet(self) -> bool:
        return await self.read(RESULTS) == 0

    async def abort(self) -> None:
        await self.put("command", Command.ABORT)
        assert await self.idle() == Status(0)
        assert await self.quiet()
        for name in ("config_room", "pixels_room"):
            assert await self.read(BUS_MAP[name].offset) == DEPTH


async def start(dut: Any, idle: int = 2) -> WishboneHost:
    """A host whose device is reset."""
    host = WishboneHost(dut, idle)
    await host.reset()
    return host


@cocotb.test()
async def registers(dut: Any) -> None:
    """Every constant; ERR for what is not there, and no effect."""
    host = await start(dut)
    await host.check_registers(
        missing=(4 * len(REGISTERS), 0x3FC, 0x40C, 0x410, 0x7FC, CONFIG, DATA),
        fixed=(0, 4 * len(REGISTERS), RESULTS, BUS_MAP["pixels_room"].offset, 0x40C),
        partial=(0x1, 0x3, 0x8, 0x5),
    )
    await host.write(register_offset("images"), 0, 0)  # of no bytes: nothing
    await host.write(DATA, 0, 0)
    assert await host.get("images") == 0x1234
    assert await host.read(BUS_MAP["pixels_room"].offset) == DEPTH
    assert await host.status() == Status(0)


@cocotb.test()
async def blocks(dut: Any) -> None:
    """Blocks with idle cycles and without; single bytes and whole words."""
    host = await start(dut)
    await host.load()
    await host.check_block(BLOCK)
    host.most_idle = 0
    await host.check_block(BLOCK - 1)


@cocotb.test()
async def full_windows(dut: Any) -> None:
    """A window without room answers with an error and loses nothing that it took."""
    host = await start(dut, idle=0)
    await host.load()
    await host.put("images", BLOCK)
    images = host.images(BLOCK)
    values = images.tobytes()
    # No block runs, so nothing takes these but the queue, and a register behind it.
    at = 0
    while at < len(values) and not await host.fails(
        DATA, int.from_bytes(values[at : at + 4], "little")
    ):
        at += 4
    assert DEPTH <= at // 4 <= DEPTH + 2
    assert await host.fails(DATA, 0)
    assert await host.read(BUS_MAP["pixels_room"].offset) == 0
    await host.put("command", Command.RUN)
    await host.send_pixels(values[at:])
    # Results wait in their queue, and in the device.
    await host.cycles(2 * host.program.block_cycles(BLOCK))
    assert await host.read(RESULTS) & 0xFFFF == DEPTH
    host.check_words(await host.take_results(0), images)
    assert await host.fails(DATA)
    # Configuration waits for the end of a block.
    await host.put("images", 1)
    await host.put("command", Command.RUN)
    written = 0
    while not await host.fails(CONFIG, written):
        written += 1
    assert DEPTH <= written <= DEPTH + 2
    await host.abort()
    await host.check_block(BLOCK)  # none of these words has reached the device


@cocotb.test()
async def abort_in_mid_block(dut: Any) -> None:
    """After an abort all windows are empty, and the next block is right."""
    host = await start(dut, idle=1)
    await host.load()
    for cycles in host.cuts(4):
        await host.begin(BLOCK)
        await host.cycles(cycles)
        await host.abort()
        await host.cycles(SURPLUS_CYCLES)
        assert await host.quiet()
        await host.check_block(1)


@cocotb.test()
async def masters_that_give_up(dut: Any) -> None:
    """STB without CYC is nothing; an access that its master left is not answered later."""
    host = await start(dut, idle=0)
    dut.wb_adr.value = register_offset("magic") // 4
    dut.wb_stb.value = 1
    for _ in range(10):
        await host.cycles(1)
        assert not int(dut.wb_ack.value) | int(dut.wb_err.value)
    dut.wb_cyc.value = dut.wb_stb.value = 1
    await host.cycles(1)
    dut.wb_cyc.value = dut.wb_stb.value = 0
    for _ in range(8):
        await host.cycles(1)
        assert not int(dut.wb_ack.value) | int(dut.wb_err.value)
    assert await host.get("magic") == MAGIC
    # The next access follows at once, at another address.
    dut.wb_cyc.value = dut.wb_stb.value = 1
    await host.cycles(1)
    dut.wb_stb.value = 0
    await host.cycles(1)
    assert await host.get("version") == constant_values(host.geometry, 0)["version"]


@cocotb.test()
async def reset_in_mid_block(dut: Any) -> None:
    """After a reset, in the middle of an access, everything is as after power-up."""
    host = await start(dut, idle=1)
    for cycles in host.cuts(2):
        await host.load()
        await host.begin(BLOCK)
        await host.cycles(cycles)
        dut.wb_adr.value = 0
        dut.wb_cyc.value = dut.wb_stb.value = 1
        await host.cycles(1)
        dut.rst.value = 1
        await host.cycles(1)
        dut.wb_cyc.value = dut.wb_stb.value = 0
        await host.reset()
        assert await host.status() == Status(0)
        assert await host.quiet()
        await host.put("images", 1)
        await host.put("command", Command.RUN)
        assert await host.idle() == Status.ERROR
        assert await host.get("error") == DeviceError.NO_PROGRAM
    await host.load()
    await host.check_block(BLOCK)
