# SPDX-License-Identifier: Apache-2.0
"""The UART's receiver and transmitter: a byte on the wire is the byte that was sent."""

from __future__ import annotations

from functools import partial

from amaranth import Array, Cat, Const, Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.formal.checks import Tracked
from xnorflow.formal.proof import Edit, Proof
from xnorflow.links.uart import UartReceiver, UartTransmitter

__all__ = ["PROOFS", "ReceiverProof", "WireProof"]

FRAME_BITS = 10


class WireProof(wiring.Component):
    """A transmitter's pin is a receiver's: every byte comes, once and in order.

    Parameters
    ----------
    divisor : int
        Of both.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"valid": In(1), "byte": In(8), "mark": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sender = sender = UartTransmitter(divisor=self.divisor)
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.d.comb += [
            Assume(~ResetSignal()),
            receiver.rx.eq(sender.tx),
            sender.bytes.valid.eq(self.valid),
            sender.bytes.payload.eq(self.byte),
            Assert(~receiver.damaged),
        ]
        tracked = Tracked(
            m, enter=self.valid & sender.bytes.ready, item=self.byte, mark=self.mark,
            leave=receiver.strobe, left=receiver.byte, limit=2,
        )  # fmt: skip
        m.d.comb += Assert(tracked.inside <= 2)
        late = Signal(range(12 * self.divisor + 1))
        m.d.sync += late.eq(Mux((tracked.inside != 0) & ~receiver.strobe, late + 1, 0))
        m.d.comb += Assert(late < 11 * self.divisor)
        return m


class ReceiverProof(wiring.Component):
    """A sender by the book, at any time, with one wrong cycle anywhere on the wire.

    Parameters
    ----------
    divisor : int
        Cycles a bit, of both.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"start": In(1), "byte": In(8), "spike": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        cycle = Signal(range(FRAME_BITS * self.divisor + 1))  # of the byte; 0: idle
        bits = Signal(FRAME_BITS)
        sent, spiked, came = Signal(), Signal(), Signal()
        wire = Signal()
        m.d.comb += [Assume(~ResetSignal()), wire.eq(1)]
        with m.If(self.start & (cycle == 0) & ~sent):
            m.d.sync += [bits.eq(Cat(Const(0, 1), self.byte, Const(1, 1))), cycle.eq(1), sent.eq(1)]
        with m.Elif(cycle != 0):
            m.d.comb += wire.eq(Array(bits)[(cycle - 1)[: len(cycle)] // self.divisor])
            m.d.sync += cycle.eq(Mux(cycle == FRAME_BITS * self.divisor, 0, cycle + 1))
        with m.If(self.spike):
            m.d.comb += Assume(~spiked)
            m.d.sync += spiked.eq(1)
        m.d.comb += [receiver.rx.eq(wire ^ self.spike), Assert(~receiver.damaged)]
        with m.If(receiver.strobe):
            m.d.comb += [Assert(sent & ~came), Assert(receiver.byte == bits[1:9])]
            m.d.sync += came.eq(1)
        # The byte is there two bits' time after its stop bit.
        rest, limit = Signal(range(2 * self.divisor + 1)), 2 * self.divisor
        with m.If(sent & (cycle == 0) & (rest != limit)):
            m.d.sync += rest.eq(rest + 1)
        with m.If(rest == limit):
            m.d.comb += Assert(came)
        return m


PROOFS = [
    Proof(
        f"uart-wire-{divisor}",
        "what the transmitter takes leaves the receiver: once, in order, within 11 bits' time",
        partial(WireProof, divisor),
        depth=depth,
        bounded=True,
        fault=Edit("links.uart", "self.byte.eq(Cat(self.byte[1:], level))",
                   "self.byte.eq(Cat(self.byte[1:], pin))"),
        fault_depth=60,
    )
    for divisor, depth in ((4, 60),)
] + [
    Proof(
        f"uart-receiver-{divisor}",
        "a byte at any time, with one wrong cycle anywhere, is received once and right",
        partial(ReceiverProof, divisor),
        depth=14 * divisor,
        bounded=True,
        fault=Edit("links.uart", "(a & b) | (b & c) | (a & c)", "a"),
        fault_depth=14 * divisor,
    )
    for divisor in (4,)
]  # fmt: skip
