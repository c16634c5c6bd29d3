# SPDX-License-Identifier: Apache-2.0
"""A device that digests its streams: one byte lost, doubled or swapped changes all that follows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amaranth import Array, Module, Signal
from amaranth.lib import wiring

from xnorflow.core.link import LinkLimits
from xnorflow.core.registers import REGISTERS
from xnorflow.gateware.accelerator import host_ports
from xnorflow.gateware.verilog import convert
from xnorflow.links.spi import SpiDevice
from xnorflow.links.uart import UartDevice
from xnorflow.simulation import spi
from xnorflow.simulation.uart import DIVISOR, TOP, UartModel, build_uart

__all__ = ["CLEAR", "SCRATCH", "WRITES", "Digest", "DigestModel", "digest_spi", "digest_uart"]

CLEAR = REGISTERS["command"].index
"""Any write clears the digest and the count of results."""
BLOCK = REGISTERS["images"].index
"""Results in a block; the last of them is marked."""
SCRATCH = range(4)
"""Registers that keep what is written."""
WRITES = 7
"""Writes so far, to any register."""


class Digest(wiring.Component):
    """Registers and streams of an accelerator.

    A byte p makes the digest rotl(digest, 5) + p, a configuration word c rotl(digest, 7) ^ c;
    every fourth byte gives the digest as a result. Both streams pause at random.
    """

    def __init__(self) -> None:
        super().__init__(host_ports())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        scratch = Array(Signal(32, name=f"scratch_{i}") for i in SCRATCH)
        block, writes, results = Signal(32), Signal(32), Signal(32)
        digest, count = Signal(32), Signal(2)
        noise = Signal(16, init=1)
        m.d.sync += noise.eq((noise << 1) | (noise[15] ^ noise[13] ^ noise[12] ^ noise[10]))
        free = ~self.results.valid | self.results.ready
        added = digest.rotate_left(5) + self.pixels.payload
        m.d.comb += [
            self.config.ready.eq(noise[0]),
            # Now and then a long pause, in which the link's buffer fills.
            self.pixels.ready.eq(free & noise[3] & (noise[8:16] != 5) & ~self.config.valid),
        ]
        m.d.sync += self.reg_read_data.eq(0)
        with m.If(self.reg_address == WRITES):
            m.d.sync += self.reg_read_data.eq(writes)
        with m.Elif(self.reg_address < len(SCRATCH)):
            m.d.sync += self.reg_read_data.eq(scratch[self.reg_address[:2]])
        with m.If(self.results.ready):
            m.d.sync += self.results.valid.eq(0)
        with m.If(self.config.valid & self.config.ready):
            m.d.sync += digest.eq(digest.rotate_left(7) ^ self.config.payload)
        with m.Elif(self.pixels.valid & self.pixels.ready):
            m.d.sync += [digest.eq(added), count.eq(count + 1)]
            with m.If(count == 3):
                m.d.sync += [
                    self.results.valid.eq(1),
                    self.results.payload.data.eq(added),
                    self.results.payload.last.eq(results == block - 1),
                    results.eq(results + 1),
                ]
                with m.If(results == block - 1):
                    m.d.sync += results.eq(0)
        with m.If(self.reg_write):
            m.d.sync += writes.eq(writes + 1)
            with m.If(self.reg_address < len(SCRATCH)):
                m.d.sync += scratch[self.reg_address[:2]].eq(self.reg_write_data)
            with m.Elif(self.reg_address == BLOCK):
                m.d.sync += [block.eq(self.reg_write_data), results.eq(0)]
            with m.Elif(self.reg_address == CLEAR):
                m.d.sync += [digest.eq(0), count.eq(0), self.results.valid.eq(0)]
        return m


class DigestModel:
    """The same in Python."""

    def __init__(self) -> None:
        self.scratch = [0] * len(SCRATCH)
        self.writes = 0
        self.clear()

    def clear(self) -> None:
        self.digest = 0

    def config(self, words: Iterable[int]) -> None:
        for word in words:
            self.digest = _rotated(self.digest, 7) ^ word

    def pixels(self, data: bytes) -> list[int]:
        """The results of so many bytes, a multiple of 4."""
        results = []
        for at, byte in enumerate(data, 1):
            self.digest = (_rotated(self.digest, 5) + byte) & 0xFFFFFFFF
            if at % 4 == 0:
                results.append(self.digest)
        return results


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> (32 - by)) & 0xFFFFFFFF


def digest_uart(*, divisor: int = DIVISOR, limits: LinkLimits | None = None) -> UartModel:
    """The device behind the pins of a UART, built."""
    return build_uart(
        convert(UartDevice(Digest(), divisor=divisor, limits=limits), TOP), divisor, "a digest"
    )


def digest_spi(*, limits: LinkLimits | None = None) -> Path:
    """The library of the device as an SPI slave, built."""
    return spi.build_spi(convert(SpiDevice(Digest(), limits=limits), spi.TOP), "a digest")
