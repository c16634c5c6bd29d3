# SPDX-License-Identifier: Apache-2.0
"""Words between two clocks: in order, none lost or doubled; what is withdrawn is forgotten."""

from __future__ import annotations

import random

import pytest
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator, SimulatorContext

from xnorflow.gateware.crossing import StreamCrossing

CLOCKS = [(4.0, 1.0), (1.0, 4.0), (1.0, 1.0), (1.0, 1.37), (3.1, 1.0)]


@pytest.mark.parametrize("clocks", CLOCKS, ids=lambda clocks: f"{clocks[0]}-to-{clocks[1]}")
def test_words_come_in_order_and_withdrawn_ones_are_forgotten(
    clocks: tuple[float, float],
) -> None:
    rng = random.Random(repr(clocks))
    m = Module()
    m.domains += ClockDomain("source"), ClockDomain("to")
    m.submodules.crossing = crossing = StreamCrossing(16, source="source", to="to")
    accepted: list[int] = []
    withdrawn: set[int] = set()
    came: list[int] = []

    async def sender(ctx: SimulatorContext) -> None:
        for word in range(1, 301):
            ctx.set(crossing.i.payload, word)
            ctx.set(crossing.i.valid, 1)
            patience = rng.choice((0, 1, 2, 5, 9, 20, 1000, 1000, 1000, 1000))
            for _ in range(patience + 1):
                _, _, taken = await ctx.tick("source").sample(crossing.i.ready)
                if taken:
                    accepted.append(word)
                    break
            else:
                withdrawn.add(word)
                ctx.set(crossing.i.valid, 0)
                await ctx.tick("source").repeat(4 + int(4 * clocks[1] / clocks[0]))
            if rng.random() < 0.3:
                ctx.set(crossing.i.valid, 0)
                await ctx.tick("source").repeat(rng.randrange(1, 9))
        ctx.set(crossing.i.valid, 0)
        await ctx.tick("source").repeat(100)

    async def receiver(ctx: SimulatorContext) -> None:
        while True:
            ctx.set(crossing.o.ready, rng.random() < 0.1)
            _, _, valid, ready, word = await ctx.tick("to").sample(
                crossing.o.valid, crossing.o.ready, crossing.o.payload
            )
            if valid and ready:
                came.append(word)

    simulator = Simulator(m)
    for domain, period in zip(("source", "to"), clocks, strict=True):
        simulator.add_clock(period * 1e-8, phase=period * 3e-9, domain=domain)
    simulator.add_testbench(sender)
    simulator.add_testbench(receiver, background=True)
    simulator.run()
    assert came == sorted(set(came))
    assert set(accepted) <= set(came)
    assert set(came) - set(accepted) <= withdrawn
    assert len(accepted) > 100
    assert len(withdrawn) > 50
    assert len(withdrawn - set(came)) > 20  # most are gone before they are taken
