# SPDX-License-Identifier: Apache-2.0
"""From one clock to another that has nothing to do with it: pulses, and words of a stream."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["StreamCrossing", "cross_level", "cross_pulse"]


def cross_level(m: Module, level: Value, *, to: str, name: str) -> Signal:
    """A level that a register gives, two to three cycles later in the domain ``to``."""
    there = Signal(len(level), name=f"{name}_{to}")
    m.submodules[f"{name}_to_{to}"] = FFSynchronizer(level, there, o_domain=to)
    return there


def cross_pulse(m: Module, pulse: Value, *, source: str, to: str, name: str) -> Signal:
    """A pulse for each cycle with ``pulse`` in ``source``, three cycles of ``to`` apart or more."""
    flips, seen = Signal(name=f"{name}_flips"), Signal(name=f"{name}_seen")
    with m.If(pulse):
        m.d[source] += flips.eq(~flips)
    there = cross_level(m, flips, to=to, name=f"{name}_flips")
    result = Signal(name=f"{name}_crossed")
    m.d[to] += [seen.eq(there), result.eq(there ^ seen)]
    return result


class StreamCrossing(wiring.Component):
    """Hands on a word when the other side has seen that it is there; at most one is under way.

    The word itself does not pass a register: its sender keeps it until it is taken. It may withdraw
    the word, as an abort makes it, and the other side forgets it; until then, three to four cycles
    of both clocks, the payload must stay or the other side take nothing.

    Parameters
    ----------
    shape : ShapeLike
        Of a word.
    source, to : str
        Domains.

    Members
    -------
    i : In(stream)
        In ``source``.
    o : Out(stream)
        In ``to``.
    """

    def __init__(self, shape: ShapeLike, *, source: str, to: str) -> None:
        self.source = source
        self.to = to
        words = stream.Signature(shape)
        super().__init__({"i": In(words), "o": Out(words)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        asks, waits, withdrawn = Signal(), Signal(), Signal()
        taken, forgets = Signal(), Signal()
        asked = cross_level(m, asks, to=self.to, name="asks")
        void = cross_level(m, withdrawn, to=self.to, name="withdrawn")
        answered = cross_level(m, taken, to=self.source, name="taken")
        forgotten = cross_level(m, forgets, to=self.source, name="forgets")
        ready, valid, missed = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(ready),
            self.o.valid.eq(valid),
            self.o.payload.eq(self.i.payload),
        ]

        # A withdrawal is over when the other side has said so, and then that it has seen its end.
        m.d[self.source] += ready.eq(waits & (answered == asks) & ~ready & ~missed & self.i.valid)
        with m.If(~waits), m.If(self.i.valid):
            m.d[self.source] += [asks.eq(~asks), waits.eq(1)]
        with m.Elif(missed):
            with m.If(forgotten & (answered == asks)):
                m.d[self.source] += withdrawn.eq(0)
            with m.If(~forgotten & ~withdrawn):
                m.d[self.source] += [waits.eq(0), missed.eq(0)]
        with m.Elif(~self.i.valid):
            m.d[self.source] += [withdrawn.eq(1), missed.eq(1)]
        with m.Elif(ready):
            m.d[self.source] += waits.eq(0)

        m.d[self.to] += [
            valid.eq(Mux(valid, ~self.o.ready, asked != taken) & ~void),
            forgets.eq(void),
        ]
        with m.If((valid & self.o.ready) | void):
            m.d[self.to] += taken.eq(asked)
        return m
