# SPDX-License-Identifier: Apache-2.0
"""AXI4-Lite to single accesses."""

from __future__ import annotations

from enum import IntEnum

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.hostmap import ADDRESS_BITS

__all__ = ["AxiLite", "Response", "axil_ports"]


class Response(IntEnum):
    """Values of BRESP and RRESP that are given."""

    OKAY = 0
    SLVERR = 2


axil_ports = {
    "s_axil_awaddr": In(ADDRESS_BITS),
    "s_axil_awprot": In(3),
    "s_axil_awvalid": In(1),
    "s_axil_awready": Out(1),
    "s_axil_wdata": In(32),
    "s_axil_wstrb": In(4),
    "s_axil_wvalid": In(1),
    "s_axil_wready": Out(1),
    "s_axil_bresp": Out(2),
    "s_axil_bvalid": Out(1),
    "s_axil_bready": In(1),
    "s_axil_araddr": In(ADDRESS_BITS),
    "s_axil_arprot": In(3),
    "s_axil_arvalid": In(1),
    "s_axil_arready": Out(1),
    "s_axil_rdata": Out(32),
    "s_axil_rresp": Out(2),
    "s_axil_rvalid": Out(1),
    "s_axil_rready": In(1),
}


class AxiLite(wiring.Component):
    """Five channels on one side, one access after the other on the other side.

    Address and data of a write come in any order and any distance. A write and a read that wait
    take turns. Every ``ready`` and ``valid`` is a register, so no path leads from a port to one.
    An access that ends in an error is answered with SLVERR. The protection bits and the lowest two
    address bits are ignored.

    Members
    -------
    s_axil_*
        AXI4-Lite (IHI 0022, chapter B1), 32 bits of data.
    start, write, address, data, strobe, ready, done, read_data, error
        The other side of those of :class:`HostPort`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **axil_ports,
                "start": Out(1),
                "write": Out(1),
                "address": Out(ADDRESS_BITS - 2),
                "data": Out(32),
                "strobe": Out(4),
                "ready": In(1),
                "done": In(1),
                "read_data": In(32),
                "error": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A register for the address of each direction and for the data, and whether it is full.
        write_address, read_address = Signal(ADDRESS_BITS - 2), Signal(ADDRESS_BITS - 2)
        has_address, has_data, has_read = Signal(), Signal(), Signal()
        m.d.comb += [
            self.s_axil_awready.eq(~has_address),
            self.s_axil_wready.eq(~has_data),
            self.s_axil_arready.eq(~has_read),
        ]
        with m.If(~has_address):
            m.d.sync += write_address.eq(self.s_axil_awaddr[2:])
            m.d.sync += has_address.eq(self.s_axil_awvalid)
        with m.If(~has_data):
            m.d.sync += [self.data.eq(self.s_axil_wdata), self.strobe.eq(self.s_axil_wstrb)]
            m.d.sync += has_data.eq(self.s_axil_wvalid)
        with m.If(~has_read):
            m.d.sync += read_address.eq(self.s_axil_araddr[2:])
            m.d.sync += has_read.eq(self.s_axil_arvalid)

        # One access at a time; its kind stays until it is answered.
        writes, reads = Signal(), Signal()  # what waits
        read_next = Signal()  # the last access was a write
        kind = Signal()  # of the access under way: 1 for a write
        m.d.comb += [
            writes.eq(has_address & has_data & ~self.s_axil_bvalid),
            reads.eq(has_read & ~self.s_axil_rvalid),
            self.write.eq(writes & ~(reads & read_next)),
            self.start.eq(self.ready & (writes | reads)),
            self.address.eq(Mux(self.write, write_address, read_address)),
        ]
        with m.If(self.start):
            m.d.sync += [kind.eq(self.write), read_next.eq(self.write)]
            with m.If(self.write):
                m.d.sync += [has_address.eq(0), has_data.eq(0)]
            with m.Else():
                m.d.sync += has_read.eq(0)

        # Answers.
        response = Mux(self.error, Response.SLVERR, Response.OKAY)
        with m.If(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(self.done & kind):
            m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(response)]
        with m.If(self.done & ~kind):
            m.d.sync += [
                self.s_axil_rvalid.eq(1),
                self.s_axil_rresp.eq(response),
                self.s_axil_rdata.eq(self.read_data),
            ]
        return m
