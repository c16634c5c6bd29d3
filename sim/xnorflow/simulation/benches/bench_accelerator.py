# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the whole accelerator: a random network against the golden model.

Every stream pauses at random. Every test ends with a hundred cycles in which nothing more may
come, and begins with a reset.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock

from xnorflow.compile.program import Program, compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, packet
from xnorflow.core.registers import Command, DeviceError, Status
from xnorflow.core.tap import TAP_DTYPE
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.benches.device import Device
from xnorflow.simulation.benches.networks import (
    GEOMETRY_VARIABLE,
    SEED_VARIABLE,
    grouped_network,
    small_network,
)

GEOMETRY = Geometry.parse(os.environ[GEOMETRY_VARIABLE])
SEED = int(os.environ[SEED_VARIABLE])
BLOCK = 3
SURPLUS_CYCLES = 100
FORMAT_CYCLES = 60
RESULT_LAST = 1 << 32


class Bench:
    """A device, a network, and what the network must give."""

    def __init__(self, dut: Any, artifact: Artifact, stall: float) -> None:
        self.device = Device(dut, GEOMETRY, seed=SEED, stall=stall)
        self.artifact = artifact
        self.program: Program = compile_network(artifact, GEOMETRY, max_block=BLOCK)
        self.rng = np.random.default_rng(SEED)

    @classmethod
    async def start(cls, dut: Any, artifact: Artifact, stall: float = 0.4) -> Bench:
        """A bench whose device is reset and has no program."""
        bench = cls(dut, artifact, stall)
        Clock(dut.clk, 10, unit="ns").start()
        await bench.device.reset()
        return bench

    def images(self, count: int) -> npt.NDArray[np.uint8]:
        """Random images."""
        shape = (count, *self.artifact.network.image_shape)
        return self.rng.integers(0, 256, shape, dtype=np.uint8)

    async def load(self) -> None:
        """Load the program, whatever happened before."""
        await self.device.abort()
        await self.device.load(self.program.config)
        assert await self.device.status() == Status(0)

    async def check_block(self, count: int) -> None:
        """Run a block; every code, every accumulator, every counter."""
        device, program = self.device, self.program
        images = self.images(count)
        cycles = await device.read("cycles")
        device.taps.rows.clear()
        device.taps.on = True
        status = await device.run(images)
        device.taps.on = False
        assert status == Status.DONE, status
        await self.check_results(images)
        golden = GoldenNetwork(self.artifact)(images)
        codes = program.layer_codes(np.array(device.taps.rows, TAP_DTYPE), count)
        assert {*codes, "input"} == {*golden.codes, "input"}
        for name in codes:
            wrong = np.argwhere(codes[name] != golden.codes[name])
            assert not len(wrong), f"{name}: {len(wrong)} wrong codes, the first at {wrong[0]}"
        # Waiting for the host is counted apart, whatever its pauses were.
        spent = (await device.read("cycles") - cycles) % (1 << 32)
        assert spent == program.block_cycles(count)

    async def check_results(self, images: npt.NDArray[np.uint8]) -> None:
        """The results of one block came, whole, and nothing follows them."""
        device = self.device
        taken = device.pixels.taken
        count = self.program.results_count(len(images))
        await device.until(lambda: len(device.results.words) >= count, "results were missing")
        await device.step(SURPLUS_CYCLES)
        words = list(device.results.words)
        device.results.words.clear()
        assert len(words) == count, len(words)
        assert [word >= RESULT_LAST for word in words] == [False] * (len(words) - 1) + [True]
        data = np.array([word % RESULT_LAST for word in words], np.uint32).view(np.int32)
        found = self.program.unpack_results(data, len(images))
        expected = GoldenNetwork(self.artifact)(images).accumulators
        wrong = np.argwhere(found != expected)
        assert not len(wrong), f"{len(wrong)} wrong accumulators, the first at {wrong[0]}"
        assert device.pixels.taken == taken

    def cuts(self, count: int) -> list[int]:
        """Cycles from a block's start at which to break it off: in the input and in every layer."""
        return np.linspace(0, self.program.block_cycles(BLOCK), count).astype(int).tolist()

    async def begin(self, count: int, cycles: int) -> None:
        """Start a block and leave it after some cycles."""
        device = self.device
        await device.begin(count)
        device.pixels.send(self.images(count).ravel().tolist())
        await device.step(cycles)


@cocotb.test()
async def two_blocks(dut: Any) -> None:
    """A whole block and a smaller one, under random stalls."""
    bench = await Bench.start(dut, small_network(SEED))
    await bench.load()
    await bench.check_block(BLOCK)
    await bench.check_block(BLOCK - 1)


@cocotb.test()
async def no_stalls(dut: Any) -> None:
    """The host is always there: only the first images are waited for."""
    bench = await Bench.start(dut, small_network(SEED + 1), stall=0.0)
    await bench.load()
    images = bench.images(BLOCK)
    bench.device.pixels.send(images.ravel().tolist())
    await bench.device.begin(BLOCK)
    assert await bench.device.idle() == Status.DONE
    await bench.check_results(images)
    # A position takes a cycle a byte, or a lane; and the last word must be written.
    lanes = bench.artifact.network.layers[0].in_lanes
    positions = images.size // images.shape[-1]
    most = positions * max(images.shape[-1], lanes) + FORMAT_CYCLES
    assert 0 < await bench.device.read("wait_cycles") <= most
    assert await bench.device.read("cycles") == bench.program.block_cycles(BLOCK)


@cocotb.test()
async def abort_in_mid_block(dut: Any) -> None:
    """After an abort anywhere the device is idle, silent, and runs the same program again."""
    bench = await Bench.start(dut, small_network(SEED + 2), stall=0.1)
    await bench.load()
    for cycles in bench.cuts(13):
        await bench.begin(BLOCK, cycles)
        assert Status.BUSY in await bench.device.status()
        await bench.device.abort()
        assert await bench.device.status() == Status(0)
        await bench.device.step(SURPLUS_CYCLES)
        assert not bench.device.results.words
        await bench.check_block(1)
    # While a result waits for a host that takes none.
    device = bench.device
    device.results.stall = 1.0
    await bench.begin(BLOCK, 2 * bench.program.block_cycles(BLOCK))
    assert int(dut.results__valid.value)
    await device.abort()
    device.results.stall = 0.1
    await device.step(SURPLUS_CYCLES)
    assert not device.results.words
    await bench.check_block(BLOCK)


@cocotb.test()
async def reset_in_mid_block(dut: Any) -> None:
    """After a reset the device has no program; loaded again, it is right again."""
    bench = await Bench.start(dut, small_network(SEED + 3), stall=0.1)
    for cycles in bench.cuts(4):
        await bench.load()
        await bench.begin(BLOCK, cycles)
        assert Status.BUSY in await bench.device.status()
        await bench.device.reset()
        assert await bench.device.status() == Status(0)
        await bench.device.write("images", 1)
        await bench.device.command(Command.RUN)
        assert await bench.device.idle() == Status.ERROR
        assert await bench.device.read("error") == DeviceError.NO_PROGRAM
    await bench.load()
    await bench.check_block(BLOCK)


@cocotb.test()
async def abort_in_mid_packet(dut: Any) -> None:
    """Half a program is none: it is refused, and a whole one works again."""
    bench = await Bench.start(dut, small_network(SEED + 4))
    device, words = bench.device, bench.program.config
    await bench.load()
    for count in (4, 9, len(words) // 3, len(words) - 1):
        await device.load(words[:count])
        await device.abort()
        assert await device.status() == Status(0)
        await device.write("images", 1)
        await device.command(Command.RUN)
        assert await device.idle() == Status.ERROR
        assert await device.read("error") == DeviceError.NO_PROGRAM
    await bench.load()
    await bench.check_block(BLOCK)


@cocotb.test()
async def bad_packet(dut: Any) -> None:
    """A bad packet is an error until ABORT; what follows it is dropped, not written."""
    bench = await Bench.start(dut, small_network(SEED + 5))
    device = bench.device
    await bench.load()
    far = packet(GEOMETRY, Target.WEIGHT, [1, 2], column=0, address=GEOMETRY.weight_depth - 1)
    zero = packet(GEOMETRY, Target.CONTROL, [0])
    await device.load(np.concatenate([far, zero]))
    assert await device.status() == Status.ERROR
    assert await device.read("error") == DeviceError.BAD_PACKET
    await device.write("images", 1)
    await device.command(Command.RUN)
    assert await device.idle() == Status.ERROR
    assert await device.read("error") == DeviceError.BAD_PACKET
    await device.abort()
    assert await device.status() == Status(0)
    await bench.check_block(BLOCK)  # the program before is whole


@cocotb.test()
async def wrong_numbers_of_images(dut: Any) -> None:
    """None, or more than a block, is refused; the next good number is not."""
    bench = await Bench.start(dut, small_network(SEED + 6))
    await bench.load()
    for count in (0, BLOCK + 1, 0xFFFF):
        await bench.device.write("images", count)
        await bench.device.command(Command.RUN)
        assert await bench.device.idle() == Status.ERROR
        assert await bench.device.read("error") == DeviceError.NO_PROGRAM
    await bench.check_block(1)


@cocotb.test()
async def the_next_block_is_prepared_during_this_one(dut: Any) -> None:
    """RUN, and RUN again for the next block, whose images go at once; configuration waits.

    A third RUN is ignored while the second waits.
    """
    bench = await Bench.start(dut, grouped_network(SEED + 7), stall=0.0)
    device = bench.device
    await bench.load()
    blocks = [bench.images(count) for count in (BLOCK, BLOCK - 1, BLOCK)]
    taken = device.config.taken
    rows = len(bench.program.schedule.rows)
    for index, images in enumerate(blocks):
        await device.begin(len(images))
        device.pixels.send(images.ravel().tolist())
        if index == 1:
            assert Status.QUEUED in await device.status()
            await device.write("images", 1)
            await device.command(Command.RUN)
            device.config.send(packet(GEOMETRY, Target.CONTROL, [rows]))
    assert device.config.taken == taken  # configuration waits for the end of all blocks
    assert await device.idle() == Status.DONE
    assert await device.read("blocks") == len(blocks)
    total = sum(bench.program.results_count(len(images)) for images in blocks)
    await device.until(lambda: len(device.results.words) >= total, "results were missing")
    words, device.results.words = device.results.words, []
    for images in blocks:
        count = bench.program.results_count(len(images))
        device.results.words, words = words[:count], words[count:]
        await bench.check_results(images)
    assert not words
    await device.drain(device.config)
    cycles = sum(bench.program.block_cycles(len(images)) for images in blocks)
    assert await device.read("cycles") == cycles


@cocotb.test()
async def rows_of_the_last_layer(dut: Any) -> None:
    """Each row's last tile gives only the channels that there are."""
    bench = await Bench.start(dut, grouped_network(SEED))
    assert sum(row.plan.raw for row in bench.program.schedule.rows) > 1
    assert bench.artifact.network.layers[-1].out_channels % GEOMETRY.columns
    await bench.load()
    await bench.check_block(BLOCK)
    await bench.check_block(1)
