# SPDX-License-Identifier: Apache-2.0
"""The banks in slices, as an ECP5 has them, against those of a hop each."""

from __future__ import annotations

import random

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from tests.gateware.helpers import SHAPES

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.arraybanks import ArrayBanks
from xnorflow.gateware.memory import ecp5_cuts


class Sliced(ArrayBanks):
    """The form of an ECP5, with memories that can be simulated."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._slices(m)
        return m


@pytest.mark.parametrize("depth", [64, 4096])  # slices of up to 36 bits, and of 4
@pytest.mark.parametrize("shape", SHAPES)
def test_slices_are_the_hops_banks(shape: str, depth: int) -> None:
    """Words written in any order, foreign writes between them; then reads, one a cycle."""
    geometry = Geometry.parse(f"{shape},weight_depth={depth}")
    m = Module()
    banks = Sliced(geometry), ArrayBanks(geometry)
    m.submodules += banks
    rng = random.Random(f"{shape} {depth}")
    size = geometry.rows * geometry.weight_beat
    used = rng.sample(range(depth), 24)
    writes = [(Target.WEIGHT, column, at) for column in range(geometry.columns) for at in used]
    writes += [(Target.SCALE, 0, used[0]), (Target.WEIGHT, geometry.columns, used[1])]
    rng.shuffle(writes)

    async def bench(ctx) -> None:
        async def cycle(**write: int) -> None:
            address = rng.choice(used)
            for unit in banks:
                ctx.set(unit.address, address)
                ctx.set(unit.bus.valid, int(bool(write)))
                for name, value in write.items():
                    ctx.set(unit.bus[name], value)
            await ctx.tick()

        for target, column, address in writes:
            word = rng.getrandbits(size)
            await cycle(target=target, column=column, address=address, data=word)
            if rng.random() < 0.3:
                await cycle()
        for _ in range(geometry.hops + 8):
            await cycle()
        some = 0
        for _ in range(100):
            await cycle()
            found, wanted = (ctx.get(unit.weights.as_value()) for unit in banks)
            assert found == wanted
            some += wanted != 0
        assert some == 100

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("depth", [16, 512, 513, 2048, 16384, 16385])
def test_cuts_are_the_word(depth: int) -> None:
    for width in (9, 16, 32, 36):
        cuts = ecp5_cuts(width, depth)
        assert [bit for cut in cuts for bit in cut] == list(range(width))
