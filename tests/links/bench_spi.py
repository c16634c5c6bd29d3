# SPDX-License-Identifier: Apache-2.0
"""A digest that is an SPI slave, with a master whose clock is not the device's.

The master is ours: cocotbext-spi 0.5.0 imports ``cocotb.clock.BaseClock``, which cocotb 2 lacks.
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from tests.links import bench_host
from tests.links.bench_host import PERIOD_NS
from tests.links.digest import WRITES

from xnorflow.core.link import Answer, Opcode, Request, Status, arguments
from xnorflow.links.spi import SpiSlave

FASTEST_BIT_NS = PERIOD_NS * SpiSlave.clock_ratio
PATIENCE_BYTES = 1000


class Host(bench_host.Host):
    """A master: mode 0, or 3 with ``idle_level`` 1.

    It changes ``mosi`` with the falling edge of ``sck``, and takes ``miso`` at the rising one.
    """

    def __init__(self, dut: Any, idle: float, idle_level: int = 0) -> None:
        super().__init__(dut, idle)
        self.idle_level = idle_level
        self.line = bytearray()  # what came
        self.bit_ns = float(FASTEST_BIT_NS)
        self.select(False)
        dut.sck.value = idle_level

    def select(self, on: bool) -> None:
        self.dut.cs_n.value = not on

    async def bits(self, byte: int, count: int = 8) -> int:
        """The first so many bits of a byte; those that came."""
        came, half = 0, round(self.bit_ns / 2, 3)
        for place in range(7, 7 - count, -1):
            self.dut.sck.value = 0
            self.dut.mosi.value = byte >> place & 1
            await Timer(half, "ns", round_mode="round")
            self.dut.sck.value = 1
            came |= int(self.dut.miso.value) << place
            await Timer(half, "ns", round_mode="round")
        self.dut.sck.value = self.idle_level
        return came

    async def send(self, line: bytes) -> None:
        """With the chip selected; sometimes it is not for a while between two bytes."""
        self.select(True)
        await self.pause(1)
        for byte in line:
            if self.rng.random() < self.idle:
                lets_go = self.rng.random() < 0.5
                await self.pause(1)
                self.select(not lets_go)
                await self.pause(self.rng.uniform(0.3, 5))
                self.select(True)
                await self.pause(1)
            self.line.append(await self.bits(byte))
        await self.pause(1)
        self.select(False)
        await self.pause(1)

    async def pause(self, bits: float) -> None:
        await Timer(bits * self.bit_ns, "ns", round_mode="round")

    async def answer(self) -> Answer | None:
        for _ in range(PATIENCE_BYTES):
            frame, delimiter, rest = bytes(self.line).lstrip(b"\0").partition(b"\0")
            if delimiter:
                self.line[:] = rest
                return Answer.decode(frame)
            await self.send(bytes(1))
        raise AssertionError("no answer")

    async def quiet(self) -> None:
        await self.send(bytes(60))
        assert not any(self.line)
        self.line.clear()


async def start(dut: Any, idle: float = 0.0, idle_level: int = 0) -> Host:
    """A host with a session."""
    host = Host(dut, idle, idle_level)
    await host.start()
    return host


@cocotb.test()
async def pauses_between_bytes(dut: Any) -> None:
    """At the fastest clock and at slower ones, none of them a whole share of the device's."""
    host = await start(dut, idle=0.2)
    for n, slower in ((1, 1.0), (17, 1.003), (9, 1.37), (5, 7.77)):
        host.bit_ns = FASTEST_BIT_NS * slower
        await host.images(n)
    await host.quiet()


@cocotb.test()
async def clock_that_is_high_when_idle(dut: Any) -> None:
    """Mode 3."""
    host = await start(dut, idle=0.2, idle_level=1)
    await host.images(6)
    await host.quiet()


@cocotb.test()
async def malformed_frames(dut: Any) -> None:
    """Noise, cut frames, single wrong bits: no answer, no effect, and on it goes."""
    host = await start(dut)
    line = Request(4, host.next, Opcode.WRITE, arguments(1, 99)).encode()
    for damaged in (line[:-3] + b"\0", line[2:], b"\0\0\0", host.rng.randbytes(9) + b"\0"):
        await host.send(damaged)
        await host.quiet()
    for bit in range(host.rng.randrange(3), 8 * (len(line) - 1), 3):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        await host.send(bytes(damaged))
    await host.quiet()
    assert (await host.ask(Opcode.READ, arguments(WRITES))).words == (0,)
    await host.images(5)


@cocotb.test()
async def deselected_within_a_byte(dut: Any) -> None:
    """The frame is spoilt whatever the bits were; the next one counts from its first bit."""
    host = await start(dut)
    line = Request(4, host.next, Opcode.WRITE, arguments(1, 99)).encode()
    for count in (1, 4, 7):
        await host.send(line[:6])
        host.select(True)
        await host.pause(1)
        await host.bits(line[6], count)
        await host.pause(1)
        host.select(False)
        await host.pause(2)
        await host.send(line[6:])
        await host.quiet()
    assert (await host.ask(Opcode.READ, arguments(WRITES))).words == (0,)
    await host.images(5)


@cocotb.test()
async def deselected_within_a_frame(dut: Any) -> None:
    """Between two bytes: nothing is lost either way, however long it takes."""
    host = await start(dut)
    host.idle = 0.9
    await host.images(6)
    line = Request(4, host.next, Opcode.READ, arguments(WRITES)).encode()
    await host.send(line[:4])
    for _ in range(3):  # another slave's clock and data
        await host.bits(0x5A)
    await host.send(line[4:])
    answer = await host.answer()
    assert answer is not None and answer.words == (2,)
    await host.quiet()


@cocotb.test()
async def an_answer_that_is_not_fetched_whole(dut: Any) -> None:
    """Cut within a byte: that answer is lost, and no other."""
    host = await start(dut)
    line = Request(4, host.next, Opcode.WRITE, arguments(2, 1)).encode()
    await host.send(line + bytes(8))
    host.select(True)
    await host.pause(1)
    await host.bits(0, 3)
    await host.pause(1)
    host.select(False)
    await host.pause(2)
    assert await host.answer() is None
    await host.send(line)
    answer = await host.answer()
    assert answer is not None and answer.status is Status.UNEXPECTED
    host.next += 1
    assert (await host.ask(Opcode.READ, arguments(WRITES))).words == (1,)


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Of a frame: the device says that it has no session, and takes a new one."""
    await (await start(dut)).reset_in_a_frame()
