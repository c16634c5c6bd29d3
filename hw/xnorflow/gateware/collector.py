# SPDX-License-Identifier: Apache-2.0
"""The collector: codes of a tile's columns are pooled, packed into words and written to the banks.

It walks the row's outputs in the order in which the sequencer streams them, by its own
counters, so tokens need not carry addresses of the output map through the array.
"""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import code_layout, row_layout, units_shape, write_layout
from xnorflow.gateware.outwalk import OutputWalk
from xnorflow.gateware.packer import Packer
from xnorflow.gateware.pool import Pool

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Pools, packs and writes one row's codes.

    Members
    -------
    start : In(1)
        A row begins: ``row`` and ``units`` are its, and stay until ``done``.
    row : In(row_layout)
    units : In(16)
        Units of the row.
    codes, valid : In
        All columns' codes of one position (:class:`Deskew`): tile by tile, in it unit, line and
        position; only positions that pooling uses. None in the cycle after ``start``, or after a
        tile's last one: weights load in between.
    done : Out(1)
        High from the cycle after that in which the row's last write is in ``writes``, until
        ``start``.
    writes : Out(write_layout), one a bank
        Registered; all pixel streams' enables are equal.
    writing : Out(1)
        ``writes`` writes in the next cycle. A register.

    Timing
    ------
    A pooled result takes ``ceil(words touched / write_words) * ceil(m / streams)`` cycles to
    write; the issuer spaces sums (``pace``) so that the next result does not come earlier. From a
    row's last valid code to ``done`` it takes ``latency_cycles`` and these. A pooling window's
    lines are ``Pool.line_cycles`` apart, which only windows of 2x2 with a shared line, in a map
    of one window's width, can be too quick for.
    """

    latency_cycles = Pool.latency_cycles + 1

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        codes = data.ArrayLayout(code_layout(geometry), geometry.columns * geometry.pixels)
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "units": In(units_shape(geometry)),
                "codes": In(codes),
                "valid": In(1),
                "done": Out(1),
                "writing": Out(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = OutputWalk(self.geometry)
        m.submodules.pool = pool = Pool(self.geometry)
        m.submodules.packer = packer = Packer(self.geometry)
        m.d.comb += [
            walk.start.eq(self.start),
            walk.valid.eq(self.valid),
            walk.row.eq(self.row),
            walk.units.eq(self.units),
            pool.codes.eq(self.codes),
            pool.valid.eq(self.valid),
            pool.first_x.eq(walk.first_x),
            pool.last_x.eq(walk.last_x),
            pool.first_y.eq(walk.first_y),
            pool.last_y.eq(walk.last_y),
            pool.window.eq(walk.window),
            packer.codes.eq(pool.o),
            packer.coming.eq(pool.coming),
            packer.row.eq(self.row),
            packer.place.eq(walk.place),
            self.writes.eq(packer.writes),
            self.writing.eq(packer.active),
        ]
        leaving = Signal()  # the row's last write is in ``writes``
        m.d.sync += leaving.eq(packer.done & walk.place.end)
        with m.If(self.start):
            m.d.sync += self.done.eq(0)
        with m.Elif(leaving):
            m.d.sync += self.done.eq(1)
        return m
