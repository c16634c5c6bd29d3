# SPDX-License-Identifier: Apache-2.0
"""COBS of the links: the receiver undoes what the book says, and so does the book with the sender.

Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999: a frame begins with an open place,
each zero leaves one, and an open place holds the distance to the next one, or to the end.
"""

from __future__ import annotations

from amaranth import Array, Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from xnorflow.core.link import CHECK_BYTES
from xnorflow.formal.checks import Tracked, stream_waits
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.links.receiver import FrameReceiver
from xnorflow.links.sender import FrameSender

__all__ = ["PROOFS", "DecoderProof", "EncoderProof"]


class DecoderProof(wiring.Component):
    """Frames of up to ``most`` bytes, encoded by the book, and delimiters between them.

    Parameters
    ----------
    most : int
    """

    def __init__(self, most: int) -> None:
        self.most = most
        message = data.ArrayLayout(8, most)
        super().__init__(
            {"message": In(message), "size": In(range(most + 1)), "strobe": In(1), "begin": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        receiver = FrameReceiver()
        inside = Inside(receiver, platform)
        m.submodules.receiver = inside.fragment
        m.d.comb += [Assume(~ResetSignal()), Assume(self.size <= self.most)]

        # The frame, by the book. ``place`` counts its bytes on the line; 0: none has come.
        places = range(self.most + 2)
        place = Signal(places)
        kept, kept_size = Signal.like(self.message), Signal.like(self.size)
        message = Signal.like(self.message)
        size = Signal.like(self.size)
        m.d.comb += [
            message.eq(Mux(place == 0, self.message, kept)),
            size.eq(Mux(place == 0, self.size, kept_size)),
            Assert(place <= size + 1),
            Assert(kept_size <= self.most),
        ]
        m.d.sync += [kept.eq(message), kept_size.eq(size)]
        bytes_ = [0, *message, 0]  # by place; the last one is none
        opened = [1] + [
            (bytes_[at] == 0) | (size + 1 == at) for at in places if at
        ]  # the end counts too
        following = Array(  # the first open place from each one on
            Signal(range(self.most + 3), name=f"following_{at}") for at in range(len(places) + 1)
        )
        for at in reversed(places):
            m.d.comb += following[at].eq(Mux(opened[at], at, following[at + 1]))
        ends = Signal()
        byte = Signal(8)
        m.d.comb += [
            ends.eq(place == size + 1),
            byte.eq(
                Mux(
                    (following[place] == place) & ~ends,
                    following[place + 1] - place,
                    Array([*bytes_])[place],
                )
            ),
        ]
        between = Signal()  # a delimiter without a frame
        m.d.comb += between.eq((place == 0) & ~self.begin)
        with m.If(self.strobe & ~between):
            m.d.sync += place.eq(Mux(ends, 0, place + 1))
        m.d.comb += [
            receiver.strobe.eq(self.strobe),
            receiver.byte.eq(Mux(between | ends, 0, byte)),
        ]

        with m.If(self.strobe & ~between):
            m.d.comb += [
                Assert(receiver.valid == ((place != 0) & ~ends)),
                Assert(receiver.end == ends),
            ]
            with m.If(receiver.valid):
                m.d.comb += Assert(receiver.data == Array([*bytes_])[place])
            with m.If(ends):
                m.d.comb += Assert(inside.signal("code"))
        with m.Else():
            m.d.comb += [Assert(~receiver.valid), Assert(~receiver.end)]
        m.d.comb += [
            Assert(inside.signal("begun") == (place != 0)),
            Assert(inside.signal("left") == Mux(place == 0, 0, following[place] - place)),
        ]
        return m


BYTE_CYCLES = 4
"""Cycles for which the sender has each of a frame's bytes."""


class EncoderProof(wiring.Component):
    """What the sender puts on the line is frames by the book: undone, they are what went in.

    The queue is made shorter than its constructor allows, and the frames with it; the CRC may be
    anything.

    Parameters
    ----------
    most : int
        Bytes of a frame, without its CRC.
    """

    depth = 16

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(
            {
                "byte": In(8),
                "last": In(1),
                "valid": In(1),
                "ready": In(1),
                "mark": In(1),
                "crc": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sender = FrameSender(depth=512)
        sender.depth = self.depth
        inside = Inside(sender, platform)
        crc = inside.part("crc").signal("crc")
        inside.remove("crc")
        m.submodules.sender = inside.fragment
        m.d.comb += [
            Assume(~ResetSignal()),
            crc.eq(self.crc),
            sender.frame.valid.eq(self.valid),
            sender.frame.payload.byte.eq(self.byte),
            sender.frame.payload.last.eq(self.last),
            sender.line.ready.eq(self.ready),
        ]
        stream_waits(m, sender.frame, name="frame", assume=True)
        stream_waits(m, sender.line, name="line")

        # In: a frame's bytes, where there is room, and then the CRC's; the next frame waits.
        size = Signal(range(self.most + 1))  # bytes of this frame that went in
        after = Signal(range(FrameSender.frame_cycles(1)))  # cycles after its last one; or 0
        check = after - BYTE_CYCLES - 1  # twice the byte of its CRC
        checks = (after > BYTE_CYCLES) & (after <= BYTE_CYCLES + 2 * CHECK_BYTES) & ~check[0]
        took = self.valid & sender.frame.ready
        room = inside.signal("used") < self.depth // 2
        with m.If(self.valid & (size == 0)):
            started = Signal()  # its first byte is on its way
            m.d.sync += started.eq(~took)
            m.d.comb += Assume(room | started)
        with m.If(self.valid & (size == self.most - 1)):
            m.d.comb += Assume(self.last)
        with m.If(took):
            m.d.sync += size.eq(size + 1)
            with m.If(self.last):
                m.d.sync += [size.eq(0), after.eq(1)]
        with m.If(after != 0):
            m.d.comb += Assume(~self.valid)
            m.d.sync += after.eq(Mux(after == FrameSender.frame_cycles(1) - 1, 0, after + 1))

        # Out: decoded by the book.
        byte = sender.line.payload
        left, begun, some = Signal(8), Signal(), Signal()
        moves = Signal()
        delimiter, emits = Signal(), Signal()
        m.d.comb += [
            moves.eq(sender.line.valid & sender.line.ready),
            delimiter.eq(moves & (byte == 0)),
            emits.eq(moves & ~delimiter & ((left != 0) | begun)),
        ]
        with m.If(delimiter):
            m.d.comb += Assert(begun & (left == 0) & some)
            m.d.sync += [begun.eq(0), some.eq(0), left.eq(0)]
        with m.Elif(moves):
            m.d.sync += [begun.eq(1), left.eq(Mux(left == 0, byte, left) - 1)]
        with m.If(emits):
            m.d.sync += some.eq(1)
        item = Signal(data.StructLayout({"byte": 8, "first": 1}))
        left_item = Signal.like(item)
        m.d.comb += [
            item.byte.eq(Mux(checks, crc.word_select(check[1:3], 8), self.byte)),
            item.first.eq(took & (size == 0)),
            left_item.byte.eq(Mux(left == 0, 0, byte)),
            left_item.first.eq(~some),
        ]
        Tracked(
            m, enter=took | checks, item=item, mark=self.mark, leave=emits, left=left_item,
            limit=self.depth,
        )  # fmt: skip
        return m


PROOFS = [
    Proof(
        "cobs-decoder-6",
        "frames encoded by the book come out of the receiver byte for byte, and end where they do",
        lambda: DecoderProof(6),
        depth=3,
        fault=Edit("links.receiver", "Mux(code, self.byte, left) - 1",
                   "Mux(code & begun, self.byte, left) - 1"),
    ),
    Proof(
        "cobs-encoder-1",
        "the sender's frames, decoded by the book, are the bytes that went in, and 4 of any CRC",
        lambda: EncoderProof(1),
        depth=20,
        bounded=True,
        fault=Edit("links.sender", "(place - code)[:8]", "(place - code - 1)[:8]"),
        fault_depth=18,
    ),
]  # fmt: skip
