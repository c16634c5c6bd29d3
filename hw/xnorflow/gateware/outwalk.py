# SPDX-License-Identifier: Apache-2.0
"""The walk over the output map: where each result is written."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo

__all__ = ["OutputWalk"]


class OutputWalk(wiring.Component):
    """Group of images, tile, image, row, repeat, window: the order in which results come.

    Members
    -------
    start : In(1)
        A layer begins.
    step : In(1)
        A result was written.
    row : In(row_layout)
    images : In(16)
        Images in the block.
    address, rotation : Out
        Address and bank of lane 0 of the tile's first word.
    word : Out
        That word's index in its position.
    offset : Out
        The tile's first channel in that word.
    layer_end : Out(1)
        This step is the layer's last.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "row": In(row_layout(geometry)),
                "images": In(16),
                "address": Out(ceil_log2(geometry.activation_depth)),
                "rotation": Out(ceil_log2(geometry.streams)),
                "word": Out(SIZE_BITS),
                "offset": Out(range(geometry.word_width)),
                "layer_end": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        streams = geometry.streams
        address_bits = ceil_log2(geometry.activation_depth)
        modulo = range(streams)

        # Windows of a row, each repeat's in its turn; the images of a flat map are its windows.
        x = Signal(16)
        x_last = Signal(16)
        next_x = Signal(17)
        repeat = Signal(4)
        repeat_end = Signal()
        row_end = Signal()
        m.d.comb += [
            x_last.eq(Mux(row.flat, self.images - 1, row.out_column_last)),
            next_x.eq(x + row.repeat_last + 1),
            repeat_end.eq(self.step & (next_x > x_last)),
            row_end.eq(repeat_end & ((repeat == row.repeat_last) | (repeat >= x_last))),
        ]
        with m.If(self.step):
            m.d.sync += x.eq(next_x)
        with m.If(repeat_end):
            m.d.sync += [x.eq(repeat + 1), repeat.eq(repeat + 1)]
        with m.If(row_end):
            m.d.sync += [x.eq(0), repeat.eq(0)]

        # Rows.
        y = Signal(SIZE_BITS)
        y_modulo = Signal(modulo)
        line = Signal(address_bits)
        image_end = Signal()
        m.d.comb += image_end.eq(row_end & (y == row.out_row_last))
        with m.If(row_end):
            m.d.sync += [y.eq(y + 1), y_modulo.eq(next_modulo(y_modulo, streams))]
            with m.If(y_modulo == streams - 1):
                m.d.sync += line.eq(line + row.out_line_stride)
        with m.If(image_end):
            m.d.sync += [y.eq(0), y_modulo.eq(0), line.eq(0)]

        # Images, tiles, groups of images.
        remaining = Signal(16)  # images of this group and those after it
        group = Signal(16)
        image = Signal(16)
        tile = Signal(ceil_log2(geometry.threshold_depth))
        image_base = Signal(address_bits)
        group_base = Signal(address_bits)
        next_base = Signal(address_bits)
        tile_end = Signal()
        group_end = Signal()
        m.d.comb += [
            group.eq(Mux(row.group < remaining, row.group, remaining)),
            next_base.eq(image_base + row.out_image_stride),
            tile_end.eq(image_end & (row.flat | (image == group - 1))),
            group_end.eq(tile_end & (tile == row.tile_last)),
            self.layer_end.eq(group_end & (row.flat | (group == remaining))),
        ]
        with m.If(image_end):
            m.d.sync += [image.eq(image + 1), image_base.eq(next_base)]
        with m.If(tile_end):
            m.d.sync += [image.eq(0), image_base.eq(group_base), tile.eq(tile + 1)]
        with m.If(group_end):
            m.d.sync += [
                tile.eq(0),
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

        word_base, word_modulo = self._words(m, tile_end, group_end)
        m.d.comb += [
            self.address.eq(image_base + line + word_base + x),
            self.rotation.eq(add_modulo(y_modulo, word_modulo, streams)),
        ]
        return m

    def _words(self, m: Module, tile_end: Signal, group_end: Signal) -> tuple[Signal, Signal]:
        """The tile's first word: its address and its number modulo streams."""
        geometry, row = self.geometry, self.row
        width, streams = geometry.word_width, geometry.streams
        base = Signal(ceil_log2(geometry.activation_depth))
        modulo = Signal(range(streams))
        whole, rest = divmod(geometry.columns, width)
        carry = Signal()
        m.d.comb += carry.eq(self.offset + rest >= width)
        with m.If(tile_end):
            m.d.sync += self.offset.eq(self.offset + rest)  # modulo width, a power of two
            for more in range(2):
                steps = whole + more
                with m.If(carry == more):
                    m.d.sync += [
                        self.word.eq(self.word + steps),
                        base.eq(base + steps * row.out_word_stride),
                        modulo.eq(add_modulo(modulo, steps % streams, streams)),
                    ]
        with m.If(group_end):
            m.d.sync += [self.offset.eq(0), self.word.eq(0), base.eq(0), modulo.eq(0)]
        return base, modulo
