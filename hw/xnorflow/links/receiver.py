# SPDX-License-Identifier: Apache-2.0
"""Frames out of a line's bytes: COBS undone, CRC-32 checked."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

__all__ = ["FrameReceiver"]


class FrameReceiver(wiring.Component):
    """Undoes COBS and checks the CRC of every frame.

    A code byte says how far away the next code byte is; each of them but the first stands for a
    zero. Code 255, which stands for none, never comes: frames are shorter.

    Members
    -------
    byte, strobe : In
        A byte of the line in a cycle with ``strobe``; at least 8 cycles apart.
    damaged : In(1)
        Something came that was no byte: the frame that it is in is bad.
    data, valid : Out
        A byte of a frame, in the cycle of its ``strobe``; the CRC's bytes too.
    end, good : Out(1)
        The delimiter of a frame, in the cycle of its ``strobe``; ``good`` if the frame is whole.
        Delimiters without a frame between them say nothing.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "byte": In(8),
                "strobe": In(1),
                "damaged": In(1),
                "data": Out(8),
                "valid": Out(1),
                "end": Out(1),
                "good": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Two bits a cycle, low ones first: a third of the gates of a byte a cycle.
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=2).create()
        left = Signal(8)  # bytes until the next code byte
        begun, bad, right = (Signal(name=name) for name in ("begun", "bad", "right"))
        delimiter, code = Signal(), Signal()
        rest = Signal(6)  # bits that the CRC has not seen
        due = Signal(2)  # steps that it needs for them
        m.d.comb += [
            delimiter.eq(self.strobe & (self.byte == 0)),
            code.eq(left == 0),
            self.valid.eq(self.strobe & ~delimiter & ~(code & ~begun)),
            self.data.eq(Mux(code, 0, self.byte)),
            self.end.eq(delimiter & begun),
            self.good.eq(code & ~bad & right),
            crc.start.eq(delimiter),
            crc.valid.eq(self.valid | (due != 0)),
            crc.data.eq(Mux(self.valid, self.data, rest)),
        ]
        m.d.sync += [
            rest.eq(Mux(self.valid, self.data, rest) >> 2),
            due.eq(Mux(self.valid, 3, due - (due != 0))),
            right.eq(crc.match_detected),
        ]
        with m.If(delimiter):
            m.d.sync += [left.eq(0), begun.eq(0), bad.eq(0)]
        with m.Elif(self.strobe):
            m.d.sync += [begun.eq(1), left.eq(Mux(code, self.byte, left) - 1)]
        with m.If(self.damaged):
            m.d.sync += bad.eq(1)
        return m
