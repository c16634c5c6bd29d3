# SPDX-License-Identifier: Apache-2.0
"""Frames of the links: none with a wrong CRC is ever called good."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.link import CHECK_BYTES
from xnorflow.formal.crc import RESIDUE, divided
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.links.receiver import FrameReceiver

__all__ = ["PROOFS", "GoodFrameProof"]

SPACING = 8
"""Cycles between bytes of the line, at least."""


class GoodFrameProof(wiring.Component):
    """Any bytes and resets: what is called good ends with the CRC of all before it.

    The CRC is long division over the bytes that the receiver hands out, beside its own.
    """

    def __init__(self) -> None:
        super().__init__({"byte": In(8), "strobe": In(1), "damaged": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        receiver = FrameReceiver()
        inside = Inside(receiver, platform)
        m.submodules.receiver = inside.fragment
        m.d.comb += [
            receiver.byte.eq(self.byte),
            receiver.strobe.eq(self.strobe),
            receiver.damaged.eq(self.damaged),
        ]
        quiet = Signal(range(SPACING + 1), init=SPACING)  # cycles since a byte
        m.d.sync += quiet.eq(Mux(self.strobe, 1, quiet + (quiet != SPACING)))
        m.d.comb += Assert(quiet <= SPACING)
        with m.If(self.strobe):
            m.d.comb += Assume(quiet == SPACING)

        # The frame's bytes, their remainder, and those of one to four bytes ago.
        delimiter = self.strobe & (self.byte == 0)
        remainder = Signal(32, init=0xFFFFFFFF)
        came = Signal(8 * CHECK_BYTES)  # the last bytes, oldest lowest
        count = Signal(range(CHECK_BYTES + 1))
        before = [remainder]
        for age in range(CHECK_BYTES):
            before.append(Signal(32, name=f"remainder_{age + 1}_ago"))
        with m.If(receiver.valid):
            m.d.sync += [
                remainder.eq(divided(remainder, receiver.data)),
                came.eq(Cat(came[8:], receiver.data)),
                count.eq(count + (count != CHECK_BYTES)),
                *(older.eq(newer) for newer, older in pairwise(before)),
            ]
        with m.If(delimiter):
            m.d.sync += [remainder.eq(0xFFFFFFFF), count.eq(0)]
            m.d.comb += Assert(~receiver.valid)
        for age in range(CHECK_BYTES):
            byte = came[8 * (CHECK_BYTES - 1 - age) :][:8]
            with m.If(count > age):
                m.d.comb += Assert(before[age] == divided(before[age + 1], byte))
        for few in range(CHECK_BYTES):
            with m.If(count == few):
                m.d.comb += Assert(before[few] == 0xFFFFFFFF)
        m.d.comb += Assert(count <= CHECK_BYTES)

        # The receiver's own remainder lags: it sees two bits a cycle.
        crc = inside.part("crc").signal("crc_reg")[::-1]
        rest, due = inside.signal("rest"), inside.signal("due")
        for steps in range(4):
            with m.If(due == steps):
                m.d.comb += Assert(remainder == divided(crc, rest[: 2 * steps]))
                if steps:
                    m.d.comb += Assert(quiet == 4 - steps)
        with m.If(quiet >= SPACING - 1):
            m.d.comb += Assert(inside.signal("right") == (crc == RESIDUE))

        with m.If(receiver.end & receiver.good):
            m.d.comb += [
                Assert(delimiter),
                Assert(count == CHECK_BYTES),
                Assert(came == ~before[CHECK_BYTES]),
            ]
        return m


PROOFS = [
    Proof(
        "frame-good",
        "the last 4 bytes of a frame that is called good are the CRC of all before them",
        GoodFrameProof,
        depth=6,
        fault=Edit("links.receiver", "code & ~bad & right", "code & ~bad"),
        fault_depth=30,
    )
]
