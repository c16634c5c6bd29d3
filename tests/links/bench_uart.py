# SPDX-License-Identifier: Apache-2.0
"""A digest behind a UART, with the UART of cocotbext-uart as its host."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer, with_timeout
from cocotbext.uart import UartSink, UartSource
from tests.links import bench_host
from tests.links.bench_host import PERIOD_NS
from tests.links.digest import WRITES

from xnorflow.core.link import Answer, Opcode, Request, Status, arguments

DIVISOR = 8
BIT_NS = PERIOD_NS * DIVISOR
PATIENCE_NS = 3000 * BIT_NS


class Host(bench_host.Host):
    """On the UART of cocotbext-uart."""

    def __init__(self, dut: Any, idle: float) -> None:
        super().__init__(dut, idle)
        self.source = UartSource(dut.rx, baud=1e9 / BIT_NS, bits=8)
        self.sink = UartSink(dut.tx, baud=1e9 / BIT_NS, bits=8)

    async def send(self, line: bytes) -> None:
        for byte in line:
            if self.rng.random() < self.idle:
                await self.source.wait()
                await Timer(self.rng.randrange(1, 5 * BIT_NS), "ns")
            await self.source.write(bytes((byte,)))
        await self.source.wait()

    async def answer(self) -> Answer | None:
        line = bytearray()
        while not line.endswith(b"\0"):
            line += await with_timeout(self.sink.read(1), PATIENCE_NS, "ns")
        return Answer.decode(bytes(line[:-1]))

    async def quiet(self) -> None:
        await Timer(200 * BIT_NS, "ns")
        assert self.sink.empty()


async def start(dut: Any, idle: float = 0.0) -> Host:
    """A host with a session."""
    host = Host(dut, idle)
    await host.start()
    return host


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
    await (await start(dut)).reset_in_a_frame()
