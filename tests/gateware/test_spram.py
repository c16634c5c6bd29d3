# SPDX-License-Identifier: Apache-2.0
"""Weights in single-port RAM: what is read is what banks of their own would give."""

from __future__ import annotations

import random

import pytest
from amaranth import Module, Value
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from xnorflow.core.geometry import Geometry
from xnorflow.gateware import spram
from xnorflow.gateware.spram import SharedWeightBank
from xnorflow.gateware.weightbank import WeightBank

SHAPES = ("2x1x4x64,weight_bus=16", "2x1x8x64,weight_bus=8", "2x2x4x32,weight_bus=16")


def single_port(place: Value, write: Value, masks: Value, word: Value, read: Value) -> Module:
    """What SB_SPRAM256KA does, as Yosys' model of it has it: one port, write masks of four bits."""
    m = Module()
    m.submodules.memory = memory = Memory(shape=spram.WIDTH, depth=64, init=[])
    into, out = memory.write_port(granularity=spram.MASK), memory.read_port()
    m.d.comb += [
        into.addr.eq(place),
        into.data.eq(word),
        into.en.eq(masks & write.replicate(len(masks))),
        out.addr.eq(place),
        out.en.eq(~write),
        read.eq(out.data),
    ]
    return m


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_columns_banks(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedWeightBank, "_block", staticmethod(single_port))
    geometry = Geometry.parse(f"{shape},weight_depth=64")
    assert SharedWeightBank.fits(geometry)
    columns = range(geometry.columns_per_hop)
    m = Module()
    m.submodules.shared = shared = SharedWeightBank(geometry)
    banks = [WeightBank(geometry) for _ in columns]
    m.submodules += banks
    rng = random.Random(shape)

    async def bench(ctx) -> None:
        for column in columns:
            for address in range(64):
                word = rng.getrandbits(geometry.rows * geometry.weight_beat)
                for unit in (shared, *banks):
                    ctx.set(unit.bus.address, address)
                    ctx.set(unit.bus.data, word)
                ctx.set(shared.writes, 1 << column)
                for at, bank in enumerate(banks):
                    ctx.set(bank.write, at == column)
                await ctx.tick()
        ctx.set(shared.writes, 0)
        for bank in banks:
            ctx.set(bank.write, 0)
        for cycle in range(200):
            address = rng.randrange(64)
            for unit in (shared, *banks):
                ctx.set(unit.address, address)
            await ctx.tick()
            if cycle > SharedWeightBank.latency_cycles:
                for column, bank in enumerate(banks):
                    found = ctx.get(shared.weights[column].as_value())
                    assert found == ctx.get(bank.weights.as_value())

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_what_does_not_fit() -> None:
    for shape in (
        "2x1x8x64,weight_bus=16",
        "3x3x4x32",
        "2x1x4x64,weight_bus=16,weight_depth=32768",
    ):
        assert not SharedWeightBank.fits(Geometry.parse(shape))
