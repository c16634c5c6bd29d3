# SPDX-License-Identifier: Apache-2.0
"""The collector: codes of a tile's columns are pooled, packed into words and written to the banks.

It walks the layer's outputs in the order in which the sequencer streams them, by its own
counters, so tokens need not carry addresses of the output map through the array.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import code_layout, row_layout, write_layout
from xnorflow.gateware.outwalk import OutputWalk
from xnorflow.gateware.packer import Packer
from xnorflow.gateware.pool import Pool

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Pools, packs and writes one layer's codes.

    Members
    -------
    start : In(1)
        A layer begins: ``row`` and ``images`` are its, and stay until ``done``.
    row : In(row_layout)
    images : In(16)
        Images in the block.
    codes, valid : In
        All columns' codes of one position (:class:`Deskew`).
    done : Out(1)
        High from the layer's last write until ``start``.
    writes : Out(write_layout), one a bank

    Timing
    ------
    A pooled result takes ``words touched * ceil(m / streams)`` cycles to write; the compiler
    repeats final segments (``repeat_last``) so that the next result does not come earlier.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "images": In(16),
                "codes": In(data.ArrayLayout(code_layout(geometry), geometry.columns)),
                "valid": In(1),
                "done": Out(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.streams)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pool = pool = Pool(self.geometry)
        m.submodules.packer = packer = Packer(self.geometry)
        m.submodules.walk = walk = OutputWalk(self.geometry)
        m.d.comb += [
            pool.codes.eq(self.codes),
            pool.valid.eq(self.valid),
            packer.codes.eq(pool.o),
            packer.valid.eq(pool.o_valid),
            packer.row.eq(self.row),
            packer.address.eq(walk.address),
            packer.rotation.eq(walk.rotation),
            packer.word.eq(walk.word),
            packer.offset.eq(walk.offset),
            walk.start.eq(self.start),
            walk.step.eq(packer.done),
            walk.row.eq(self.row),
            walk.images.eq(self.images),
            self.writes.eq(packer.writes),
        ]
        self._windows(m, pool)
        with m.If(self.start):
            m.d.sync += self.done.eq(0)
        with m.Elif(walk.layer_end):
            m.d.sync += self.done.eq(1)
        return m

    def _windows(self, m: Module, pool: Pool) -> None:
        """Where each arriving result lies in its pooling window."""
        row = self.row
        inner_x = Signal(4)
        inner_y = Signal(4)
        repeat = Signal(4)
        column = Signal(SIZE_BITS + 1)  # window in its row
        next_column = Signal(SIZE_BITS + 1)
        width_last = Signal(16)
        m.d.comb += [
            width_last.eq(Mux(row.flat, self.images - 1, row.out_column_last)),
            next_column.eq(column + row.repeat_last + 1),
            pool.first_x.eq(inner_x == 0),
            pool.last_x.eq(inner_x == row.pool_last),
            pool.first_y.eq(inner_y == 0),
            pool.last_y.eq(inner_y == row.pool_last),
            pool.window.eq(column),
        ]
        with m.If(self.valid):
            m.d.sync += inner_x.eq(inner_x + 1)
            with m.If(pool.last_x):
                m.d.sync += [inner_x.eq(0), column.eq(next_column)]
                with m.If(next_column > width_last):
                    # The row's windows of this repeat are through; those of the next follow.
                    m.d.sync += [column.eq(repeat + 1), repeat.eq(repeat + 1)]
                    with m.If((repeat == row.repeat_last) | (repeat >= width_last)):
                        m.d.sync += [column.eq(0), repeat.eq(0)]
                        m.d.sync += inner_y.eq(Mux(pool.last_y, 0, inner_y + 1))
