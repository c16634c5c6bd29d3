# SPDX-License-Identifier: Apache-2.0
"""The input formatter: raw pixel bytes become lanes, lanes become words in the activation banks."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout, write_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo
from xnorflow.gateware.writer import LaneWriter

__all__ = ["Formatter"]

PIXEL_BITS = 8


class Formatter(wiring.Component):
    """Takes images as bytes (height, width, channels) and lays them out as the first layer's map.

    Lane l of a pixel is its bit 7 - l: a layer with m lanes takes the m highest bits.

    Members
    -------
    start : In(1)
        Take ``images`` images.
    row : In(row_layout)
        The first layer's row; constant until ``done``.
    images : In(16)
        Images to take, at least 1.
    pixels : In(stream)
        Bytes.
    done : Out(1)
        High in the cycle after the last write left.
    waiting : Out(1)
        A byte could be taken but none is offered.
    writes : Out(write_layout), one a bank

    Timing
    ------
    One byte a cycle; a word of b channels and m lanes takes b + ceil(m / streams) - 1 cycles.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "images": In(16),
                "pixels": In(stream.Signature(PIXEL_BITS)),
                "done": Out(1),
                "waiting": Out(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.streams)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        width = geometry.word_width
        address_bits = ceil_log2(geometry.activation_depth)
        modulo = range(geometry.streams)

        # Gather a word's bytes: each byte's bits go to their lanes.
        receiving = Signal()
        full = Signal()
        planes = Signal(data.ArrayLayout(width, PIXEL_BITS))
        channel = Signal(range(width))
        word = Signal(SIZE_BITS)
        take = Signal()
        complete = Signal()
        m.submodules.writer = writer = LaneWriter(geometry, max_lanes=PIXEL_BITS)
        m.d.comb += [
            self.pixels.ready.eq(receiving & (~full | ~writer.busy)),
            self.waiting.eq(self.pixels.ready & ~self.pixels.valid),
            take.eq(self.pixels.valid & self.pixels.ready),
            complete.eq(take & (channel == Mux(word == row.word_last, row.tail - 1, width - 1))),
        ]
        with m.If(take):
            m.d.sync += channel.eq(Mux(complete, 0, channel + 1))
            for lane in range(PIXEL_BITS):
                # The first byte of a word clears what the last word left.
                kept = Mux(channel == 0, 0, planes[lane])
                bit = self.pixels.payload[PIXEL_BITS - 1 - lane]
                m.d.sync += planes[lane].eq(kept | (bit << channel))

        # Walk: image, row, position, channel word.
        image = Signal(16)
        y = Signal(SIZE_BITS)
        x = Signal(SIZE_BITS)
        image_base, line_base, word_base = (
            Signal(address_bits, name=f"{name}_base") for name in ("image", "line", "word")
        )
        y_modulo = Signal(modulo)
        word_modulo = Signal(modulo)
        last_word = Signal()
        last_x = Signal()
        last_y = Signal()
        last_image = Signal()
        m.d.comb += [
            last_word.eq(word == row.word_last),
            last_x.eq(row.flat | (x == row.column_last)),
            last_y.eq(y == row.row_last),
            last_image.eq(image == self.images - 1),
        ]
        with m.If(complete):
            m.d.sync += [
                word.eq(word + 1),
                word_base.eq(word_base + row.word_stride),
                word_modulo.eq(next_modulo(word_modulo, geometry.streams)),
            ]
            with m.If(last_word):
                m.d.sync += [word.eq(0), word_base.eq(0), word_modulo.eq(0), x.eq(x + 1)]
                with m.If(last_x):
                    m.d.sync += [x.eq(0), y.eq(y + 1)]
                    m.d.sync += y_modulo.eq(next_modulo(y_modulo, geometry.streams))
                    with m.If(y_modulo == geometry.streams - 1):
                        m.d.sync += line_base.eq(line_base + row.line_stride)
                    with m.If(last_y):
                        m.d.sync += [y.eq(0), y_modulo.eq(0), line_base.eq(0)]
                        m.d.sync += [image.eq(image + 1)]
                        m.d.sync += image_base.eq(image_base + row.image_stride)
                        with m.If(last_image):
                            m.d.sync += receiving.eq(0)

        # Write the full word while the next one's first byte may come.
        address = Signal(address_bits)
        rotation = Signal(modulo)
        with m.If(full & ~writer.busy):
            m.d.sync += full.eq(0)
        with m.If(complete):
            m.d.sync += [
                full.eq(1),
                address.eq(image_base + line_base + word_base + x),
                rotation.eq(add_modulo(y_modulo, word_modulo, geometry.streams)),
            ]
        m.d.comb += [
            writer.start.eq(full),
            writer.lanes.eq(planes),
            writer.lane_last.eq(row.lane_last),
            writer.lane_stride.eq(row.lane_stride),
            writer.enable.eq(~0),
            writer.rotation.eq(rotation),
            writer.address.eq(address),
            self.writes.eq(writer.writes),
        ]

        with m.If(self.start):
            m.d.sync += [receiving.eq(1), image.eq(0), image_base.eq(row.in_base)]
        busy = Signal()
        m.d.comb += busy.eq(receiving | full)
        was_busy = Signal()
        m.d.sync += was_busy.eq(busy)
        m.d.comb += self.done.eq(was_busy & ~busy)
        return m
