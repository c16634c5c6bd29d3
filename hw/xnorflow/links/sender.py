# SPDX-License-Identifier: Apache-2.0
"""Frames into a line's bytes: CRC-32 added, COBS done, queued until the line has taken them."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.core.link import CHECK_BYTES, MAX_WORDS, answer_bytes

__all__ = ["FrameSender", "framed_byte"]

framed_byte = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a frame; ``last`` ends the frame."""


class FrameSender(wiring.Component):
    """Adds the CRC, does COBS and the delimiter, and queues whole frames.

    COBS replaces each zero by the distance to the next one, which is not known yet: the zero's
    place stays open, and is filled when the next zero comes. So every byte is one write.

    Parameters
    ----------
    depth : int
        Bytes of the queue; a power of two, a quarter of it room for the longest answer.

    Members
    -------
    frame : In(stream)
        Bytes of a frame, at most 249 of them; four cycles each.
    room : Out(1)
        Less than three quarters of the queue are taken; holds between frames.
    line : Out(stream)
        Bytes for the line; a frame's come only when it is complete.

    Timing
    ------
    The next frame may begin ``frame_cycles(n)`` cycles after one of n bytes.

    Raises
    ------
    ValueError
        If the depth is no power of two or too small.
    """

    @staticmethod
    def frame_cycles(n: int) -> int:
        """Cycles from a frame's first byte to the next frame's, for n bytes without the CRC."""
        return 4 * n + 2 * CHECK_BYTES + 3

    def __init__(self, *, depth: int) -> None:
        if depth & (depth - 1) or depth < 4 * answer_bytes(MAX_WORDS):
            raise ValueError(
                "The queue's depth must be a power of two, its quarter at least the longest "
                f"answer's {answer_bytes(MAX_WORDS)} bytes, not {depth}"
            )
        self.depth = depth
        super().__init__(
            {
                "frame": In(stream.Signature(framed_byte)),
                "room": Out(1),
                "line": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=2).create()
        m.submodules.memory = memory = Memory(shape=8, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port()

        code = Signal(range(self.depth))  # the open place
        place = Signal.like(code, init=1)  # the next byte's
        whole = Signal.like(code)  # complete frames lie before this place
        taken = Signal.like(code)  # the line's next byte
        # A register of its own: where the byte comes from, and the CRC, are long ways already.
        held, full = Signal(framed_byte), Signal()
        put, zero = Signal(), Signal()
        step = Signal(range(2 * CHECK_BYTES))  # a byte of the CRC comes, then it goes
        pair = Signal(2)  # of the byte's bits; the CRC takes one a cycle

        m.d.comb += [
            crc.data.eq(held.byte.word_select(pair, 2)),
            zero.eq(held.byte == 0),
        ]
        with m.FSM():
            with m.State("body"):
                m.d.comb += [
                    crc.valid.eq(full),
                    put.eq(full & (pair == 3)),
                    self.frame.ready.eq(~full | put),
                ]
                with m.If(full):
                    m.d.sync += pair.eq(pair + 1)
                with m.If(put):
                    m.d.sync += full.eq(0)
                with m.If(put & held.last):
                    m.next = "check"
            with m.State("check"):
                m.d.comb += put.eq(step[0])
                m.d.sync += step.eq(step + 1)
                with m.If(~step[0]):
                    m.d.sync += held.byte.eq(crc.crc.word_select(step[1:], 8))
                with m.If(step.all()):
                    m.next = "close"
            with m.State("close"):  # the last open place is filled as if a zero came
                m.d.comb += [zero.eq(1), put.eq(1)]
                m.next = "delimiter"
            with m.State("delimiter"):  # the place that stayed open is the delimiter's
                m.d.comb += [zero.eq(1), crc.start.eq(1), write.en.eq(1), write.addr.eq(code)]
                m.d.sync += [whole.eq(place), code.eq(place), place.eq(place + 1)]
                m.next = "body"
        with m.If(put):
            m.d.comb += [
                write.en.eq(1),
                write.addr.eq(Mux(zero, code, place)),
                write.data.eq(Mux(zero, (place - code)[:8], held.byte)),
            ]
            m.d.sync += place.eq(place + 1)
            with m.If(zero):
                m.d.sync += code.eq(place)

        with m.If(self.frame.valid & self.frame.ready):
            m.d.sync += [held.eq(self.frame.payload), full.eq(1)]

        used = Signal.like(code)
        fetch = Signal()
        m.d.comb += [
            used.eq(place - taken),
            fetch.eq((taken != whole) & (~self.line.valid | self.line.ready) & ~write.en),
            read.en.eq(fetch),
            read.addr.eq(taken),
            self.line.payload.eq(read.data),
        ]
        m.d.sync += self.room.eq(~used[-2:].all())
        with m.If(fetch):
            m.d.sync += [self.line.valid.eq(1), taken.eq(taken + 1)]
        with m.Elif(self.line.ready):
            m.d.sync += self.line.valid.eq(0)
        return m
