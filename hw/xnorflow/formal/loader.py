# SPDX-License-Identifier: Apache-2.0
"""The loader: each word of the stream ``config`` is used once, and writes what it should."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.loader import Loader

__all__ = ["PROOFS", "LoaderProof"]


class LoaderProof(wiring.Component):
    """A reader of packets, word by word, beside the loader.

    What is offered stays until it is taken, as the stream's rules ask.

    Parameters
    ----------
    geometry : Geometry
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__({"word": In(32), "valid": In(1), "enable": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.loader = loader = Loader(geometry)
        took = self.valid & loader.words.ready
        m.d.comb += [
            Assume(~ResetSignal()),
            loader.words.valid.eq(self.valid),
            loader.words.payload.eq(self.word),
            loader.enable.eq(self.enable),
        ]
        waited, kept, enabled = Signal(), Signal(32), Signal()
        m.d.sync += [
            waited.eq(self.valid & ~loader.words.ready),
            kept.eq(self.word),
            enabled.eq(self.enable),
        ]
        with m.If(waited):
            m.d.comb += Assume(self.valid & (self.word == kept))
        with m.If(~enabled):
            m.d.comb += Assert(~loader.words.ready)

        # The reader: header, address, then ``count`` items of so many words.
        place = Signal(2)  # 0: header, 1: address, 2: items, 3: nothing more, it was bad
        target, column, count = Signal(4), Signal(8), Signal(20)
        address = Signal(32)
        word = Signal(8)  # of the item
        parts = Array(Signal(32, name=f"part_{at}") for at in range(4))
        words, depth = Signal(8), Signal(32)
        with m.Switch(target):
            for kind in Target:
                with m.Case(kind):
                    m.d.comb += [
                        words.eq(-(-item_bits(geometry, kind) // 32)),
                        depth.eq(loader._depth(kind)),
                    ]
        bad = Signal()
        m.d.comb += bad.eq(
            (count == 0)
            | (depth == 0)
            | (self.word >= depth)
            | (count > depth - self.word)
            | ((target == Target.WEIGHT) & (column >= geometry.columns))
        )
        writes, right = Signal(), Signal.like(loader.bus)
        now = Array(Mux(word == at, self.word, parts[at]) for at in range(4))
        m.d.sync += writes.eq(0)
        with m.If(took), m.Switch(place):
            with m.Case(0):
                m.d.sync += [
                    Cat(count, column, target).eq(self.word),
                    place.eq(1),
                ]
            with m.Case(1):
                m.d.sync += [address.eq(self.word), word.eq(0), place.eq(Mux(bad, 3, 2))]
            with m.Case(2):
                m.d.sync += [parts[word[:2]].eq(self.word), word.eq(word + 1)]
                with m.If(word == words - 1):
                    m.d.sync += [
                        word.eq(0),
                        writes.eq(1),
                        right.target.eq(target),
                        right.column.eq(column),
                        right.address.eq(address),
                        right.data.eq(Cat(*now)),
                        address.eq(address + 1),
                        count.eq(count - 1),
                        place.eq(Mux(count == 1, 0, 2)),
                    ]
            with m.Case(3):
                pass  # dropped

        bus = loader.bus
        m.d.comb += Assert(bus.valid == writes)
        with m.If(writes):
            m.d.comb += [
                Assert(bus.target == right.target),
                Assert(bus.column == right.column),
                Assert(bus.address == right.address),
            ]
            for kind in Target:
                with m.If(right.target == kind):
                    bits = item_bits(geometry, kind)
                    m.d.comb += Assert(bus.data[:bits] == right.data[:bits])
        # A bad packet is an error as soon as it can be, and no other is.
        since = Signal(range(Loader.CHECK_CYCLES + 2))
        with m.If((place == 3) & (since <= Loader.CHECK_CYCLES)):
            m.d.sync += since.eq(since + 1)
        m.d.comb += Assert(loader.error == (since >= Loader.CHECK_CYCLES))
        return m


PROOFS = [
    Proof(
        "loader",
        "every word of config is read once: items come as packets say, bad packets as an error",
        lambda: LoaderProof(Geometry.parse("2x1x3x8,weight_bus=16,accumulator_width=12")),
        depth=13,
        bounded=True,
        fault=Edit("gateware.loader", "last_item.eq(left == 2)", "last_item.eq(left == 3)"),
        fault_depth=13,
    )
]
