# SPDX-License-Identifier: Apache-2.0
"""The way out of results: each word once and in order, never an overflow, and stream rules."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.formal.checks import history, stream_waits
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.results import ROOM_CYCLES, ResultShifter

__all__ = ["PROOFS", "ResultsProof", "ResultsStreamProof"]

VALUE_BITS = 12
_NUMBER_BITS = 6


class ResultsStreamProof(wiring.Component):
    """The rules of ``results``, whatever else happens."""

    def __init__(self, geometry: Geometry) -> None:
        self.shifter = ResultShifter(geometry, depth=16)
        members = self.shifter.signature.members
        self.free = ("values", "valids", "promise", "channels", "end")
        super().__init__({"ready": In(1)} | {name: members[name] for name in self.free})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shifter = shifter = self.shifter
        m.d.comb += [getattr(shifter, name).eq(getattr(self, name)) for name in self.free]
        m.d.comb += shifter.results.ready.eq(self.ready)
        stream_waits(m, shifter.results, name="results")
        return m


class ResultsProof(wiring.Component):
    """The n-th word that comes out is the n-th that was promised.

    Parameters
    ----------
    geometry : Geometry
    depth : int
        Words of the FIFO.
    lag : int
        Cycles from a promise to its values.
    """

    def __init__(self, geometry: Geometry, *, depth: int, lag: int, capture: bool = True) -> None:
        self.geometry = geometry
        self.depth = depth
        self.lag = lag
        self.shifter = ResultShifter(geometry, depth=depth, capture=capture)
        values = self.shifter.signature.members["values"]
        super().__init__(
            {
                "promise": In(1),
                "channels": In(8),
                "end": In(1),
                "values": values,
                "ready": In(1),
                "mark": In(1),
                "which": In(range(self.shifter.count)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, shifter = self.geometry, self.shifter
        pixels = geometry.pixels
        inside = Inside(shifter, platform)
        m.submodules.shifter = inside.fragment
        m.d.comb += Assume(~ResetSignal())

        # Promises: some cycles apart, into room that was there a moment ago.
        words = Signal(range(shifter.count + 1))
        apart = Signal.like(words)  # cycles until the next one may come
        rooms = history(m, shifter.room, ROOM_CYCLES, "room")
        m.d.comb += words.eq(self.channels * pixels)
        m.d.sync += apart.eq(Mux(apart == 0, 0, apart - 1))
        with m.If(self.promise):
            m.d.sync += apart.eq(Mux(words > 3, words, 3) - 1)
            m.d.comb += [
                Assume(apart == 0),
                Assume((self.channels != 0) & (self.channels <= geometry.columns)),
                Assume(Cat(rooms[1:]).any()),
            ]
        m.d.comb += [
            shifter.promise.eq(self.promise),
            shifter.channels.eq(self.channels),
            shifter.end.eq(self.end),
            shifter.results.ready.eq(self.ready),
        ]

        # Values: so much later; they stay only if they must.
        promise, count, end = (
            history(m, value, self.lag, name)[self.lag]
            for value, name in ((self.promise, "promise"), (words, "words"), (self.end, "end"))
        )
        values = data.View(self.values.shape(), Mux(promise, self.values, 0))
        if not shifter.capture:
            kept = Signal(self.values.shape())
            with m.If(promise):
                m.d.sync += kept.eq(self.values)
            values = data.View(self.values.shape(), Mux(promise, self.values, kept))
        m.d.comb += [
            shifter.values.eq(values),
            shifter.valids.eq(promise.replicate(geometry.columns)),
        ]

        # One word, any: its number and what it is. Pixel stream by pixel stream, column by column.
        number = range(1 << _NUMBER_BITS)
        came, left, marked = Signal(number), Signal(number), Signal(number)
        known, last, value = Signal(), Signal(), Signal(VALUE_BITS)
        columns = count // pixels
        with m.If(promise):
            m.d.sync += came.eq(came + count)
            with m.If(self.mark & ~known & (self.which < count)):
                orders = Array(
                    Array(
                        self.values[(at % channels) * pixels + at // channels].as_unsigned()
                        if at < channels * pixels else Const(0, VALUE_BITS)
                        for at in range(shifter.count)
                    )
                    for channels in range(1, geometry.columns + 1)
                )  # fmt: skip
                m.d.sync += [
                    known.eq(1),
                    marked.eq(came + self.which),
                    value.eq(orders[(columns - 1)[:4]][self.which]),
                    last.eq(end & (self.which == count - 1)),
                ]
        sent = shifter.results
        with m.If(sent.valid & sent.ready):
            m.d.sync += left.eq(left + 1)
            m.d.comb += Assert(left != came)
            with m.If(known & (left == marked)):
                payload = sent.payload
                m.d.comb += [
                    Assert(payload.data == -value.as_signed()),
                    Assert(payload.last == last),
                ]
        inside_now = Signal(number)
        promised = Signal(number)
        with m.If(self.promise):
            m.d.sync += promised.eq(promised + words)
        m.d.comb += [
            inside_now.eq(promised - left),
            Assert(inside_now <= self.depth + 2),  # two wait behind the FIFO
            Assert(inside.signal("stored") <= self.depth),
            Assert(shifter.idle == (promised == left)),
        ]
        return m


def _proof(shape: str, depth: int, lag: int, steps: int, capture: bool = True) -> Proof:
    geometry = Geometry.parse(shape + f",accumulator_width={VALUE_BITS}")
    return Proof(
        f"results-{geometry.columns}x{geometry.pixels}" + ("" if capture else "-held"),
        "every promised word comes once, in order, with `last` where it belongs; no overflow",
        lambda: ResultsProof(geometry, depth=depth, lag=lag, capture=capture),
        depth=steps,
        bounded=True,
        fault=Edit("gateware.results", "oldest.eq(oldest + 1), there.eq(1)",
                   "oldest.eq(oldest + 2), there.eq(1)"),
        fault_depth=steps,
    )  # fmt: skip


PROOFS = [
    Proof(
        "results-stream",
        "results: valid and payload stay until ready",
        lambda: ResultsStreamProof(Geometry.parse("2x1x2x8,accumulator_width=12")),
        depth=2,
        fault=Edit("gateware.results", "move.eq(~self.results.valid | self.results.ready)",
                   "move.eq(~self.results.valid | self.promise)"),
    ),
    _proof("2x1x2x8", 8, 5, 18),
]  # fmt: skip
