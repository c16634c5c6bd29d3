# SPDX-License-Identifier: Apache-2.0
"""The accelerator for Zynq and other systems on AXI."""

from __future__ import annotations

from amaranth import Cat, ClockDomain, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.buses.axilite import AxiLite, axil_ports
from xnorflow.buses.axistream import (
    StreamInput,
    StreamOutput,
    axis_in_ports,
    axis_out_ports,
)
from xnorflow.buses.hostport import HostPort, join, register_ports
from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.core.hostmap import BusStreams
from xnorflow.flat.choose import make_accelerator

__all__ = ["AxiAccelerator"]

WINDOW_DEPTH = 64
"""Words: the device takes one a cycle, a processor writes one in many."""


class AxiAccelerator(wiring.Component):
    """Registers on AXI4-Lite, images in and results out on AXI4-Stream.

    One simple AXI DMA serves it: its MM2S stream brings images, its S2MM stream takes results,
    a packet a block, and a processor writes the configuration, which is sent once, into the
    window ``config`` of the registers. Such a DMA has no TDEST, which then is 0: pixels. A DMA
    that has one (multi-channel, or scatter-gather with it) may send configuration as packets
    with TDEST 1 instead. So there is one stream in each direction and no switch between DMA and
    accelerator; the two ways of the configuration must not be used at the same time.

    Pixels come four a word, and the device takes a byte a cycle: a DMA of 32 bits is never the
    bound. After an abort the register ``streams`` tells when the streams are clean: take packets
    until one ends with TUSER, write 1 to its bit DROPPING when the DMA's transfer of images has
    ended, and the next block may come.

    Parameters
    ----------
    geometry : Geometry
    build_hash : int
        For the ``build_hash`` register.
    contents : Contents or None
        A network that is in the memories from the start.

    Members
    -------
    aclk, aresetn : In(1)
        Clock of everything; reset, low-active, released with the clock.
    s_axil_*
        AXI4-Lite, addresses of core/hostmap.py (:class:`AxiLite`).
    s_axis_*, m_axis_*
        AXI4-Stream of 32 bits (:class:`StreamInput`, :class:`StreamOutput`).
    """

    def __init__(
        self, geometry: Geometry, *, build_hash: int = 0, contents: Contents | None = None
    ) -> None:
        self.geometry = geometry
        self.build_hash = build_hash
        self.contents = contents
        ports = {"aclk": In(1), "aresetn": In(1)}
        super().__init__({**ports, **axil_ports, **axis_in_ports, **axis_out_ports})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.submodules.accelerator = accelerator = make_accelerator(
            self.geometry, build_hash=self.build_hash, contents=self.contents
        )
        m.submodules.lite = lite = AxiLite()
        m.submodules.host = host = HostPort(windows=False, depth=WINDOW_DEPTH)
        m.submodules.input = source = StreamInput()
        m.submodules.output = sink = StreamOutput()
        for names, part in ((axil_ports, lite), (axis_in_ports, source), (axis_out_ports, sink)):
            join(m, names, self, part)
        join(m, register_ports, accelerator, host)
        for name in ("start", "write", "address", "data", "strobe"):
            m.d.comb += getattr(host, name).eq(getattr(lite, name))
        for name in ("ready", "done", "read_data", "error"):
            m.d.comb += getattr(lite, name).eq(getattr(host, name))
        for part in (source, sink):
            m.d.comb += [part.abort.eq(host.abort), part.settling.eq(host.settling)]
        wiring.connect(m, source.pixels, accelerator.pixels)
        wiring.connect(m, accelerator.results, sink.results)

        # Configuration comes through the window or the stream.
        config = accelerator.config
        m.d.comb += [
            config.valid.eq(host.config.valid | source.config.valid),
            config.payload.eq(Mux(host.config.valid, host.config.payload, source.config.payload)),
            host.config.ready.eq(config.ready),
            source.config.ready.eq(config.ready & ~host.config.valid),
        ]

        # The register of the streams.
        cut_word = Signal()
        clear = {bit: host.streams_clear[int(bit).bit_length() - 1] for bit in BusStreams}
        with m.If(source.cut_word):
            m.d.sync += cut_word.eq(1)
        with m.Elif(clear[BusStreams.CUT_WORD]):
            m.d.sync += cut_word.eq(0)
        m.d.comb += [
            source.stop_dropping.eq(clear[BusStreams.DROPPING]),
            host.streams.eq(Cat(source.dropping, sink.ending, cut_word)),
        ]
        return m
