# SPDX-License-Identifier: Apache-2.0
"""The packer: a tile's codes become bits of one or more activation words."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout, write_layout
from xnorflow.gateware.modulo import add_modulo
from xnorflow.gateware.writer import LaneWriter

__all__ = ["Packer"]


class Packer(wiring.Component):
    """Holds one result and writes it word by word, each word's lanes side by side.

    Of the tile's first word it writes the granules from the tile on, of further words all, and
    writes 0 beyond the tile: tiles come in rising order, so a map's unused channels end up 0.

    Members
    -------
    codes, valid : In
        A result: a code for each column. The one before must be done, in this cycle at the latest.
    row : In(row_layout)
    address, rotation, word, offset : In
        Where the held result goes (:class:`OutputWalk`).
    done : Out(1)
        The held result's last write is on its way.
    writes : Out(write_layout), one a bank

    Timing
    ------
    A result takes ``words touched * ceil(lanes / streams)`` cycles, from the one after ``valid``.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        width, columns = geometry.word_width, geometry.columns
        self.spans = -(-(columns + width - geometry.granule) // width)  # words a tile can touch
        super().__init__(
            {
                "codes": In(data.ArrayLayout(geometry.max_lanes, columns)),
                "valid": In(1),
                "row": In(row_layout(geometry)),
                "address": In(ceil_log2(geometry.activation_depth)),
                "rotation": In(ceil_log2(geometry.streams)),
                "word": In(SIZE_BITS),
                "offset": In(range(width)),
                "done": Out(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.streams)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        width, columns, lanes = geometry.word_width, geometry.columns, geometry.max_lanes
        m.submodules.writer = writer = LaneWriter(geometry, max_lanes=lanes)

        # Word by word.
        held = Signal(data.ArrayLayout(lanes, columns))
        writing = Signal()
        span = Signal(bits_for(self.spans))
        last_span = Signal()
        word_done = Signal()
        m.d.comb += [
            word_done.eq(writing & ~writer.busy),
            last_span.eq(
                (self.word + span == row.out_word_last)
                | (((span + 1) << ceil_log2(width)) >= self.offset + columns)
            ),
            self.done.eq(word_done & last_span),
        ]
        with m.If(self.valid):
            m.d.sync += [held.eq(self.codes), writing.eq(1)]
        with m.Elif(self.done):
            m.d.sync += writing.eq(0)
        with m.If(word_done):
            m.d.sync += span.eq(Mux(last_span, 0, span + 1))

        # The tile's bits at their place, lane by lane: lane 0 is a code's highest bit.
        granule = geometry.granule
        granules = width // granule
        for lane in range(lanes):
            bits = Signal(columns, name=f"lane_{lane}")
            m.d.comb += [bits[c].eq(held[c][lanes - 1 - lane]) for c in range(columns)]
            placed = Signal(self.spans * width, name=f"placed_{lane}")
            with m.Switch(self.offset):
                for start in range(0, width, granule):
                    with m.Case(start):
                        m.d.comb += placed.eq(bits << start)
            m.d.comb += writer.lanes[lane].eq(placed.word_select(span, width))
        m.d.comb += [
            writer.enable[g].eq((span != 0) | (g * granule >= self.offset)) for g in range(granules)
        ]

        # Each further word is one bank and ``out_word_stride`` addresses on.
        with m.Switch(span):
            for s in range(self.spans):
                with m.Case(s):
                    m.d.comb += [
                        writer.address.eq(self.address + s * row.out_word_stride),
                        writer.rotation.eq(
                            add_modulo(self.rotation, s % geometry.streams, geometry.streams)
                        ),
                    ]
        m.d.comb += [
            writer.start.eq(writing),
            writer.lane_last.eq(row.out_lane_last),
            writer.lane_stride.eq(row.out_lane_stride),
            self.writes.eq(writer.writes),
        ]
        return m
