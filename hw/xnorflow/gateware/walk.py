# SPDX-License-Identifier: Apache-2.0
"""The walk over the input map: where each stream of a segment reads."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout
from xnorflow.gateware.loops import LOOPS
from xnorflow.gateware.modulo import add_modulo, next_modulo

__all__ = ["InputWalk"]


class InputWalk(wiring.Component):
    """Follows the loops by additions alone: every loop has an offset that grows by its stride.

    Members
    -------
    start : In(1)
        A layer begins.
    row : In(row_layout)
    wrap : In
        Which loops wrap with this step (:class:`LoopCounters`).
    addresses : Out
        Each stream's address of position 0.
    rotation : Out
        Bank that stream 0 reads.
    x : Out(signed)
        Position of the segment's first beat; negative left of the map.
    active, inside, tails : Out(streams)
        The stream has a kernel line or channel word; its row is inside the map; its word is a
        position's last.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        streams = geometry.streams
        address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "wrap": In(data.StructLayout(dict.fromkeys(LOOPS, 1))),
                "addresses": Out(data.ArrayLayout(address, streams)),
                "rotation": Out(ceil_log2(streams)),
                "x": Out(signed(SIZE_BITS + 2)),
                "active": Out(streams),
                "inside": Out(streams),
                "tails": Out(streams),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, wrap = self.row, self.wrap
        streams = self.geometry.streams
        address_bits = ceil_log2(self.geometry.activation_depth)
        modulo = range(streams)

        # Images.
        image = Signal(address_bits)
        group = Signal(address_bits)
        next_image = Signal(address_bits)
        m.d.comb += next_image.eq(image + row.image_stride)
        with m.If(wrap.map_row):
            m.d.sync += image.eq(next_image)
        with m.If(wrap.image):
            m.d.sync += image.eq(group)
        with m.If(wrap.tile):
            m.d.sync += [group.eq(next_image), image.eq(next_image)]

        # Lanes.
        lane = Signal(address_bits)
        lane_modulo = Signal(modulo)
        with m.If(wrap.image):
            m.d.sync += [
                lane.eq(lane + row.lane_stride),
                lane_modulo.eq(next_modulo(lane_modulo, streams)),
            ]
        with m.If(wrap.lane):
            m.d.sync += [lane.eq(0), lane_modulo.eq(0)]

        # Channel words.
        word = Signal(address_bits)
        word_index = Signal(SIZE_BITS)
        word_modulo = Signal(modulo)
        with m.If(wrap.lane):
            m.d.sync += word.eq(word + row.cw_step)
            m.d.sync += word_index.eq(word_index + Mux(row.by_words, streams, 1))
            with m.If(~row.by_words):  # words that are ``streams`` apart share a bank
                m.d.sync += word_modulo.eq(next_modulo(word_modulo, streams))
        with m.If(wrap.cw):
            m.d.sync += [word.eq(0), word_index.eq(0), word_modulo.eq(0)]

        # Kernel columns.
        with m.If(wrap.cw):
            m.d.sync += self.x.eq(self.x + self.geometry.taps)
        with m.If(wrap.kx | self.start):
            m.d.sync += self.x.eq(-row.padding_x)

        line, y, y_modulo, kernel_line = self._lines(m)
        with m.If(self.start):
            m.d.sync += [image.eq(0), group.eq(0)]

        base = Signal(address_bits)
        m.d.comb += [
            base.eq(line + word + lane + image),
            self.rotation.eq(
                add_modulo(add_modulo(y_modulo, word_modulo, streams), lane_modulo, streams)
            ),
        ]
        for s in range(streams):
            stream_line = kernel_line + Mux(row.by_words, 0, s)
            stream_word = word_index + Mux(row.by_words, s, 0)
            stream_y = Signal(y.shape(), name=f"y_{s}")
            carry = y_modulo + s >= streams
            m.d.comb += [
                stream_y.eq(y + Mux(row.by_words, 0, s)),
                self.active[s].eq(
                    (stream_line <= row.kernel_last) & (stream_word <= row.word_last)
                ),
                self.inside[s].eq((stream_y >= 0) & (stream_y <= row.row_last)),
                self.tails[s].eq(stream_word == row.word_last),
                self.addresses[s].eq(
                    base + Mux(row.by_words, s * row.word_stride, Mux(carry, row.line_stride, 0))
                ),
            ]
        return m

    def _lines(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """Map rows, by output row and kernel line.

        A row has its number y, its number modulo streams, and the address of its line group.
        ``top_*`` are those of the first output row for this kernel line.
        """
        row, wrap = self.row, self.wrap
        streams = self.geometry.streams
        address_bits = ceil_log2(self.geometry.activation_depth)
        modulo = range(streams)
        y = Signal(signed(SIZE_BITS + 2))
        y_modulo = Signal(modulo)
        line = Signal(address_bits)
        top_y = Signal(signed(SIZE_BITS + 2))
        top_modulo = Signal(modulo)
        top_line = Signal(address_bits)
        kernel_line = Signal(SIZE_BITS)

        with m.If(wrap.repeat):
            carry = y_modulo + row.step_row >= streams
            m.d.sync += [
                y.eq(y + row.stride),
                y_modulo.eq(add_modulo(y_modulo, row.step_row, streams)),
                line.eq(line + row.step_line + Mux(carry, row.line_stride, 0)),
            ]
        with m.If(wrap.map_row):
            m.d.sync += [y.eq(top_y), y_modulo.eq(top_modulo), line.eq(top_line)]

        # The next kernel line, or ``streams`` of them: then only the line group changes.
        next_y = Signal(signed(SIZE_BITS + 2))
        following = Signal(modulo)
        next_line = Signal(address_bits)
        carried = ~row.by_words | (top_modulo == streams - 1)
        m.d.comb += [
            next_y.eq(top_y + Mux(row.by_words, 1, streams)),
            following.eq(Mux(row.by_words, next_modulo(top_modulo, streams), top_modulo)),
            next_line.eq(top_line + Mux(carried, row.line_stride, 0)),
        ]
        with m.If(wrap.kx):
            m.d.sync += [
                kernel_line.eq(kernel_line + Mux(row.by_words, 1, streams)),
                *(signal.eq(next_y) for signal in (y, top_y)),
                *(signal.eq(following) for signal in (y_modulo, top_modulo)),
                *(signal.eq(next_line) for signal in (line, top_line)),
            ]
        with m.If(wrap.ky | self.start):
            m.d.sync += [
                kernel_line.eq(0),
                *(signal.eq(-row.padding_y) for signal in (y, top_y)),
                *(signal.eq(row.start_row) for signal in (y_modulo, top_modulo)),
                *(signal.eq(row.start_address) for signal in (line, top_line)),
            ]
        return line, y, y_modulo, kernel_line
