# SPDX-License-Identifier: Apache-2.0
"""The walk over the input map: where the window of a line's positions lies."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS, Unroll
from xnorflow.gateware.banks import rotate
from xnorflow.gateware.layouts import pass_layout, row_layout
from xnorflow.gateware.loops import LOOPS
from xnorflow.gateware.modulo import add_modulo, next_modulo

__all__ = ["InputWalk"]


class InputWalk(wiring.Component):
    """Follows the loops by additions alone: every loop has an offset that grows by its stride.

    Members
    -------
    start : In(1)
        A row begins.
    move : In(1)
        The outputs' pipeline moves on.
    row : In(row_layout)
    part : In(1)
        Which part of the input the row reads.
    step, wrap : In
        The innermost loop moves on; which loops wrap with it (:class:`LoopCounters`).
    lines : Out
        Address of each bank row's line, for slot 0. With ``line_row``, the bank row of the
        window's first line, and ``inside``, whether each line of the window is inside the map,
        2 moves late.
    x, slot, column, word_column : Out
        The line's first position, its slot and its place there; what the channel word adds to
        the bank column. In time.
    window : Out(pass_layout)
        The pass's window. In time.
    """

    latency_moves = 2

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.address = address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "start": In(1),
                "move": In(1),
                "row": In(row_layout(geometry)),
                "part": In(1),
                "step": In(1),
                "wrap": In(data.StructLayout(dict.fromkeys(LOOPS, 1))),
                "lines": Out(data.ArrayLayout(address, geometry.streams)),
                "line_row": Out(ceil_log2(geometry.streams)),
                "inside": Out(geometry.streams),
                "x": Out(signed(SIZE_BITS + 2)),
                "slot": Out(address),
                "column": Out(ceil_log2(geometry.taps)),
                "word_column": Out(ceil_log2(geometry.taps)),
                "window": Out(pass_layout(geometry)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row, wrap = self.geometry, self.row, self.wrap
        streams, taps = geometry.streams, geometry.taps
        m.d.comb += [
            self.window.tail.eq(row.tail),
            self.window.planes.eq(row.planes),
            self.window.border.eq(row.border_enable),
            self.window.fill.eq(row.border_bits),
        ]

        # Units and lanes.
        unit = Signal(self.address)
        lane = Signal(self.address)
        lane_row = Signal(range(streams))
        with m.If(wrap.map_row):
            m.d.sync += unit.eq(unit + row.image_stride)
        with m.If(wrap.unit | self.start):
            m.d.sync += unit.eq(row.in_base + Mux(self.part & row.from_input, row.chunk_stride, 0))
        with m.If(self.step & ~row.planes):  # all groups of planes lie in the same word
            m.d.sync += [
                lane.eq(lane + row.lane_stride),
                lane_row.eq(next_modulo(lane_row, streams)),
            ]
        with m.If(wrap.lane | self.start):
            m.d.sync += [lane.eq(0), lane_row.eq(0)]

        word, words_left, word_row = self._words(m)
        columns_left = self._columns(m)
        line, y, y_row, lines_left = self._lines(m)

        # ``*_left`` counts what the kernel or position still has, less one.
        for r in range(geometry.rows):
            i, j = divmod(r, taps)
            with m.Switch(row.unroll):
                for unroll, lines, columns, words in (
                    (Unroll.KERNEL, i, j, 0),
                    (Unroll.LINES, i, 0, j),
                    (Unroll.WORDS, 0, 0, r),
                ):
                    with m.Case(unroll):
                        m.d.comb += [
                            self.window.active[r].eq(
                                (lines_left >= lines)
                                & (columns_left >= columns)
                                & (words_left >= words)
                            ),
                            self.window.tails[r].eq(words_left == words),
                        ]

        # Move 1: sums of two.
        by_words = Signal()
        m.d.comb += by_words.eq(row.unroll == Unroll.WORDS)
        line_unit = Signal(self.address)
        word_lane = Signal(self.address)
        word_lane_row = Signal(range(streams))
        y_1 = Signal(y.shape())
        y_row_1 = Signal(range(streams))
        with m.If(self.move):
            m.d.sync += [
                line_unit.eq(line + unit),
                word_lane.eq(word + lane),
                word_lane_row.eq(add_modulo(word_row, lane_row, streams)),
                y_1.eq(y),
                y_row_1.eq(y_row),
            ]

        # Move 2: the lines of the window, then of the bank rows.
        base = Signal(self.address)
        row_0 = Signal(range(streams))
        further = []
        m.d.comb += [
            base.eq(line_unit + word_lane),
            row_0.eq(add_modulo(y_row_1, word_lane_row, streams)),
        ]
        lines_2 = [Signal(self.address, name=f"line_{i}") for i in range(streams)]
        row_2 = Signal(range(streams))
        for i in range(streams):
            further = Signal(self.address, name=f"further_{i}")
            carry = Mux(y_row_1 + i >= streams, row.line_stride, 0)
            with m.If(self.move):
                m.d.sync += [
                    further.eq(Mux(by_words, (i * taps * row.word_stride)[: self.address], carry)),
                    self.inside[i].eq(
                        (y_1 + Mux(by_words, 0, i) >= 0)
                        & (y_1 + Mux(by_words, 0, i) <= row.row_last)
                    ),
                ]
            m.d.comb += lines_2[i].eq(further)
        base_2 = Signal(self.address)
        with m.If(self.move):
            m.d.sync += [base_2.eq(base), row_2.eq(row_0)]
        by_bank = rotate([base_2 + line for line in lines_2], row_2, back=True)
        m.d.comb += [self.lines[b].eq(by_bank[b]) for b in range(streams)]
        m.d.comb += self.line_row.eq(row_2)
        return m

    def _words(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Channel words: the first one's address, how many follow, what it adds to the bank row."""
        geometry, row, wrap = self.geometry, self.row, self.wrap
        streams, taps = geometry.streams, geometry.taps
        word = Signal(self.address)
        left = Signal(SIZE_BITS)
        bank_row = Signal(range(streams))
        column = self.word_column
        with m.If(wrap.unit):
            m.d.sync += word.eq(word + row.cw_step)
            with m.Switch(row.unroll):
                with m.Case(Unroll.KERNEL):
                    m.d.sync += [left.eq(left - 1), column.eq(next_modulo(column, taps))]
                    with m.If(column == taps - 1):
                        m.d.sync += bank_row.eq(next_modulo(bank_row, streams))
                with m.Case(Unroll.LINES):
                    m.d.sync += left.eq(left - taps)
                    m.d.sync += bank_row.eq(next_modulo(bank_row, streams))
                with m.Case(Unroll.WORDS):  # as many words as banks: in the same bank again
                    m.d.sync += left.eq(left - geometry.rows)
        with m.If(wrap.cw | self.start):
            m.d.sync += [word.eq(0), left.eq(row.word_last), bank_row.eq(0), column.eq(0)]
        return word, left, bank_row

    def _columns(self, m: Module) -> Signal:
        """Kernel columns: the first position of a line; how many follow the first column."""
        row, wrap, taps = self.row, self.wrap, self.geometry.taps
        left = Signal(SIZE_BITS)
        with m.If(wrap.cw):
            with m.If(row.unroll == Unroll.KERNEL):
                m.d.sync += [
                    left.eq(left - taps),
                    self.x.eq(self.x + taps),
                    self.slot.eq(self.slot + 1),
                ]
            with m.Else():
                m.d.sync += [
                    left.eq(left - 1),
                    self.x.eq(self.x + 1),
                    self.column.eq(next_modulo(self.column, taps)),
                    self.slot.eq(self.slot + (self.column == taps - 1)),
                ]
        with m.If(wrap.kx | self.start):
            m.d.sync += [
                left.eq(row.kernel_column_last),
                self.x.eq(row.start_x.as_signed()),
                self.slot.eq(row.start_slot),
                self.column.eq(row.start_column),
            ]
        return left

    def _lines(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """Lines: the window's first one, by output line and kernel line; how many follow it.

        A line has the address of its group, its number y, and its number modulo streams.
        ``top_*`` are those of the first output line for this kernel line.
        """
        row, wrap = self.row, self.wrap
        streams = self.geometry.streams
        modulo = range(streams)
        y = Signal(signed(SIZE_BITS + 2))
        y_row = Signal(modulo)
        line = Signal(self.address)
        top_y = Signal(signed(SIZE_BITS + 2))
        top_row = Signal(modulo)
        top_line = Signal(self.address)
        left = Signal(SIZE_BITS)

        with m.If(wrap.lane):
            carry = y_row + row.step_row >= streams
            m.d.sync += [
                y.eq(y + row.stride),
                y_row.eq(add_modulo(y_row, row.step_row, streams)),
                line.eq(line + row.step_line + Mux(carry, row.line_stride, 0)),
            ]
        with m.If(wrap.map_row):
            m.d.sync += [y.eq(top_y), y_row.eq(top_row), line.eq(top_line)]

        # The next kernel line, or ``streams`` of them: then only the line group changes.
        by_words = row.unroll == Unroll.WORDS
        next_y = Signal(signed(SIZE_BITS + 2))
        following = Signal(modulo)
        next_line = Signal(self.address)
        carried = ~by_words | (top_row == streams - 1)
        m.d.comb += [
            next_y.eq(top_y + Mux(by_words, 1, streams)),
            following.eq(Mux(by_words, next_modulo(top_row, streams), top_row)),
            next_line.eq(top_line + Mux(carried, row.line_stride, 0)),
        ]
        with m.If(wrap.kx):
            m.d.sync += [
                left.eq(left - Mux(by_words, 1, streams)),
                *(signal.eq(next_y) for signal in (y, top_y)),
                *(signal.eq(following) for signal in (y_row, top_row)),
                *(signal.eq(next_line) for signal in (line, top_line)),
            ]
        with m.If(wrap.ky | self.start):
            m.d.sync += [
                left.eq(row.kernel_row_last),
                *(signal.eq(row.start_y.as_signed()) for signal in (y, top_y)),
                *(signal.eq(row.start_row) for signal in (y_row, top_row)),
                *(signal.eq(row.start_line) for signal in (line, top_line)),
            ]
        return line, y, y_row, left
