# SPDX-License-Identifier: Apache-2.0
"""The links' buffer of data: the rules of the streams ``config`` and ``pixels`` that it gives."""

from __future__ import annotations

from amaranth import Module, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.formal.checks import stream_waits
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.links.inbox import Inbox

__all__ = ["PROOFS", "InboxStreamsProof"]


class InboxStreamsProof(wiring.Component):
    """Anything may be written, kept where it fits, or forgotten; a clear forgets what waits too.

    The memory is made shorter than its constructor allows.
    """

    depth = 16

    def __init__(self) -> None:
        names = ("write", "keep", "keep_config", "begin", "clear", "config_ready", "pixels_ready")
        super().__init__({"data": In(8), **dict.fromkeys(names, In(1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inbox = Inbox(depth=512)
        inbox.depth = self.depth
        inside = Inside(inbox, platform)
        m.submodules.inbox = inside.fragment
        cleared = Signal()
        m.d.sync += cleared.eq(self.clear)
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


PROOFS = [
    Proof(
        "inbox-streams",
        "config and pixels: valid and payload stay until ready, and one of them speaks at a time",
        InboxStreamsProof,
        depth=3,
        fault=Edit("links.inbox", "self.config.valid | self.config.ready)", "0 | 1)"),
    )
]
