# SPDX-License-Identifier: Apache-2.0
"""AXI4-Stream to the device's streams, packet by packet, with an end for what is aborted."""

from __future__ import annotations

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.buses.skid import SkidBuffer
from xnorflow.buses.unpacker import BYTES, ByteUnpacker, word_layout
from xnorflow.gateware.results import result_layout

__all__ = ["CONFIG", "StreamInput", "StreamOutput", "axis_in_ports", "axis_out_ports"]

CONFIG = 1
"""TDEST of configuration words; 0 is pixels, which is what a DMA without TDEST sends."""

axis_in_ports = {
    "s_axis_tdata": In(8 * BYTES),
    "s_axis_tkeep": In(BYTES),
    "s_axis_tdest": In(1),
    "s_axis_tvalid": In(1),
    "s_axis_tready": Out(1),
}
axis_out_ports = {
    "m_axis_tdata": Out(8 * BYTES),
    "m_axis_tkeep": Out(BYTES),
    "m_axis_tlast": Out(1),
    "m_axis_tuser": Out(1),
    "m_axis_tvalid": Out(1),
    "m_axis_tready": In(1),
}

_in_layout = data.StructLayout({"word": word_layout, "dest": 1})
_out_layout = data.StructLayout({"data": 8 * BYTES, "last": 1, "user": 1})


class StreamInput(wiring.Component):
    """Pixels or configuration, as TDEST of each word says; TLAST is not looked at.

    Null bytes (TKEEP 0) of pixels are skipped wherever they are, and so are words of no byte.
    An abort drops what was taken and not used yet, and from then on whatever comes, until the host
    says that the rest of its transfer has passed: so a DMA completes by itself, and nothing of
    what was aborted is taken for something new. A configuration word that lacks bytes is dropped
    likewise, with what follows it: words behind it would be taken for others.

    Members
    -------
    s_axis_*
        AXI4-Stream (IHI 0051); TREADY is a register.
    pixels, config : Out(stream)
        To the device.
    abort, settling : In(1)
        From :class:`HostPort`.
    dropping : Out(1)
        What comes is dropped.
    stop_dropping : In(1)
        It has passed.
    cut_word : Out(1)
        A configuration word that lacks bytes came in the cycle before.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **axis_in_ports,
                "pixels": Out(stream.Signature(8)),
                "config": Out(stream.Signature(32)),
                "abort": In(1),
                "settling": In(1),
                "dropping": Out(1),
                "stop_dropping": In(1),
                "cut_word": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skid = skid = ResetInserter(self.abort)(SkidBuffer(_in_layout))
        unpacker = ByteUnpacker()
        m.submodules.unpacker = ResetInserter(self.abort)(unpacker)

        # At the port: whether a word counts.
        keep = self.s_axis_tkeep
        cut = Signal()
        m.d.comb += [
            self.s_axis_tready.eq(skid.i.ready),
            cut.eq(
                self.s_axis_tvalid
                & self.s_axis_tready
                & ~self.dropping
                & (self.s_axis_tdest == CONFIG)
                & keep.any()
                & ~keep.all()
            ),
            skid.i.valid.eq(self.s_axis_tvalid & keep.any() & ~cut & ~self.dropping),
            skid.i.payload.word.data.eq(self.s_axis_tdata),
            skid.i.payload.word.keep.eq(keep),
            skid.i.payload.dest.eq(self.s_axis_tdest),
        ]
        m.d.sync += self.cut_word.eq(cut)
        with m.If(self.abort | cut):
            m.d.sync += self.dropping.eq(1)
        with m.Elif(self.stop_dropping):
            m.d.sync += self.dropping.eq(0)

        # Behind the buffer: to one stream or the other.
        word, live, is_config = skid.o.payload.word, Signal(), Signal()
        m.d.comb += [
            live.eq(skid.o.valid & ~self.settling),
            is_config.eq(skid.o.payload.dest == CONFIG),
            unpacker.words.payload.eq(word),
            unpacker.words.valid.eq(live & ~is_config),
            self.config.payload.eq(word.data),
            self.config.valid.eq(live & is_config),
            skid.o.ready.eq(
                Mux(is_config, self.config.ready, unpacker.words.ready) & ~self.settling
            ),
        ]
        wiring.connect(m, unpacker.pixels, wiring.flipped(self.pixels))
        return m


class StreamOutput(wiring.Component):
    """Results as packets, one a block; TLAST is the block's last word.

    Every abort ends a packet: after the words that had been given comes one of no meaning with
    TLAST and TUSER, so that a DMA's transfer completes, and never mixes with the next block's.

    Members
    -------
    results : In(stream)
        From the device.
    m_axis_*
        AXI4-Stream; all its outputs are registers, and TKEEP is constant. A word stays until it
        is taken, also at an abort.
    abort, settling : In(1)
        From :class:`HostPort`.
    ending : Out(1)
        The word that ends an aborted packet has not been taken yet. Aborts meanwhile may share it.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "results": In(stream.Signature(result_layout)),
                **axis_out_ports,
                "abort": In(1),
                "settling": In(1),
                "ending": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skid = skid = SkidBuffer(_out_layout)
        wanted = Signal()  # the ending word has to be put in
        inside = Signal(range(3))  # ending words in the buffer
        puts, leaves = Signal(), Signal()
        m.d.comb += [
            self.m_axis_tdata.eq(skid.o.payload.data),
            self.m_axis_tkeep.eq(~0),
            self.m_axis_tlast.eq(skid.o.payload.last),
            self.m_axis_tuser.eq(skid.o.payload.user),
            self.m_axis_tvalid.eq(skid.o.valid),
            skid.o.ready.eq(self.m_axis_tready),
            puts.eq(wanted & ~self.settling & skid.i.ready),
            leaves.eq(skid.o.valid & skid.o.ready & skid.o.payload.user),
            self.ending.eq(self.abort | wanted | (inside != 0)),
        ]
        m.d.sync += inside.eq(inside + puts - leaves)
        with m.If(self.abort):
            m.d.sync += wanted.eq(1)
        with m.Elif(puts):
            m.d.sync += wanted.eq(0)
        with m.If(~wanted):
            m.d.comb += [
                skid.i.valid.eq(self.results.valid),
                skid.i.payload.data.eq(self.results.payload.data),
                skid.i.payload.last.eq(self.results.payload.last),
                self.results.ready.eq(skid.i.ready),
            ]
        with m.Else():
            m.d.comb += [
                skid.i.valid.eq(~self.settling),
                skid.i.payload.last.eq(1),
                skid.i.payload.user.eq(1),
                self.results.ready.eq(self.settling),  # of the aborted block
            ]
        return m
