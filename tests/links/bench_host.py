# SPDX-License-Identifier: Apache-2.0
"""A host in a bench, whatever the line is: it asks one request at a time, and knows the digest."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from tests.links.digest import BLOCK, DigestModel

from xnorflow.core.link import Answer, Opcode, Request, Status, arguments

PERIOD_NS = 10


class Host(ABC):
    """Pauses between bytes at random."""

    def __init__(self, dut: Any, idle: float) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.idle = idle
        self.next = 0

    @abstractmethod
    async def send(self, line: bytes) -> None:
        """Bytes on the line, some of them after a pause."""

    @abstractmethod
    async def answer(self) -> Answer | None:
        """The next frame that comes; None if it is damaged."""

    @abstractmethod
    async def quiet(self) -> None:
        """Nothing more comes."""

    async def start(self) -> None:
        """A running clock, a reset, and a session."""
        cocotb.start_soon(Clock(self.dut.clk, PERIOD_NS, "ns").start())
        await self.reset()
        assert (await self.ask(Opcode.HELLO)).status is Status.DONE

    async def reset(self) -> None:
        """Of the device."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0

    async def ask(self, opcode: Opcode, body: bytes = bytes(5), session: int = 4) -> Answer:
        """A request that is due, and its answer."""
        await self.send(Request(session, self.next, opcode, body).encode())
        answer = await self.answer()
        assert answer is not None
        assert (answer.session, answer.sequence, answer.opcode) == (session, self.next, opcode)
        if answer.status is Status.DONE and opcode.is_sequenced:
            self.next = (self.next + 1) % 256
        return answer

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

    async def reset_in_a_frame(self) -> None:
        """A reset between a frame's halves: no session, then a new one that works."""
        await self.ask(Opcode.PIXELS, bytes(20))
        line = Request(4, self.next, Opcode.PIXELS, bytes(range(1, 60))).encode()
        await self.send(line[:30])
        await self.reset()
        await self.send(line[30:])
        await self.quiet()
        assert (await self.ask(Opcode.READ, arguments(1))).status is Status.NO_SESSION
        self.next = 0
        await self.ask(Opcode.HELLO, session=4)
        await self.images(9)
