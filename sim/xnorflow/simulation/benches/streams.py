# SPDX-License-Identifier: Apache-2.0
"""One clock cycle of a bench at a time, and both ends of a stream with random stalls.

Inputs change at the falling edge; outputs are seen when everything has settled, well before the
rising edge on which a word moves. So no bench depends on a simulator's order of events.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from cocotb.triggers import FallingEdge, ReadOnly

__all__ = ["Agent", "Clocked", "Sink", "Source"]


class Agent(Protocol):
    """Something that takes part in every cycle."""

    def drive(self) -> None:
        """Set inputs."""

    def observe(self) -> None:
        """See the settled outputs of the same cycle."""


class Clocked:
    """Runs agents cycle by cycle.

    Parameters
    ----------
    dut : handle
        Has ``clk`` and ``rst``; the clock runs already.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.agents: list[Agent] = []
        self.cycle = 0

    async def step(self, cycles: int = 1, **inputs: int) -> None:
        """Let cycles pass, with these inputs from the first of them on."""
        for _ in range(cycles):
            await FallingEdge(self.dut.clk)
            for name, value in inputs.items():
                getattr(self.dut, name).value = value
            for agent in self.agents:
                agent.drive()
            await ReadOnly()
            for agent in self.agents:
                agent.observe()
            self.cycle += 1

    async def reset(self, cycles: int = 2) -> None:
        """Hold the design in reset."""
        await self.step(cycles, rst=1)
        await self.step(rst=0)


class Source:
    """Sends words to a stream; a word once offered stays until it is taken.

    Parameters
    ----------
    dut : handle
    name : str
        The stream; its ports are ``name__valid`` and so on.
    rng : Random
    idle : float
        Probability of a pause before a word, cycle by cycle.
    """

    def __init__(self, dut: Any, name: str, rng: random.Random, idle: float) -> None:
        self._valid, self._ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        self.rng, self.idle = rng, idle
        self.words: list[int] = []
        self.taken = 0
        self._offered = False
        self._valid.value = 0
        self._payload.value = 0

    def send(self, words: Iterable[int]) -> None:
        """Queue words."""
        self.words += (int(word) for word in words)

    def drop(self) -> None:
        """Forget what was not taken, as a host that gives up."""
        self.words.clear()
        self._offered = False

    def drive(self) -> None:
        offer = bool(self.words) and (self._offered or self.rng.random() >= self.idle)
        self._valid.value = int(offer)
        if offer and not self._offered:
            self._payload.value = self.words[0]
        self._offered = offer

    def observe(self) -> None:
        if self._offered and int(self._ready.value):
            self.words.pop(0)
            self.taken += 1
            self._offered = False


class Sink:
    """Takes words from a stream, and checks that a word offered stays until it is taken.

    Parameters
    ----------
    dut : handle
    name : str
        The stream.
    rng : Random
    stall : float
        Probability that no word is taken in a cycle.
    """

    def __init__(self, dut: Any, name: str, rng: random.Random, stall: float) -> None:
        self._valid, self._ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        self.rng, self.stall = rng, stall
        self.words: list[int] = []
        self._open = False
        self._held: int | None = None
        self._strict = True
        self._ready.value = 0

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Meanwhile words may vanish, as at an abort, and those that are taken are dropped."""
        self._strict = False
        yield
        self._strict = True
        self._held = None
        self.words.clear()

    def drive(self) -> None:
        self._open = self.rng.random() >= self.stall
        self._ready.value = int(self._open)

    def observe(self) -> None:
        word = int(self._payload.value) if int(self._valid.value) else None
        if self._strict and self._held is not None and word != self._held:
            raise AssertionError(f"a word that was offered, {self._held:#x}, became {word}")
        self._held = None if self._open else word
        if self._open and word is not None:
            self.words.append(word)
