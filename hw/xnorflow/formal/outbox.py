# SPDX-License-Identifier: Apache-2.0
"""The links' buffer of results: each word as it came, as often as asked, until confirmed."""

from __future__ import annotations

from amaranth import Cat, Module, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.results import result_layout
from xnorflow.links.outbox import Outbox

__all__ = ["PROOFS", "OutboxProof"]


class OutboxProof(wiring.Component):
    """Words come whenever they like; the host confirms what came, and goes anywhere behind that.

    One word, any, is followed. The ring is made shorter than its constructor allows.
    """

    depth = 8

    def __init__(self) -> None:
        free = ("take", "look", "next", "clear", "results_valid", "mark")
        super().__init__(
            {
                **dict.fromkeys(free, In(1)),
                "results": In(result_layout),
                "confirmed": In(16),
                "at": In(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outbox = Outbox(depth=64)
        outbox.depth = self.depth
        inside = Inside(outbox, platform)
        m.submodules.outbox = inside.fragment
        end, oldest, place = (inside.signal(name) for name in ("end", "oldest", "place"))
        accepted = Signal()
        m.d.comb += [
            Assume(~ResetSignal()),
            *(
                getattr(outbox, name).eq(getattr(self, name))
                for name in ("take", "look", "next", "clear", "confirmed", "at")
            ),
            outbox.results.valid.eq(self.results_valid),
            outbox.results.payload.eq(self.results),
            accepted.eq(outbox.results.valid & outbox.results.ready & ~self.clear),
        ]

        def words(since: Signal, until: Signal, name: str) -> Signal:
            """How many lie between two places."""
            count = Signal.like(end, name=name)
            m.d.comb += count.eq(until - since)
            return count

        held = words(oldest, end, "held")
        # The host confirms what it was given, and asks for nothing a whole ring later.
        with m.If(self.take):
            m.d.comb += [
                Assume(words(oldest, self.confirmed, "newly") <= held),
                Assume(words(self.confirmed, self.at, "ahead_of_confirmed") < self.depth),
            ]
        with m.If(self.next):
            m.d.comb += Assume(outbox.some)

        # Nothing is overwritten that is not confirmed; there is a word where there is one.
        margin = 3  # words that come while ``ready`` is taken back, and one
        m.d.comb += [
            Assert(held <= self.depth - margin),
            Assert(~inside.signal("room") | (held < self.depth - margin)),
            Assert(words(oldest, place, "offset") < self.depth),
            Assert(outbox.some == (words(oldest, place, "reached") < held)),
        ]

        # The word that is followed: its place and what it is.
        known, value, number = Signal(), Signal(result_layout), Signal.like(end)
        followed = words(oldest, number, "behind_oldest")
        alive = Signal()
        m.d.comb += alive.eq(known & (followed < held))
        with m.If(accepted & self.mark & ~known):
            m.d.sync += [known.eq(1), value.eq(self.results), number.eq(end)]
        with m.Elif(self.clear | ~alive):
            m.d.sync += known.eq(0)
        stored = inside.part("memory").word(m, number[:-1])
        with m.If(alive):
            m.d.comb += Assert(stored == value.as_value())

        seen = Signal(outbox.LOOK_CYCLES)
        expected = Signal(result_layout)
        given = Signal(result_layout)
        m.d.sync += [
            seen.eq(Cat(self.look & alive & (place == number), seen)),
            expected.eq(value),
            given.eq(expected),
        ]
        with m.If(seen[-1]):
            m.d.comb += Assert(outbox.word == given)
        return m


PROOFS = [
    Proof(
        "outbox",
        "a word is given as it came, as often as it is asked for, until it is confirmed",
        OutboxProof,
        depth=3,
        fault=Edit("links.outbox", "room.eq(~level[-1] & ~level[_MARGIN:-1].all())", "room.eq(1)"),
    )
]
