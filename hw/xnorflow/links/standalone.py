# SPDX-License-Identifier: Apache-2.0
"""A device without a host: bytes of images come in, the names of their classes go out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.answer import Answer
from xnorflow.core.registers import REGISTERS, Command
from xnorflow.gateware.memory import INITIALISED
from xnorflow.gateware.results import result_layout
from xnorflow.links.verdict import Verdict

__all__ = ["BUFFER_BYTES", "DISCARDED", "Standalone"]

BUFFER_BYTES = 512
"""Of the next image, while one is computed."""
DISCARDED = "?"
"""What is said of an image that was broken off."""
REGISTER_CYCLES = 16
"""Between two writes of registers, so that they also cross to another clock."""


class Standalone(wiring.Component):
    """Runs a baked network image by image, as a host would.

    An image is ``answer.image_bytes`` bytes one after another. For each the name of its class and
    a newline are said. A pause of ``gap_cycles`` in the middle of an image, a damaged byte, or more
    bytes than the buffer holds discard what was not answered yet, and what comes until the next
    pause; then ``DISCARDED`` and a newline are said.

    Parameters
    ----------
    answer : Answer
    accumulator_width : int
        Bits of an accumulator.
    gap_cycles : int
        Pause after which an image is given up.

    Members
    -------
    byte, strobe, damaged : In
        A byte of the line in a cycle with ``strobe``; something came that was none.
    leave : In(1)
        A host has come: what runs is aborted, and nothing more is done until a reset.
    reg_address, reg_write, reg_write_data
        To the device's register bus.
    pixels, results
        To the device's streams.
    line : Out(stream)
        Bytes for the line.
    best : Out
        The last image's class.
    """

    def __init__(self, answer: Answer, *, accumulator_width: int, gap_cycles: int) -> None:
        self.answer = answer
        self.accumulator_width = accumulator_width
        self.gap_cycles = gap_cycles
        super().__init__(
            {
                "byte": In(8),
                "strobe": In(1),
                "damaged": In(1),
                "leave": In(1),
                "reg_address": Out(8),
                "reg_write": Out(1),
                "reg_write_data": Out(32),
                "pixels": Out(stream.Signature(8)),
                "results": In(stream.Signature(result_layout)),
                "line": Out(stream.Signature(8)),
                "best": Out(answer.class_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        recovered = Signal()  # what was broken is forgotten
        fifo = SyncFIFOBuffered(width=8, depth=BUFFER_BYTES)
        m.submodules.fifo = ResetInserter(recovered)(fifo)
        m.submodules.verdict = verdict = Verdict(self.answer, self.accumulator_width)
        wiring.connect(m, wiring.flipped(self.results), verdict.results)
        m.d.comb += [self.best.eq(verdict.best), verdict.clear.eq(recovered)]
        broken, silent = self._listen(m, fifo, recovered)
        speak, index, spoken = self._speak(m)

        sent = Signal(range(self.answer.image_bytes + 1))  # bytes of the image
        pause = Signal(range(REGISTER_CYCLES))
        ready = Signal()
        m.d.comb += [
            ready.eq(pause == 0),
            self.pixels.payload.eq(fifo.r_data),
        ]
        with m.If(~ready):
            m.d.sync += pause.eq(pause - 1)

        def write(register: str, value: int) -> None:
            m.d.comb += [
                self.reg_address.eq(REGISTERS[register].index),
                self.reg_write_data.eq(value),
                self.reg_write.eq(ready),
            ]
            with m.If(ready):
                m.d.sync += pause.eq(REGISTER_CYCLES - 1)

        @contextmanager
        def state(name: str) -> Iterator[None]:
            with m.State(name):
                yield
                with m.If(self.leave):
                    m.next = "leave"

        with m.FSM():
            with state("images"):
                write("images", 1)
                with m.If(ready):
                    m.next = "run"
            with state("run"):
                write("command", Command.RUN)
                m.d.sync += sent.eq(0)
                with m.If(ready):
                    m.next = "feed"
            with state("feed"):
                m.d.comb += [
                    self.pixels.valid.eq(fifo.r_rdy),
                    fifo.r_en.eq(self.pixels.ready),
                ]
                with m.If(fifo.r_rdy & self.pixels.ready):
                    m.d.sync += sent.eq(sent + 1)
                with m.If(sent == self.answer.image_bytes):
                    m.d.comb += [self.pixels.valid.eq(0), fifo.r_en.eq(0)]
                    m.next = "compute"
                with m.Elif(broken):
                    m.next = "abort"
            with state("compute"), m.If(verdict.done):
                m.d.sync += index.eq(verdict.best)
                m.next = "say"
            with state("say"):
                m.d.comb += speak.eq(1)
                with m.If(spoken):
                    m.next = "run"
            with state("abort"):
                write("command", Command.ABORT)
                with m.If(ready):
                    m.next = "broken"
            with state("broken"):
                m.d.sync += index.eq(len(self.answer.names))
                m.d.comb += recovered.eq(silent)
                with m.If(silent):
                    m.next = "say"
            with m.State("leave"):
                write("command", Command.ABORT)
                with m.If(ready):
                    m.next = "gone"
            with m.State("gone"):
                pass
        return m

    def _listen(
        self, m: Module, fifo: SyncFIFOBuffered, recovered: Signal
    ) -> tuple[Signal, Signal]:
        """Bytes into the buffer. Returns: what came is to be discarded; a pause has lasted."""
        broken, silent = Signal(), Signal()
        filled = Signal(range(self.answer.image_bytes))  # bytes of the image that comes
        quiet = Signal(range(self.gap_cycles + 1))
        long = Signal()
        m.d.comb += [
            long.eq(quiet == self.gap_cycles),
            silent.eq(long & ~self.strobe & ~self.damaged),
            fifo.w_data.eq(self.byte),
            fifo.w_en.eq(self.strobe & ~broken),
        ]
        with m.If(self.strobe | self.damaged):
            m.d.sync += quiet.eq(0)
        with m.Elif(~long):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If(self.strobe):
            m.d.sync += filled.eq(Mux(filled == self.answer.image_bytes - 1, 0, filled + 1))
        with m.If(self.damaged | (self.strobe & ~fifo.w_rdy) | (silent & (filled != 0))):
            m.d.sync += broken.eq(1)
        with m.If(recovered):
            m.d.sync += [broken.eq(0), filled.eq(0)]
        return broken, silent

    def _speak(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Says line ``index``. Returns: say it; which one; its end is being taken."""
        lines = [f"{name}\n".encode() for name in (*self.answer.names, DISCARDED)]
        size = 1 << ceil_log2(max(map(len, lines)))
        m.submodules.lines = memory = Memory(
            shape=8,
            depth=size * len(lines),
            init=b"".join(line.ljust(size, b"\n") for line in lines),
            attrs={INITIALISED: 1},
        )
        read = memory.read_port()
        speak, spoken = Signal(), Signal()
        index, place = Signal(range(len(lines))), Signal(range(size))
        there = Signal(2)  # the byte of this place has been read
        took = Signal()
        m.d.comb += [
            read.addr.eq(Cat(place, index)),
            read.en.eq(1),
            self.line.payload.eq(read.data),
            self.line.valid.eq(speak & there[-1]),
            took.eq(self.line.valid & self.line.ready),
            spoken.eq(took & (read.data == ord("\n"))),
        ]
        m.d.sync += there.eq(Mux(speak & ~took, Cat(1, there), 0))
        with m.If(took):
            m.d.sync += place.eq(place + 1)
        with m.If(~speak):
            m.d.sync += place.eq(0)
        return speak, index, spoken
