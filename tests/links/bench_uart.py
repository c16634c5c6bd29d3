# SPDX-License-Identifier: Apache-2.0
"""A digest behind a UART, with the UART of cocotbext-uart as its host."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer, with_timeout
from cocotbext.uart import UartSink, UartSource
from tests.links.digest import BLOCK, WRITES, DigestModel

from xnorflow.core.link import Answer, Opcode, Request, Status, arguments

DIVISOR = 8
PERIOD_NS = 10
BIT_NS = PERIOD_NS * DIVISOR
PATIENCE_NS = 3000 * BIT_NS


class Host:
    """Asks one request at a time; pauses between bytes at random."""

    def __init__(self, dut: Any, idle: float) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.idle = idle
        self.source = UartSource(dut.rx, baud=1e9 / BIT_NS, bits=8)
        self.sink = UartSink(dut.tx, baud=1e9 / BIT_NS, bits=8)
        self.next = 0

    async def send(self, line: bytes) -> None:
        """Bytes on the line, some of them after a pause."""
        for byte in line:
            if self.rng.random() < self.idle:
                await self.source.wait()
                await Timer(self.rng.randrange(1, 5 * BIT_NS), "ns")
            await self.source.write(bytes((byte,)))
        await self.source.wait()

    async def answer(self) -> Answer | None:
        """The next frame that comes."""
        line = bytearray()
        while not line.endswith(b"\0"):
            line += await with_timeout(self.sink.read(1), PATIENCE_NS, "ns")
        return Answer.decode(bytes(line[:-1]))

    async def ask(self, opcode: Opcode, body: bytes = bytes(5), session: int = 4) -> Answer:
        """A request that is due, and its answer."""
        await self.send(Request(session, self.next, opcode, body).encode())
        answer = await self.answer()
        assert answer is not None
        assert (answer.session, answer.sequence, answer.opcode) == (session, self.next, opcode)
        if answer.status is Status.DONE and opcode.is_sequenced:
            self.next = (self.next + 1) % 256
        return answer

    async def quiet(self) -> None:
        """Nothing more comes."""
        await Timer(200 * BIT_NS, "ns")
        assert self.sink.empty()

    async def images(self, n: int) -> None:
        """Bytes in, and their digests out."""
        data = self.rng.randbytes(4 * n)
        await self.ask(Opcode.WRITE, arguments(12, 0))
        await self.ask(Opcode.WRITE, arguments(BLOCK, n))
        for at in range(0, len(data), 60):
            await self.ask(Opcode.PIXELS, data[at : at + 60])
        got: list[int] = []
        while len(got) < n:
            answer = await self.ask(Opcode.TAKE, arguments(15, len(got), len(got)))
            got += answer.words
            assert answer.last == (len(got) == n and bool(answer.words))
        assert got == DigestModel().pixels(data)
        await self.ask(Opcode.FLUSH)


async def start(dut: Any, idle: float = 0.0) -> Host:
    """A running clock, a reset, and a session."""
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, "ns").start())
    host = Host(dut, idle)
    await reset(dut)
    assert (await host.ask(Opcode.HELLO)).status is Status.DONE
    return host


async def reset(dut: Any) -> None:
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0


@cocotb.test()
async def pauses_between_bytes(dut: Any) -> None:
    host = await start(dut, idle=0.2)
    for n in (1, 17, 40):
        await host.images(n)
    await host.quiet()


@cocotb.test()
async def malformed_frames(dut: Any) -> None:
    """Noise, cut frames, a byte without its stop bit: no answer, no effect, and on it goes."""
    host = await start(dut)
    line = Request(4, host.next, Opcode.WRITE, arguments(1, 99)).encode()
    for damaged in (line[:-3] + b"\0", line[2:], b"\0\0\0", host.rng.randbytes(9) + b"\0"):
        await host.send(damaged)
        await host.quiet()
    await host.send(line[:5])
    dut.rx.value = 0  # a break: a byte of zeros without a stop bit
    await Timer(12 * BIT_NS, "ns")
    dut.rx.value = 1
    await Timer(2 * BIT_NS, "ns")
    await host.send(line[5:])
    await host.quiet()
    assert (await host.ask(Opcode.READ, arguments(WRITES))).words == (0,)
    await host.images(5)


@cocotb.test()
async def a_repeated_request(dut: Any) -> None:
    host = await start(dut)
    line = Request(4, host.next, Opcode.WRITE, arguments(2, 1)).encode()
    await host.send(line + line)
    answers = [await host.answer(), await host.answer()]
    assert [answer and answer.status for answer in answers] == [Status.DONE, Status.UNEXPECTED]
    host.next += 1
    assert (await host.ask(Opcode.READ, arguments(WRITES))).words == (1,)


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Of a frame: the device says that it has no session, and takes a new one."""
    host = await start(dut)
    await host.ask(Opcode.PIXELS, bytes(20))
    line = Request(4, host.next, Opcode.PIXELS, bytes(range(1, 60))).encode()
    await host.send(line[:30])
    await reset(dut)
    await host.send(line[30:])
    await host.quiet()
    assert (await host.ask(Opcode.READ, arguments(1))).status is Status.NO_SESSION
    host.next = 0
    await host.ask(Opcode.HELLO, session=4)
    await host.images(9)
