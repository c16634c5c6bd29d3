# SPDX-License-Identifier: Apache-2.0
"""The walk over the images that the host sends: where each of their words goes."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import images_shape, row_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo
from xnorflow.gateware.rounds import last_round

__all__ = ["InputWalk", "spot_layout"]


def spot_layout(geometry: Geometry) -> data.StructLayout:
    """Where a word's lane 0 goes."""
    address = ceil_log2(geometry.activation_depth)
    return data.StructLayout(
        {
            "near": address,  # its address is the sum
            "far": address,  # of these two
            "row": ceil_log2(geometry.streams),
            "column": ceil_log2(geometry.taps),
            "pixel": ceil_log2(geometry.pixels),
        }
    )


class InputWalk(wiring.Component):
    """Image, line, position, word; an image's unit is its number divided by ``pixels``.

    What is last is known in the cycle after the line before: at least two cycles lie between the
    ends of two lines.

    Members
    -------
    row : In(row_layout)
        The program's first row.
    images : In(16)
        Images of the block.
    idle : In(1)
        Until a block's first byte may come, and at least two cycles from ``images`` on.
    fresh : In(1)
        Between parts: the next one begins.
    filled : In(1)
        The last byte of a part came: the next one may go to the other place.
    part_last, block_last : Out(1)
        The line is its part's last, the image its block's last.
    word, position, line : In(1)
        The word of ``spot`` was taken; it was its position's last; its line's last.
    spot : Out(spot_layout)
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "row": In(row_layout(geometry)),
                "images": In(images_shape(geometry)),
                "idle": In(1),
                "fresh": In(1),
                "filled": In(1),
                "part_last": Out(1),
                "block_last": Out(1),
                "word": In(1),
                "position": In(1),
                "line": In(1),
                "spot": Out(spot_layout(geometry)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row, fresh = self.geometry, self.row, self.idle
        pixel = Signal(range(geometry.pixels), reset_less=True)
        image_end, unit_end, pixel_last = (
            Signal(name=name) for name in ("image_end", "unit_end", "pixel_last")
        )
        units = row.chunk_last[: ceil_log2(geometry.taps * geometry.activation_depth)]
        y_last = last_round(
            m, "y", row.row_last, step=self.line, fresh=fresh, once=row.flat, spaced=True
        )
        unit_last = last_round(m, "unit", units, step=unit_end, fresh=fresh, spaced=True)
        block_last = last_round(
            m, "image", self.images, step=image_end, fresh=fresh, first=1, spaced=True
        )
        m.d.comb += [
            image_end.eq(self.line & y_last),
            pixel_last.eq(pixel == geometry.pixels - 1),
            unit_end.eq(image_end & pixel_last),
            self.part_last.eq(y_last & ((pixel_last & unit_last) | block_last)),
            self.block_last.eq(block_last),
        ]
        with m.If(image_end):
            m.d.sync += pixel.eq(next_modulo(pixel, geometry.pixels))
        with m.If(fresh):
            m.d.sync += pixel.eq(0)
        self._places(m, pixel, pixel_last, image_end, unit_end)
        return m

    def _places(
        self, m: Module, pixel: Signal, pixel_last: Signal, image_end: Signal, unit_end: Signal
    ) -> None:
        """Offsets of part, unit, line, word and position, and the sums of some of them."""
        geometry, row, fresh = self.geometry, self.row, self.fresh
        streams, taps = geometry.streams, geometry.taps
        part, units, line, words, slot = (
            Signal(ceil_log2(geometry.activation_depth), name=name, reset_less=True)
            for name in ("part", "units", "lines", "words", "slot")
        )
        odd = Signal()  # the next part goes to the other place
        x_column, word_column = (
            Signal(range(taps), name=name, reset_less=True) for name in ("x_column", "word_column")
        )
        y_row, word_row = (
            Signal(range(streams), name=name, reset_less=True) for name in ("y_row", "word_row")
        )
        with m.If(self.filled):
            m.d.sync += odd.eq(~odd & row.chunk_double)
        m.d.sync += part.eq(row.chunk_stride)
        with m.If(~odd):
            m.d.sync += part.eq(0)
        # Resets come last and alone, so that flip-flops' own resets do them.
        with m.If(self.word):
            m.d.sync += words.eq(words + row.word_stride)
            m.d.sync += word_column.eq(next_modulo(word_column, taps))
        with m.If(self.word & (word_column == taps - 1)):
            m.d.sync += word_row.eq(next_modulo(word_row, streams))
        with m.If(self.position | fresh):
            m.d.sync += [words.eq(0), word_column.eq(0), word_row.eq(0)]
        position_end = Signal()
        m.d.comb += position_end.eq(self.position & (~row.flat | pixel_last))
        with m.If(position_end):
            m.d.sync += x_column.eq(next_modulo(x_column, taps))
        with m.If(position_end & (x_column == taps - 1)):
            m.d.sync += slot.eq(slot + 1)
        with m.If((self.line & ~row.flat) | fresh):
            m.d.sync += [x_column.eq(0), slot.eq(0)]
        with m.If(self.line):
            m.d.sync += y_row.eq(next_modulo(y_row, streams))
        with m.If(self.line & (y_row == streams - 1)):
            m.d.sync += line.eq(line + row.line_stride)
        with m.If(image_end | fresh):
            m.d.sync += [y_row.eq(0), line.eq(0)]
        with m.If(unit_end):
            m.d.sync += units.eq(units + row.image_stride)
        with m.If(fresh):
            m.d.sync += units.eq(row.in_base + part)
        m.d.comb += [
            self.spot.near.eq(words + slot),
            self.spot.far.eq(units + line),
            self.spot.row.eq(add_modulo(y_row, word_row, streams)),
            self.spot.column.eq(add_modulo(x_column, word_column, taps)),
            self.spot.pixel.eq(pixel),
        ]
