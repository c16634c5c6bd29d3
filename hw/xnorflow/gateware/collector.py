# SPDX-License-Identifier: Apache-2.0
"""The collector: codes of a tile's columns are pooled, packed into words and written to the banks.

It walks the layer's outputs in the order in which the sequencer streams them, by its own
counters, so tokens need not carry addresses of the output map through the array.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import code_layout, row_layout, write_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo
from xnorflow.gateware.pool import Pool
from xnorflow.gateware.writer import LaneWriter

__all__ = ["Collector", "Deskew"]


class Deskew(wiring.Component):
    """Delays hop h's codes by ``hops - 1 - h`` cycles, so that a position's codes meet.

    Members
    -------
    codes, valids : In
        Codes as the feet give them.
    o, o_valid : Out
        All columns' codes of one position.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        codes = data.ArrayLayout(code_layout(geometry), geometry.columns)
        super().__init__(
            {
                "codes": In(codes),
                "valids": In(geometry.columns),
                "o": Out(codes),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        for column in range(geometry.columns):
            code = self.codes[column]
            for step in range(geometry.hops - 1 - column // geometry.columns_per_hop):
                later = Signal(code_layout(geometry), name=f"code_{column}_{step}")
                m.d.sync += later.eq(code)
                code = later
            m.d.comb += self.o[column].eq(code)
        m.d.comb += self.o_valid.eq(self.valids[geometry.columns - 1])
        return m


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
        m.d.comb += [pool.codes.eq(self.codes), pool.valid.eq(self.valid)]
        written = self._write(m, pool)
        self._windows(m, pool)
        with m.If(self.start):
            m.d.sync += self.done.eq(0)
        with m.Elif(written):
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
        with m.If(self.start):
            m.d.sync += [inner_x.eq(0), inner_y.eq(0), repeat.eq(0), column.eq(0)]

    def _write(self, m: Module, pool: Pool) -> Signal:
        """Write the pool's results; gives a signal that marks the layer's last write."""
        geometry, row = self.geometry, self.row
        width, columns, granule = geometry.word_width, geometry.columns, geometry.granule
        address_bits = ceil_log2(geometry.activation_depth)
        modulo = range(geometry.streams)
        lanes = geometry.max_lanes
        spans = -(-(columns + width - granule) // width)  # words that a tile can touch

        # One result at a time, word by word, each word's lanes by the lane writer.
        m.submodules.writer = writer = LaneWriter(geometry, max_lanes=lanes)
        held = Signal(data.ArrayLayout(lanes, columns))
        writing = Signal()
        span = Signal(range(spans + 1))
        word_done = Signal()
        result_done = Signal()

        # Walk: group, tile, image, row, repeat, window; all in the sequencer's order.
        remaining = Signal(16)  # images from this group on
        group = Signal(16)
        m.d.comb += group.eq(Mux(row.group < remaining, row.group, remaining))
        tile, image, y, x, repeat = (
            Signal(size, name=name)
            for size, name in (
                (ceil_log2(geometry.threshold_depth), "tile"),
                (16, "image"),
                (SIZE_BITS, "y"),
                (16, "x"),
                (4, "repeat"),
            )
        )
        group_base, image_base, line_base, word_base = (
            Signal(address_bits, name=f"{name}_base") for name in ("group", "image", "line", "word")
        )
        y_modulo = Signal(modulo)
        word_modulo = Signal(modulo)
        word = Signal(SIZE_BITS)
        offset = Signal(range(width))  # the tile's first channel in its first word
        x_last = Signal(16)
        next_x = Signal(17)
        m.d.comb += [
            x_last.eq(Mux(row.flat, self.images - 1, row.out_column_last)),
            next_x.eq(x + row.repeat_last + 1),
        ]

        last_span = Signal()
        span_word = Signal(SIZE_BITS + 1)
        m.d.comb += [
            span_word.eq(word + span),
            last_span.eq(
                (span_word == row.out_word_last)
                | (((span + 1) << ceil_log2(width)) >= offset + columns)
            ),
            word_done.eq(writing & ~writer.busy),
            result_done.eq(word_done & last_span),
        ]
        with m.If(pool.o_valid):
            m.d.sync += [held.eq(pool.o), writing.eq(1)]
        with m.Elif(result_done):
            m.d.sync += writing.eq(0)
        with m.If(word_done):
            m.d.sync += span.eq(Mux(last_span, 0, span + 1))

        # The tile's bits at their place: word by word, from the granule where the tile begins.
        # Granules above it are written as 0, so a map's unused channels are always 0.
        granules = width // granule
        places = spans * granules
        for lane in range(lanes):
            bits = Signal(columns, name=f"lane_{lane}")
            # Lane 0 is a code's highest bit.
            for c in range(columns):
                m.d.comb += bits[c].eq(held[c][lanes - 1 - lane])
            placed = Signal(places * granule, name=f"placed_{lane}")
            with m.Switch(offset):
                for start in range(granules):
                    with m.Case(start * granule):
                        m.d.comb += placed.eq(bits << (start * granule))
            m.d.comb += writer.lanes[lane].eq(placed.word_select(span, width))
        enable = Signal(granules)
        for g in range(granules):
            m.d.comb += enable[g].eq((span != 0) | (g * granule >= offset))
        span_address = Signal(address_bits)
        span_modulo = Signal(modulo)
        with m.Switch(span):
            for s in range(spans):
                with m.Case(s):
                    m.d.comb += [
                        span_address.eq(s * row.out_word_stride),
                        span_modulo.eq(s % geometry.streams),
                    ]
        rotation = add_modulo(
            add_modulo(y_modulo, word_modulo, geometry.streams), span_modulo, geometry.streams
        )
        m.d.comb += [
            writer.start.eq(writing),
            writer.lane_last.eq(row.out_lane_last),
            writer.lane_stride.eq(row.out_lane_stride),
            writer.enable.eq(enable),
            writer.rotation.eq(rotation),
            writer.address.eq(image_base + line_base + word_base + x + span_address),
            self.writes.eq(writer.writes),
        ]

        row_end = Signal()
        image_end = Signal()
        tile_end = Signal()
        group_end = Signal()
        layer_end = Signal()
        m.d.comb += [
            row_end.eq(
                result_done & (next_x > x_last) & ((repeat == row.repeat_last) | (repeat >= x_last))
            ),
            image_end.eq(row_end & (y == row.out_row_last)),
            tile_end.eq(image_end & (row.flat | (image == group - 1))),
            group_end.eq(tile_end & (tile == row.tile_last)),
            layer_end.eq(group_end & (row.flat | (group == remaining))),
        ]
        with m.If(result_done):
            m.d.sync += x.eq(next_x)
            with m.If(next_x > x_last):
                m.d.sync += [x.eq(repeat + 1), repeat.eq(repeat + 1)]
        with m.If(row_end):
            m.d.sync += [x.eq(0), repeat.eq(0), y.eq(y + 1)]
            m.d.sync += y_modulo.eq(next_modulo(y_modulo, geometry.streams))
            with m.If(y_modulo == geometry.streams - 1):
                m.d.sync += line_base.eq(line_base + row.out_line_stride)
        with m.If(image_end):
            m.d.sync += [y.eq(0), y_modulo.eq(0), line_base.eq(0), image.eq(image + 1)]
            m.d.sync += image_base.eq(image_base + row.out_image_stride)
        with m.If(tile_end):
            m.d.sync += [image.eq(0), image_base.eq(group_base), tile.eq(tile + 1)]
            self._next_tile(m, offset, word, word_base, word_modulo)
        with m.If(group_end):
            next_base = Signal(address_bits)
            m.d.comb += next_base.eq(image_base + row.out_image_stride)
            m.d.sync += [
                tile.eq(0),
                offset.eq(0),
                word.eq(0),
                word_base.eq(0),
                word_modulo.eq(0),
                remaining.eq(remaining - group),
                group_base.eq(next_base),
                image_base.eq(next_base),
            ]
        with m.If(self.start):
            m.d.sync += [
                remaining.eq(self.images),
                group_base.eq(row.out_base),
                image_base.eq(row.out_base),
            ]
            for counter in (
                tile,
                image,
                y,
                x,
                repeat,
                line_base,
                word_base,
                y_modulo,
                word_modulo,
                word,
                offset,
                span,
                writing,
            ):
                m.d.sync += counter.eq(0)
        return layer_end

    def _next_tile(
        self, m: Module, offset: Signal, word: Signal, word_base: Signal, word_modulo: Signal
    ) -> None:
        """Move the tile's place ``columns`` channels on."""
        geometry, row = self.geometry, self.row
        width, streams = geometry.word_width, geometry.streams
        whole, rest = divmod(geometry.columns, width)
        carry = Signal()
        m.d.comb += carry.eq(offset + rest >= width)
        m.d.sync += offset.eq(Mux(carry, offset + rest - width, offset + rest))
        for more in range(2):
            with m.If(carry == more):
                steps = whole + more
                m.d.sync += [
                    word.eq(word + steps),
                    word_base.eq(word_base + steps * row.out_word_stride),
                    word_modulo.eq(add_modulo(word_modulo, steps % streams, streams)),
                ]
