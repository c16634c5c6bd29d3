# SPDX-License-Identifier: Apache-2.0
"""A device with a clock of its own: registers and streams are what they are without one."""

import random
from collections.abc import Awaitable, Callable

import pytest
from amaranth import Array, ClockDomain, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.results import result_layout
from xnorflow.links.crossed import CrossedDevice


class Adder(wiring.Component):
    """Four registers, and results that are a word of the configuration and a pixel, added."""

    geometry = Geometry.parse("2x2x4x32")

    reg_address: In(8)
    reg_write: In(1)
    reg_write_data: In(32)
    reg_read_data: Out(32)
    config: In(stream.Signature(32))
    pixels: In(stream.Signature(8))
    results: Out(stream.Signature(result_layout))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        registers = Array(Signal(32, name=f"register_{index}") for index in range(4))
        m.d.sync += self.reg_read_data.eq(registers[self.reg_address])
        with m.If(self.reg_write):
            m.d.sync += registers[self.reg_address].eq(self.reg_write_data)
        both, taken = Signal(), Signal()
        m.d.comb += [
            both.eq(self.config.valid & self.pixels.valid),
            taken.eq(both & self.results.ready),
            self.results.valid.eq(both),
            self.results.payload.data.eq(self.config.payload + self.pixels.payload),
            self.results.payload.last.eq(self.pixels.payload[0]),
            self.config.ready.eq(taken),
            self.pixels.ready.eq(taken),
        ]
        return m


@pytest.mark.parametrize("faster", [1.0, 1.3, 3.5, 8.0])
def test_registers_and_streams(faster: float) -> None:
    rng = random.Random(faster)
    m = Module()
    m.domains += ClockDomain("array")
    m.submodules.dut = dut = CrossedDevice(Adder())
    words = [rng.getrandbits(31) for _ in range(40)]
    pixels = [rng.getrandbits(8) for _ in words]
    came: list[tuple[int, int]] = []

    async def registers(ctx: SimulatorContext) -> None:
        held = dict.fromkeys(range(4), 0)
        for _ in range(60):
            address = rng.randrange(4)
            ctx.set(dut.reg_address, address)
            if rng.random() < 0.5:
                held[address] = rng.getrandbits(32)
                ctx.set(dut.reg_write, 1)
                ctx.set(dut.reg_write_data, held[address])
                await ctx.tick()
                ctx.set(dut.reg_write, 0)
                ctx.set(dut.reg_write_data, 0)
                wait = CrossedDevice.write_cycles - 1
                if rng.random() < 0.5:  # the next write at once, or a read of what was written
                    await ctx.tick().repeat(wait)
                    continue
            ctx.set(dut.reg_address, address)
            await ctx.tick().repeat(CrossedDevice.read_cycles)
            assert ctx.get(dut.reg_read_data) == held[address]
            await ctx.tick().repeat(rng.randrange(1, 9))

    def sender(port: stream.Interface, values: list[int]) -> Callable[..., Awaitable[None]]:
        async def send(ctx: SimulatorContext) -> None:
            for value in values:
                ctx.set(port.payload, value)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)
                await ctx.tick().repeat(rng.randrange(1, 4))

        return send

    async def take(ctx: SimulatorContext) -> None:
        while len(came) < len(words):
            ctx.set(dut.results.ready, rng.random() < 0.5)
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.results.valid, dut.results.ready, dut.results.payload
            )
            if valid and ready:
                came.append((payload.data, payload.last))

    simulator = Simulator(m)
    simulator.add_clock(1e-6, phase=3e-7)
    simulator.add_clock(1e-6 / faster, domain="array")
    simulator.add_testbench(registers)
    simulator.add_testbench(sender(dut.config, words))
    simulator.add_testbench(sender(dut.pixels, pixels))
    simulator.add_testbench(take)
    simulator.run()
    expected = [(word + pixel, pixel & 1) for word, pixel in zip(words, pixels, strict=True)]
    assert [(data % 2**32, last) for data, last in came] == expected
