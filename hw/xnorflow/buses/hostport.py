# SPDX-License-Identifier: Apache-2.0
"""What lies behind the addresses of core/hostmap.py, for AXI4-Lite and for Wishbone."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from xnorflow.buses.unpacker import word_layout
from xnorflow.core.hostmap import ADDRESS_BITS, BUS_MAP, BusStreams
from xnorflow.core.registers import REGISTERS, Command
from xnorflow.gateware.results import result_layout

__all__ = ["SETTLE_CYCLES", "HostPort", "join", "register_ports"]

SETTLE_CYCLES = 8
"""From the write of an abort on: so long the device may still give words of what it aborts."""

register_ports = {
    "reg_address": Out(8),
    "reg_write": Out(1),
    "reg_write_data": Out(32),
    "reg_read_data": In(32),
}
"""The device's register bus, from the side that asks."""


def join(m: Module, names: Iterable[str], outer: Component, inner: Component) -> None:
    """Connect ports of the same names; they flow as those of ``inner`` say."""
    for name in names:
        ours, theirs = getattr(outer, name), getattr(inner, name)
        if inner.signature.members[name].flow is In:
            m.d.comb += theirs.eq(ours)
        else:
            m.d.comb += ours.eq(theirs)


class HostPort(Component):
    """One access at a time to registers and windows; every access ends, the bad ones in an error.

    Nothing waits for the device: a window without room answers with an error, and nothing happens.
    So a program error never hangs a processor.

    Parameters
    ----------
    windows : bool
        Pixels and results go through the window ``data`` too (Wishbone). Otherwise they have
        streams of their own, whose state is in the register ``streams`` (AXI).
    depth : int
        Words that the queue behind each window holds.

    Members
    -------
    start : In(1)
        Begin an access, where ``ready`` is 1.
    write, address, data, strobe : In
        Of that access: the word's index, 32 bits, and which bytes count. Only the window ``data``
        takes less than a word; a write of no bytes does nothing.
    ready : Out(1)
        No access is under way, and no abort either.
    done, read_data, error : Out
        The access has ended; ``done`` lasts one cycle, the others until the next access ends.
    reg_address, reg_write, reg_write_data, reg_read_data
        To the device.
    config : Out(stream)
        To the device.
    words : Out(stream), results : In(stream)
        Of the window ``data``; they have no use without ``windows``.
    streams, streams_clear : In, Out
        Bits of :class:`BusStreams`; those that were written as 1, for one cycle.
    abort : Out(1)
        An abort was written in this cycle.
    settling : Out(1)
        For ``SETTLE_CYCLES`` from then on: what comes from the device belongs to the aborted block,
        and nothing may be given to it.

    Timing
    ------
    ``done`` two cycles after ``start``.
    """

    def __init__(self, *, windows: bool, depth: int) -> None:
        self.windows = windows
        self.depth = depth
        super().__init__(
            {
                "start": In(1),
                "write": In(1),
                "address": In(ADDRESS_BITS - 2),
                "data": In(32),
                "strobe": In(4),
                "ready": Out(1),
                "done": Out(1),
                "read_data": Out(32),
                "error": Out(1),
                **register_ports,
                "config": Out(stream.Signature(32)),
                "words": Out(stream.Signature(word_layout)),
                "results": In(stream.Signature(result_layout)),
                "streams": In(len(BusStreams)),
                "streams_clear": Out(len(BusStreams)),
                "abort": Out(1),
                "settling": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        busy = Signal()
        settle = Signal(range(SETTLE_CYCLES + 1))
        m.d.comb += [
            self.ready.eq(~busy & ~self.done & ~self.settling),
            self.abort.eq(
                self.reg_write
                & (self.reg_address == REGISTERS["command"].index)
                & (self.reg_write_data == Command.ABORT)
            ),
        ]
        with m.If(self.abort):
            m.d.sync += [settle.eq(SETTLE_CYCLES - 1), self.settling.eq(1)]
        with m.Elif(self.settling):
            m.d.sync += [settle.eq(settle - 1), self.settling.eq(settle != 0)]

        # The cycle of `start`: what is meant, whether it may be, and what a read gives.
        value, good, from_device = Signal(32), Signal(), Signal()
        whole, nothing = Signal(), Signal()
        m.d.comb += [whole.eq(self.strobe.all()), nothing.eq(self.write & ~self.strobe.any())]
        self._registers(m, good, from_device, whole)
        self._queues(m, value, good, whole)
        if not self.windows:
            with m.If(self._at("streams")):
                m.d.comb += [value.eq(self.streams), good.eq(~self.write | whole)]
                with m.If(self.start & self.write & whole):
                    m.d.comb += self.streams_clear.eq(self.data)

        # The cycle after: the device's registers answer.
        held, held_good, held_from_device = Signal(32), Signal(), Signal()
        m.d.sync += [busy.eq(self.start), self.done.eq(busy)]
        with m.If(self.start):
            m.d.sync += [
                held.eq(value),
                held_good.eq(good | nothing),
                held_from_device.eq(from_device),
            ]
        with m.If(busy):
            m.d.sync += [
                self.read_data.eq(Mux(held_from_device, self.reg_read_data, held)),
                self.error.eq(~held_good),
            ]
        return m

    def _at(self, name: str) -> Value:
        """Whether the address lies in this range, whose size is a power of two."""
        item = BUS_MAP[name]
        skip = (item.size // 4 - 1).bit_length()
        return self.address[skip:] == item.offset // 4 >> skip

    def _registers(self, m: Module, good: Signal, from_device: Signal, whole: Signal) -> None:
        """The device's registers, which lie before everything else."""
        writable = Signal()
        with m.Switch(self.address):
            for register in REGISTERS.values():
                with m.Case(register.index):
                    m.d.comb += from_device.eq(1)
                    m.d.comb += writable.eq(register.access == "rw")
        m.d.comb += [
            self.reg_address.eq(self.address),
            self.reg_write_data.eq(self.data),
            self.reg_write.eq(self.start & self.write & writable & whole),
        ]
        with m.If(from_device):
            m.d.comb += good.eq(~self.write | (writable & whole))

    def _queues(self, m: Module, value: Signal, good: Signal, whole: Signal) -> None:
        """The windows: queues that an abort empties."""
        names = ("config", "pixels") if self.windows else ("config",)
        queues = {}
        for name in names:
            width = 32 if name == "config" else word_layout.size
            queue = SyncFIFOBuffered(width=width, depth=self.depth)
            queues[name] = queue
            m.submodules[name] = ResetInserter(self.abort | self.settling)(queue)
            with m.If(self._at(f"{name}_room")):
                m.d.comb += [value.eq(self.depth - queue.level), good.eq(~self.write)]
        taken = Signal()
        m.d.comb += taken.eq(self.start & self.write)
        config = queues["config"]
        self._send(m, config, self.config)
        m.d.comb += config.w_data.eq(self.data)
        with m.If(self._at("config")):
            m.d.comb += good.eq(self.write & whole & config.w_rdy)
            m.d.comb += config.w_en.eq(taken & whole)
        if not self.windows:
            return
        pixels = queues["pixels"]
        self._send(m, pixels, self.words)
        m.d.comb += pixels.w_data.eq(Cat(self.data, self.strobe))
        m.submodules.results = results = ResetInserter(self.abort | self.settling)(
            SyncFIFOBuffered(width=result_layout.size, depth=self.depth)
        )
        m.d.comb += [
            self.results.ready.eq(results.w_rdy | self.settling),
            results.w_en.eq(self.results.valid & ~self.settling),
            results.w_data.eq(self.results.payload),
        ]
        with m.If(self._at("data")):
            m.d.comb += [
                good.eq(Mux(self.write, pixels.w_rdy, results.r_rdy)),
                value.eq(results.r_data),
                pixels.w_en.eq(taken & self.strobe.any()),
                results.r_en.eq(self.start & ~self.write),
            ]
        with m.If(self._at("results")):
            last = result_layout(results.r_data).last & results.r_rdy
            m.d.comb += [value.eq(results.level), value[31].eq(last), good.eq(~self.write)]

    def _send(self, m: Module, queue: SyncFIFOBuffered, to: stream.Interface) -> None:
        """A queue's words to the device, but not while it aborts."""
        m.d.comb += [
            to.valid.eq(queue.r_rdy & ~self.settling),
            to.payload.eq(queue.r_data),
            queue.r_en.eq(to.ready & ~self.settling),
        ]
