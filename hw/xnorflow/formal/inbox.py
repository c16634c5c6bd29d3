# SPDX-License-Identifier: Apache-2.0
"""The links' buffer of data: what is kept leaves once, in order, by the rules of its streams."""

from __future__ import annotations

from amaranth import Module, Mux, ResetSignal, Signal, Value
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.link import CHECK_BYTES
from xnorflow.formal.checks import stream_waits
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.links.inbox import Inbox

__all__ = ["PROOFS", "InboxProof", "InboxStreamsProof"]


class _AnyInbox(wiring.Component):
    """Anything may be written, kept where it fits, or forgotten; a clear forgets what waits too.

    The memory is made shorter than its constructor allows.
    """

    depth = 16

    def __init__(self) -> None:
        bits = ("write", "keep", "keep_config", "begin", "clear", "config_ready", "pixels_ready")
        super().__init__({"data": In(8), **dict.fromkeys((*bits, "mark"), In(1))})

    def inbox(self, m: Module, platform: object) -> tuple[Inbox, Inside]:
        inbox = Inbox(depth=512)
        inbox.depth = self.depth
        inside = Inside(inbox, platform)
        m.submodules.inbox = inside.fragment
        m.d.comb += [
            Assume(~ResetSignal()),
            *(
                getattr(inbox, name).eq(getattr(self, name))
                for name in ("data", "write", "keep", "keep_config", "begin", "clear")
            ),
            inbox.config.ready.eq(self.config_ready),
            inbox.pixels.ready.eq(self.pixels_ready),
        ]
        with m.If(self.keep):
            m.d.comb += Assume(inbox.fits & ~self.write & ~self.clear)
        return inbox, inside


class InboxStreamsProof(_AnyInbox):
    """The rules of both streams."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inbox, inside = self.inbox(m, platform)
        cleared = Signal()
        m.d.sync += cleared.eq(self.clear)
        for name in ("config", "pixels"):
            stream_waits(m, getattr(inbox, name), name=name, unless=cleared)
        # Never for both at once; and a word has four bytes.
        m.d.comb += [
            Assert(~(inbox.config.valid & inbox.pixels.valid)),
            Assert(inside.signal("count") <= 4),
        ]
        with m.If(inside.signal("count") != 0):
            m.d.comb += Assert(inside.signal("is_config"))
        return m


class InboxProof(_AnyInbox):
    """One byte, any, is followed from its write to the stream that it was kept for.

    Frames begin, bytes come, and are kept once, with a CRC behind them.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inbox, inside = self.inbox(m, platform)
        trial, kept, taken = (inside.signal(name) for name in ("trial", "kept", "taken"))
        count, some, coming = (inside.signal(name) for name in ("count", "some", "coming"))

        # Counted from outside, in more bits than the places have: bytes that were kept, that left.
        entered, left = Signal(8), Signal(8)

        def between(since: Value, until: Value, name: str) -> Signal:
            """How many bytes; modulo the ring for places."""
            number = Signal(max(len(since), len(until)), name=name)
            m.d.comb += number.eq(until - since)
            return number

        tried = between(kept, trial, "tried")
        done = Signal(init=1)  # this frame was kept: nothing more comes of it
        with m.If(self.begin | self.clear):
            m.d.sync += done.eq(self.clear)
            m.d.comb += Assume(~self.write & ~self.keep)
        with m.Elif(self.keep):
            m.d.sync += [done.eq(1), entered.eq(entered + tried - CHECK_BYTES)]
            m.d.comb += Assume((tried >= CHECK_BYTES) & (inbox.whole | ~self.keep_config))
        with m.If(self.write | self.keep):
            m.d.comb += Assume(~done)
        word_leaves = inbox.config.valid & inbox.config.ready
        byte_leaves = inbox.pixels.valid & inbox.pixels.ready
        m.d.sync += left.eq(left + Mux(word_leaves, 4, byte_leaves))
        with m.If(self.clear):
            m.d.sync += [entered.eq(0), left.eq(0)]
        inside_now = between(left, entered, "inside")
        waiting = between(taken, kept, "waiting")
        is_config = inside.signal("is_config")
        m.d.comb += [
            Assert(entered[: len(kept)] == kept),
            Assert(inside_now == waiting + coming + some + count),
            Assert(~(coming & some)),
            Assert(~inside.signal("more") | coming | (waiting != 0)),
            Assert(waiting <= between(taken, trial, "used")),
            Assert((count <= 4) & (is_config | (count == 0))),
            Assert(~is_config | (inside_now[:2] == 0)),
        ]

        # The byte that is followed, and how many are ahead of it.
        known, is_kept, value, number = Signal(), Signal(), Signal(8), Signal(8)
        ahead = between(left, number, "ahead")
        own = between(entered, number, "own")
        with m.If(~known & self.mark & self.write & ~inside.signal("full")):
            m.d.sync += [known.eq(1), is_kept.eq(0), value.eq(self.data)]
            m.d.sync += number.eq(entered + tried)
        with m.If(self.keep & ~is_kept):
            m.d.sync += [is_kept.eq(1), known.eq(known & (own < tried - CHECK_BYTES))]
        leaves = known & is_kept & Mux(word_leaves, ahead < 4, byte_leaves & (ahead == 0))
        with m.If(self.clear | (self.begin & ~is_kept) | leaves):
            m.d.sync += known.eq(0)
        with m.If(leaves & word_leaves):
            m.d.comb += Assert(inbox.config.payload.word_select(ahead[:2], 8) == value)
        with m.If(leaves & byte_leaves):
            m.d.comb += Assert(inbox.pixels.payload == value)

        # Where it is: on trial, kept, on its way from the memory, in the register, or in the word.
        stored = inside.part("memory").word(m, number[: len(trial)])
        with m.If(known):
            with m.If(is_kept):
                m.d.comb += Assert(ahead < inside_now)
            with m.Else():
                m.d.comb += [Assert(own < tried), Assert(~done)]
            with m.If(is_kept & (ahead < count)):
                at = (4 - count + ahead)[:2]
                m.d.comb += Assert(inbox.config.payload.word_select(at, 8) == value)
            with m.Elif(is_kept & some & (ahead == count)):
                m.d.comb += Assert(inbox.pixels.payload == value)
            with m.Else():
                m.d.comb += Assert(stored == value)
        return m


PROOFS = [
    Proof(
        "inbox",
        "bytes that are kept leave once, unchanged and in order, and no others; no overflow",
        InboxProof,
        depth=3,
        fault=Edit("links.inbox", "kept.eq(trial - CHECK_BYTES)", "kept.eq(trial)"),
    ),
    Proof(
        "inbox-streams",
        "config and pixels: valid and payload stay until ready, and one of them speaks at a time",
        InboxStreamsProof,
        depth=3,
        fault=Edit("links.inbox", "self.config.valid | self.config.ready)", "0 | 1)"),
    ),
]
