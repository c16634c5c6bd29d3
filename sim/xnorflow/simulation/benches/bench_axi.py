# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the accelerator on AXI; cocotbext-axi is the master, with random pauses."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import First, Timer, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from xnorflow.buses.axi import WINDOW_DEPTH
from xnorflow.core.hostmap import BUS_MAP, BusStreams
from xnorflow.core.registers import REGISTERS, Command, DeviceError, Status
from xnorflow.gateware.registers import constant_values
from xnorflow.simulation.benches.hosts import BLOCK, SURPLUS_CYCLES, BusError, Host

STREAMS = BUS_MAP["streams"].offset
CONFIG = BUS_MAP["config"].offset
LIMIT_US = 300
"""Simulated time after which an access or a packet is taken for lost."""


class AxiHost(Host):
    """AXI4-Lite master, stream source and stream sink."""

    full_room = WINDOW_DEPTH

    def __init__(self, dut: Any, stall: float) -> None:
        super().__init__(dut, dut.aclk)
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset)
        for part in (self.lite.write_if, self.lite.read_if, self.source, self.sink):
            part.log.setLevel(logging.WARNING)  # frames written out take longer than the rest
        self.stall(stall)

    def stall(self, rate: float) -> None:
        """Pause each channel at random; each has a rate of its own, up to this one."""
        write, read = self.lite.write_if, self.lite.read_if
        channels = (
            *(write.aw_channel, write.w_channel, write.b_channel),
            *(read.ar_channel, read.r_channel, self.source, self.sink),
        )
        for number, channel in enumerate(channels):
            channel.set_pause_generator(self._pauses(rate, self.seed + number))

    @staticmethod
    def _pauses(rate: float, seed: int) -> Iterator[bool]:
        rng = random.Random(seed)
        own = rate * rng.uniform(0.5, 1)
        return (rng.random() < own for _ in itertools.count())

    async def reset(self) -> None:
        self.dut.aresetn.value = 0
        await self.cycles(4)
        self.sink.clear()
        self.source.clear()
        self.dut.aresetn.value = 1
        await self.cycles(2)

    async def read(self, offset: int) -> int:
        answer = await with_timeout(self.lite.read(offset, 4), LIMIT_US, "us")
        if answer.resp != AxiResp.OKAY:
            raise BusError
        return int.from_bytes(answer.data, "little")

    async def write(self, offset: int, value: int, strobe: int = 0xF) -> None:
        # The master writes the bytes that it is given; bytes in a row make the strobe.
        first = (strobe & -strobe).bit_length() - 1
        count = strobe.bit_count()
        assert strobe == ((1 << count) - 1) << first
        data = value.to_bytes(4, "little")[first : first + count]
        answer = await with_timeout(self.lite.write(offset + first, data), LIMIT_US, "us")
        if answer.resp != AxiResp.OKAY:
            raise BusError

    async def send_pixels(self, values: bytes) -> None:
        await self.source.send(AxiStreamFrame(values))

    async def send_config(self, words: np.ndarray) -> None:
        """Configuration down the stream."""
        await self.source.send(AxiStreamFrame(words.astype("<u4").tobytes(), tdest=1))

    async def packet(self) -> tuple[list[int], bool]:
        """The next packet's words, the last one marked, and whether an abort ended it."""
        frame = await with_timeout(self.sink.recv(), LIMIT_US, "us")
        data = np.frombuffer(bytes(frame.tdata), "<u4").tolist()
        users = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser]
        data[-1] |= 1 << 32
        return data, bool(users[-1])

    async def take_results(self, count: int) -> list[int]:
        words, aborted = await self.packet()
        assert not aborted
        return words

    async def quiet(self) -> bool:
        return self.sink.empty() and self.sink.idle()

    async def abort(self) -> None:
        await self.put("command", Command.ABORT)
        _, aborted = await self.packet()
        while not aborted:  # blocks that had ended before
            _, aborted = await self.packet()
        await with_timeout(self.source.wait(), LIMIT_US, "us")
        assert await self.idle() == Status(0)
        assert await self.read(STREAMS) & ~BusStreams.CUT_WORD == BusStreams.DROPPING
        await self.write(STREAMS, BusStreams.DROPPING | BusStreams.CUT_WORD)
        assert await self.read(STREAMS) == 0

    async def load(self) -> None:
        await self.abort()
        await self.send_config(self.program.config)
        await with_timeout(self.source.wait(), LIMIT_US, "us")
        assert await self.status() == Status(0)


async def start(dut: Any, stall: float = 0.5) -> AxiHost:
    """A host whose device is reset."""
    host = AxiHost(dut, stall)
    dut.aresetn.value = 0
    await host.reset()
    return host


@cocotb.test()
async def registers(dut: Any) -> None:
    """Every constant; errors for what is not there, and no effect; accesses in any order."""
    host = await start(dut)
    await host.check_registers(
        missing=(4 * len(REGISTERS), 0x3FC, 0x404, 0x408, 0x410, 0x7FC, CONFIG, 0xC00, 0xFFC),
        fixed=(0, 4 * len(REGISTERS), 0x404, BUS_MAP["config_room"].offset, 0xC00),
        partial=(0x1, 0x3, 0x8, 0x6),
    )
    assert await host.read(BUS_MAP["config_room"].offset) == WINDOW_DEPTH


@cocotb.test()
async def many_accesses_at_once(dut: Any) -> None:
    """Reads and writes overtake each other at random; each gets its own answer."""
    host = await start(dut, stall=0.7)
    rng = random.Random(host.seed)

    async def reader() -> None:
        for _ in range(60):
            name = rng.choice(["magic", "version", "shape", "pixels_and_bus"])
            assert await host.get(name) == constant_values(host.geometry, 0)[name]

    async def writer() -> None:
        for _ in range(60):
            value = rng.randrange(1 << 16)
            await host.put("images", value)
            assert await host.get("images") == value

    async def lost() -> None:
        for _ in range(60):
            assert await host.fails(rng.choice([0x200, 0x500]), rng.choice([None, 7]))

    for task in [cocotb.start_soon(part()) for part in (reader, writer, lost)]:
        await task


@cocotb.test()
async def blocks(dut: Any) -> None:
    """Configuration through the window, then blocks, under pauses and without."""
    host = await start(dut)
    await host.abort()
    await host.write_config(host.program.config)
    await host.check_block(BLOCK)
    host.stall(0.0)
    await host.check_block(BLOCK - 1)


@cocotb.test()
async def configuration_down_the_stream(dut: Any) -> None:
    """TDEST 1, in several packets, with words of no byte between them."""
    host = await start(dut)
    await host.abort()
    for part in np.array_split(host.program.config, 5):
        await host.send_config(part)
        nothing = AxiStreamFrame(bytes(4), tkeep=[0, 0, 0, 0], tdest=1)
        await host.source.send(nothing)
    await with_timeout(host.source.wait(), LIMIT_US, "us")
    await host.check_block(BLOCK)


@cocotb.test()
async def null_bytes(dut: Any) -> None:
    """Bytes that do not count, anywhere, and images cut into packets anywhere."""
    host = await start(dut, stall=0.2)
    await host.load()
    rng = random.Random(host.seed)
    images = host.images(BLOCK)
    await host.put("images", BLOCK)
    await host.put("command", Command.RUN)
    data: list[int] = []
    keep: list[int] = []
    for value in images.tobytes():
        while rng.random() < 0.4:
            data.append(rng.randrange(256))
            keep.append(0)
        data.append(value)
        keep.append(1)
    at = 0
    while at < len(data):
        size = rng.randrange(1, 40)
        part = slice(at, at + size)
        await host.source.send(AxiStreamFrame(bytearray(data[part]), tkeep=keep[part]))
        at += size
    host.check_words(await host.take_results(0), images)
    assert await host.idle() == Status.DONE


@cocotb.test()
async def two_blocks_on_each_others_heels(dut: Any) -> None:
    """The second block's run, images and results overlap the first one's."""
    host = await start(dut)
    await host.load()
    first = await host.begin(BLOCK)
    second = await host.begin(BLOCK - 1)
    host.check_words(await host.take_results(0), first)
    host.check_words(await host.take_results(0), second)
    assert await host.idle() == Status.DONE
    await host.cycles(SURPLUS_CYCLES)
    assert await host.quiet()


@cocotb.test()
async def abort_in_mid_block(dut: Any) -> None:
    """Packets end by themselves; the next block is right, and nothing of the last one is in it."""
    host = await start(dut, stall=0.3)
    await host.load()
    for cycles in host.cuts(5):
        await host.begin(BLOCK)
        await host.cycles(cycles)
        await host.abort()
        await host.check_block(1)
    # While nobody takes results; the words that were offered stay.
    host.sink.set_pause_generator(itertools.repeat(True))
    await host.begin(BLOCK)
    await host.cycles(2 * host.program.block_cycles(BLOCK))
    assert int(dut.m_axis_tvalid.value)
    held = int(dut.m_axis_tdata.value)
    await host.put("command", Command.ABORT)
    await host.put("command", Command.ABORT)
    await host.cycles(SURPLUS_CYCLES)
    assert int(dut.m_axis_tvalid.value)
    assert int(dut.m_axis_tdata.value) == held
    assert BusStreams.ENDING in BusStreams(await host.read(STREAMS))
    host.stall(0.3)
    words, aborted = await host.packet()
    assert aborted
    assert len(words) <= 4
    await host.cycles(SURPLUS_CYCLES)
    assert await host.quiet()
    assert await host.read(STREAMS) == BusStreams.DROPPING
    await host.abort()
    await host.check_block(BLOCK)


@cocotb.test()
async def abort_without_a_block(dut: Any) -> None:
    """Every abort is answered by one packet of one word."""
    host = await start(dut)
    for _ in range(3):
        await host.put("command", Command.ABORT)
        words, aborted = await host.packet()
        assert aborted
        assert words == [1 << 32]
    await host.cycles(SURPLUS_CYCLES)
    assert await host.quiet()


@cocotb.test()
async def cut_configuration(dut: Any) -> None:
    """A word that lacks bytes is reported, and what follows it in its packet is dropped."""
    host = await start(dut)
    await host.load()
    words = host.program.config
    data = bytearray(words.astype("<u4").tobytes())
    keep = [1] * len(data)
    keep[len(data) // 2 // 4 * 4 + 1] = 0
    await host.source.send(AxiStreamFrame(data, tkeep=keep, tdest=1))
    await with_timeout(host.source.wait(), LIMIT_US, "us")
    await host.cycles(10)
    assert await host.read(STREAMS) == BusStreams.CUT_WORD | BusStreams.DROPPING
    await host.abort()
    await host.put("images", 1)
    await host.put("command", Command.RUN)
    assert await host.idle() == Status.ERROR  # half a program is none
    assert await host.get("error") == DeviceError.NO_PROGRAM
    await host.abort()
    await host.send_config(words)
    await with_timeout(host.source.wait(), LIMIT_US, "us")
    await host.check_block(BLOCK)


@cocotb.test()
async def a_full_window(dut: Any) -> None:
    """While a block runs the window fills up; more is an error, and an abort empties it."""
    host = await start(dut)
    await host.load()
    await host.put("images", 1)
    await host.put("command", Command.RUN)
    written = 0
    while await host.read(BUS_MAP["config_room"].offset):
        assert not await host.fails(CONFIG + 4 * (written % 256), written)
        written += 1
    assert WINDOW_DEPTH <= written <= WINDOW_DEPTH + 1
    for _ in range(3):
        assert await host.fails(CONFIG, 0)
    await host.abort()
    assert await host.read(BUS_MAP["config_room"].offset) == WINDOW_DEPTH
    await host.check_block(BLOCK)  # none of these words has reached the device


@cocotb.test()
async def reset_in_mid_block(dut: Any) -> None:
    """After a reset, in the middle of accesses and packets, everything is as after power-up."""
    host = await start(dut, stall=0.3)
    for cycles in host.cuts(3):
        await host.load()
        await host.begin(BLOCK)
        reading = cocotb.start_soon(host.lite.read(0, 4))
        await First(Timer(10 * cycles + 5, "ns"))
        dut.aresetn.value = 0
        await host.cycles(1)
        reading.cancel()
        await host.cycles(1)
        for port in ("s_axil_bvalid", "s_axil_rvalid", "m_axis_tvalid"):
            assert not int(getattr(dut, port).value), port
        await host.reset()
        assert await host.status() == Status(0)
        assert await host.read(STREAMS) == 0
        await host.put("images", 1)
        await host.put("command", Command.RUN)
        assert await host.idle() == Status.ERROR
        await host.cycles(SURPLUS_CYCLES)
        assert await host.quiet()
    await host.load()
    await host.check_block(BLOCK)
