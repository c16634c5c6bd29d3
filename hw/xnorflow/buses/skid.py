# SPDX-License-Identifier: Apache-2.0
"""A stream through registers in both directions."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Two words of room, so that neither ``ready`` nor ``valid`` passes combinationally.

    Parameters
    ----------
    shape : ShapeLike
        Of a word.

    Members
    -------
    i : In(stream)
        ``ready`` is a register: it falls the cycle after a word had to be put aside.
    o : Out(stream)
        ``valid`` and ``payload`` are registers.

    Timing
    ------
    A word needs ``latency_cycles``; one word a cycle.
    """

    latency_cycles = 1

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        aside = Signal(self.shape)  # came while the output waited
        some = Signal()  # there is a word aside
        free = Signal()  # the output register can be filled at the end of this cycle
        m.d.comb += [self.i.ready.eq(~some), free.eq(~self.o.valid | self.o.ready)]
        with m.If(~some):
            m.d.sync += aside.eq(self.i.payload)
        with m.If(free):
            m.d.sync += [
                some.eq(0),
                self.o.valid.eq(some | self.i.valid),
                self.o.payload.eq(self.i.payload),
            ]
            with m.If(some):
                m.d.sync += self.o.payload.eq(aside)
        with m.Else():
            m.d.sync += some.eq(some | self.i.valid)
        return m
