# SPDX-License-Identifier: Apache-2.0
"""The accelerator for LiteX and other systems on Wishbone."""

from __future__ import annotations

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.buses.hostport import HostPort, join, register_ports
from xnorflow.buses.unpacker import ByteUnpacker
from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.core.hostmap import ADDRESS_BITS
from xnorflow.flat.choose import make_accelerator

__all__ = ["WishboneAccelerator", "wishbone_ports"]

wishbone_ports = {
    "wb_adr": In(ADDRESS_BITS - 2),
    "wb_dat_w": In(32),
    "wb_dat_r": Out(32),
    "wb_sel": In(4),
    "wb_cyc": In(1),
    "wb_stb": In(1),
    "wb_we": In(1),
    "wb_ack": Out(1),
    "wb_err": Out(1),
}


class WishboneAccelerator(wiring.Component):
    """Registers, configuration, images and results in one slave of 4 KB.

    A Wishbone B4 classic slave: one access at a time, ended by ACK or ERR, never waiting for the
    device. Windows of core/hostmap.py take configuration and images and give results, so a
    processor's copy loop or a DMA drives it; registers say how many words each of them takes or
    has. An access that cannot be done (no room, nothing there, no such register) ends in ERR and
    changes nothing.

    Parameters
    ----------
    geometry : Geometry
    build_hash : int
        For the ``build_hash`` register.
    contents : Contents or None
        A network that is in the memories from the start.
    depth : int
        Words that each window's queue holds.

    Members
    -------
    wb_adr, wb_dat_w, wb_dat_r, wb_sel, wb_cyc, wb_stb, wb_we, wb_ack, wb_err
        As LiteX names them; addresses count words of 32 bits. ACK, ERR and read data come
        from registers.

    Timing
    ------
    ACK two cycles after STB; in the eight cycles after an abort it comes so much later.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        build_hash: int = 0,
        contents: Contents | None = None,
        depth: int = 512,
    ) -> None:
        self.geometry = geometry
        self.build_hash = build_hash
        self.contents = contents
        self.depth = depth
        super().__init__(wishbone_ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = accelerator = make_accelerator(
            self.geometry, build_hash=self.build_hash, contents=self.contents
        )
        m.submodules.host = host = HostPort(windows=True, depth=self.depth)
        unpacker = ByteUnpacker()
        m.submodules.unpacker = ResetInserter(host.abort | host.settling)(unpacker)
        join(m, register_ports, accelerator, host)
        wiring.connect(m, host.config, accelerator.config)
        wiring.connect(m, host.words, unpacker.words)
        wiring.connect(m, unpacker.pixels, accelerator.pixels)
        wiring.connect(m, accelerator.results, host.results)

        asked, live = Signal(), Signal()  # live: the master has waited since the access began
        m.d.comb += [
            asked.eq(self.wb_cyc & self.wb_stb),
            host.start.eq(asked & host.ready),
            host.write.eq(self.wb_we),
            host.address.eq(self.wb_adr),
            host.data.eq(self.wb_dat_w),
            host.strobe.eq(self.wb_sel),
            self.wb_ack.eq(host.done & live & ~host.error),
            self.wb_err.eq(host.done & live & host.error),
            self.wb_dat_r.eq(host.read_data),
        ]
        m.d.sync += live.eq(asked & (live & ~host.done | host.start))
        return m
