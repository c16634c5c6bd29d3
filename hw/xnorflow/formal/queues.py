# SPDX-License-Identifier: Apache-2.0
"""The queue: nothing lost, nothing twice, in order, never too full."""

from __future__ import annotations

from functools import partial

from amaranth import Module, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.formal.checks import Tracked, stream_waits
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.queue import Queue

__all__ = ["PROOFS", "QueueProof"]

ITEM_BITS = 4


class QueueProof(wiring.Component):
    """Its user counts by ``taken`` and pushes only into a free place."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__({"push": In(1), "item": In(ITEM_BITS), "ready": In(1), "mark": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        queue = Queue(ITEM_BITS, depth=self.depth)
        inside = Inside(queue, platform)
        m.submodules.queue = inside.fragment
        items = queue.items
        m.d.comb += [
            queue.push.eq(self.push),
            queue.item.eq(self.item),
            items.ready.eq(self.ready),
        ]
        stream_waits(m, items, name="items")

        counted = Signal(range(self.depth + 2))  # by the user
        m.d.sync += counted.eq(counted + self.push - queue.taken)
        with m.If(self.push):
            m.d.comb += Assume(counted - queue.taken < self.depth)
        tracked = Tracked(
            m, enter=self.push, item=self.item, mark=self.mark, leave=items.valid & items.ready,
            left=items.payload, limit=self.depth + 1,
        )  # fmt: skip

        # An item shows two cycles after it came, if none is ahead.
        hidden = Signal(range(Queue.latency_cycles + 1))
        m.d.sync += hidden.eq(0)
        with m.If((tracked.inside != 0) & ~items.valid):
            m.d.sync += hidden.eq(hidden + 1)
            m.d.comb += Assert(hidden < Queue.latency_cycles - 1)

        # Where everything is.
        memory = inside.part("memory")
        level = inside.signal("level")
        at = Signal(range(self.depth))
        m.d.comb += [
            at.eq(memory.read_address + tracked.ahead - items.valid),
            Assert(level <= self.depth),
            Assert(level + queue.taken == counted),
            Assert(level + items.valid == tracked.inside),
            Assert(inside.signal("some") == (level != 0)),
            Assert((memory.write_address - memory.read_address - level)[: len(at)] == 0),
        ]
        stored = memory.word(m, at)
        with m.If(tracked.followed):
            with m.If(items.valid & (tracked.ahead == 0)):
                m.d.comb += Assert(items.payload == tracked.item)
            with m.Else():
                m.d.comb += Assert(stored == tracked.item)
        return m


PROOFS = [
    Proof(
        f"queue-{depth}",
        "an item comes out once, unchanged and in order, and shows within 2 cycles; no overflow",
        partial(QueueProof, depth),
        depth=3,
        fault=Edit("gateware.queue", "Mux(take, level > 1,", "Mux(take, level > 2,"),
    )
    for depth in (2, 4, 16)
]  # fmt: skip
