# SPDX-License-Identifier: Apache-2.0
"""The walk over the images that the host sends: where each of their words goes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo

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

    Members
    -------
    row : In(row_layout)
        The program's first row.
    images : In(16)
        Images of the block.
    begin : In(1)
        A part begins: its base is taken. At least a cycle before the first ``step``.
    step : In(1)
        The word of ``spot`` was taken.
    position_end : In(1)
        That word is its position's last.
    spot : Out(spot_layout)
    part_end, block_end : Out(1)
        That word is the part's last, the block's last.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "row": In(row_layout(geometry)),
                "images": In(16),
                "begin": In(1),
                "step": In(1),
                "position_end": In(1),
                "spot": Out(spot_layout(geometry)),
                "part_end": Out(1),
                "block_end": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row

        # Where the loops end.
        x, y = Signal(SIZE_BITS), Signal(SIZE_BITS)
        pixel = Signal(range(geometry.pixels))
        unit = Signal(range(geometry.taps * geometry.activation_depth))  # all lie in the banks
        image = Signal(16)
        next_image = Signal(17)
        line_end, image_end, unit_end = (
            Signal(name=f"{name}_end") for name in ("line", "image", "unit")
        )
        m.d.comb += [
            next_image.eq(image + 1),
            line_end.eq(self.position_end & (row.flat | (x == row.column_last))),
            image_end.eq(line_end & (row.flat | (y == row.row_last))),
            unit_end.eq(image_end & (pixel == geometry.pixels - 1)),
            self.block_end.eq(image_end & (next_image == self.images)),
            self.part_end.eq(self.block_end | (unit_end & (unit == row.chunk_last[: len(unit)]))),
        ]
        # Resets come last and alone, so that flip-flops' own resets do them.
        with m.If(self.step & self.position_end):
            m.d.sync += x.eq(x + 1)
        with m.If(self.step & line_end):
            m.d.sync += [x.eq(0), y.eq(y + 1)]
        with m.If(self.step & image_end):
            m.d.sync += [y.eq(0), pixel.eq(next_modulo(pixel, geometry.pixels))]
            m.d.sync += image.eq(next_image)
        with m.If(self.step & unit_end):
            m.d.sync += unit.eq(unit + 1)
        with m.If(self.step & self.part_end):
            m.d.sync += [unit.eq(0), pixel.eq(0)]
        with m.If(self.step & self.block_end):
            m.d.sync += image.eq(0)
        self._places(m, pixel, (line_end, image_end, unit_end))
        return m

    def _places(self, m: Module, pixel: Signal, ends: tuple[Signal, Signal, Signal]) -> None:
        """Offsets of part, unit, line, word and position, and the sums of some of them."""
        geometry, row = self.geometry, self.row
        streams, taps = geometry.streams, geometry.taps
        line_end, image_end, unit_end = ends
        base, units, line, words, slot = (
            Signal(ceil_log2(geometry.activation_depth), name=name)
            for name in ("base", "units", "line", "words", "slot")
        )
        odd = Signal()  # the next part goes to the other place
        x_column, word_column = Signal(range(taps)), Signal(range(taps))
        y_row, word_row = Signal(range(streams)), Signal(range(streams))
        with m.If(self.begin):
            m.d.sync += base.eq(row.in_base + Mux(odd, row.chunk_stride, 0))
        with m.If(self.step):
            m.d.sync += words.eq(words + row.word_stride)
            m.d.sync += word_column.eq(next_modulo(word_column, taps))
        with m.If(self.step & (word_column == taps - 1)):
            m.d.sync += word_row.eq(next_modulo(word_row, streams))
        with m.If(self.step & self.position_end):
            m.d.sync += [words.eq(0), word_column.eq(0), word_row.eq(0)]
        position_end, line_reset = Signal(), Signal()
        m.d.comb += [
            position_end.eq(self.step & Mux(row.flat, unit_end, self.position_end)),
            line_reset.eq(self.step & Mux(row.flat, self.part_end, line_end)),
        ]
        with m.If(position_end):
            m.d.sync += x_column.eq(next_modulo(x_column, taps))
        with m.If(position_end & (x_column == taps - 1)):
            m.d.sync += slot.eq(slot + 1)
        with m.If(line_reset):
            m.d.sync += [x_column.eq(0), slot.eq(0)]
        with m.If(self.step & line_end):
            m.d.sync += y_row.eq(next_modulo(y_row, streams))
        with m.If(self.step & line_end & (y_row == streams - 1)):
            m.d.sync += line.eq(line + row.line_stride)
        with m.If(self.step & image_end):
            m.d.sync += [y_row.eq(0), line.eq(0)]
        with m.If(self.step & unit_end):
            m.d.sync += units.eq(units + row.image_stride)
        with m.If(self.step & self.part_end):
            m.d.sync += [units.eq(0), odd.eq((odd ^ 1) & row.chunk_double)]
        m.d.comb += [
            self.spot.near.eq(words + slot),
            self.spot.far.eq(base + (units + line)),
            self.spot.row.eq(add_modulo(y_row, word_row, streams)),
            self.spot.column.eq(add_modulo(x_column, word_column, taps)),
            self.spot.pixel.eq(pixel),
        ]
