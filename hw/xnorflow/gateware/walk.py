# SPDX-License-Identifier: Apache-2.0
"""The walk over the input map: where the window of a line's positions lies."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Unroll
from xnorflow.gateware.banks import rotate
from xnorflow.gateware.layouts import pass_layout, row_layout, x_shape, y_shape
from xnorflow.gateware.loops import LOOPS
from xnorflow.gateware.modulo import add_modulo, next_modulo

__all__ = ["InputWalk"]


class InputWalk(wiring.Component):
    """Follows the loops by additions alone: every loop has an offset that grows by its stride.

    Members
    -------
    row, part : In
        The row, and which part of the input it reads; they hold from two cycles before the row on.
    step, wrap : In
        The innermost loop moves on; which loops wrap with it (:class:`LoopCounters`). In the cycle
        before a row's first step all wrap, without a step.
    x, slot, column, word_column : Out
        The line's first position, its slot and its place there; what the channel word adds to
        the bank column. In time.
    window : Out(pass_layout)
        The pass's window, ``WINDOW_CYCLES`` later.
    lines, line_row, inside : Out
        Address of each bank row's line, for slot 0; the bank row of the window's first line;
        whether each line of the window is inside the map. ``LINES_CYCLES`` later.
    """

    WINDOW_CYCLES = 2
    LINES_CYCLES = 4

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.address = address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "row": In(row_layout(geometry)),
                "part": In(1),
                "step": In(1),
                "wrap": In(data.StructLayout(dict.fromkeys(LOOPS, 1))),
                "x": Out(x_shape(geometry)),
                "slot": Out(address),
                "column": Out(ceil_log2(geometry.taps)),
                "word_column": Out(ceil_log2(geometry.taps)),
                "window": Out(pass_layout(geometry)),
                "lines": Out(data.ArrayLayout(address, geometry.streams)),
                "line_row": Out(ceil_log2(geometry.streams)),
                "inside": Out(geometry.streams),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, wrap = self.row, self.wrap
        streams = self.geometry.streams

        # What the row says, from registers.
        by_words, by_kernel = Signal(), Signal()
        m.d.sync += [
            by_words.eq(row.unroll == Unroll.WORDS),
            by_kernel.eq(row.unroll == Unroll.KERNEL),
        ]

        # Units and lanes.
        base, unit = Signal(self.address), Signal(self.address)
        lane = Signal(self.address)
        lane_row = Signal(range(streams))
        m.d.sync += base.eq(row.in_base + Mux(self.part & row.from_input, row.chunk_stride, 0))
        with m.If(wrap.map_row):
            m.d.sync += unit.eq(unit + row.image_stride)
        with m.If(wrap.unit):
            m.d.sync += unit.eq(base)
        with m.If(self.step & ~row.planes):  # all groups of planes lie in the same word
            m.d.sync += [
                lane.eq(lane + row.lane_stride),
                lane_row.eq(next_modulo(lane_row, streams)),
            ]
        with m.If(wrap.lane):
            m.d.sync += [lane.eq(0), lane_row.eq(0)]

        word, words_left, word_row = self._words(m, by_kernel, by_words)
        columns_left = self._columns(m, by_kernel)
        line, y, y_row, lines_left = self._lines(m, by_words)

        self._window(m, by_kernel, by_words, lines_left, columns_left, words_left)

        # Cycle 1: sums of two.
        line_unit, word_lane = Signal(self.address), Signal(self.address)
        word_lane_row, y_row_1 = Signal(range(streams)), Signal(range(streams))
        y_1 = Signal(y.shape())
        m.d.sync += [
            line_unit.eq(line + unit),
            word_lane.eq(word + lane),
            word_lane_row.eq(add_modulo(word_row, lane_row, streams)),
            y_1.eq(y),
            y_row_1.eq(y_row),
        ]

        # Cycle 2: the window's first line, and how much further the others are.
        first = Signal(self.address)
        first_row, row_3 = Signal(range(streams)), Signal(range(streams))
        above, below, inside_3 = Signal(streams), Signal(streams), Signal(streams)
        m.d.sync += [
            first.eq(line_unit + word_lane),
            first_row.eq(add_modulo(y_row_1, word_lane_row, streams)),
            row_3.eq(first_row),
        ]
        lines = []
        for i in range(streams):
            further, line_i = (Signal(self.address, name=f"{name}_{i}") for name in ("far", "line"))
            words_further = Signal(self.address, name=f"words_far_{i}")
            lowest = Signal(y_shape(self.geometry), name=f"lowest_{i}")
            m.d.sync += [
                words_further.eq(_times(i * self.geometry.taps, row.word_stride)),
                lowest.eq(row.row_last - Mux(by_words, 0, i)),
                further.eq(
                    Mux(by_words, words_further, Mux(y_row_1 + i >= streams, row.line_stride, 0))
                ),
                above[i].eq(y_1 < -i),
                below[i].eq(y_1 > lowest),
                self.inside[i].eq(inside_3[i]),
                line_i.eq(first + further),
            ]
            lines.append(line_i)

        # Cycle 3 adds them; cycle 4: from lines to bank rows.
        m.d.sync += [
            inside_3.eq(~Mux(by_words, above[0].replicate(streams), above) & ~below),
            self.line_row.eq(row_3),
        ]
        m.d.sync += [
            self.lines[b].eq(line) for b, line in enumerate(rotate(lines, row_3, back=True))
        ]
        return m

    def _window(
        self,
        m: Module,
        by_kernel: Signal,
        by_words: Signal,
        lines: Signal,
        columns: Signal,
        words: Signal,
    ) -> None:
        """Which words of the window exist: each count is what the kernel or position still has."""
        geometry, row = self.geometry, self.row
        m.d.comb += [
            self.window.tail.eq(row.tail),
            self.window.planes.eq(row.planes),
            self.window.border.eq(row.border_enable),
            self.window.fill.eq(row.border_bits),
        ]
        # Cycle 1 cuts the counts: a window has less than so many words.
        bits = bits_for(geometry.rows)
        few = []
        for count in (lines, columns, words):
            cut = Signal(bits + 1)
            m.d.sync += cut.eq(Cat(count[:bits], count[bits:].any()))
            few.append(cut)
        for r in range(geometry.rows):
            i, j = divmod(r, geometry.taps)
            exists, last = [], []
            for at in ((i, j, 0), (i, 0, j), (0, 0, r)):  # by kernel, by lines, by words
                exists.append(Cat(n >= least for n, least in zip(few, at, strict=True)).all())
                last.append(few[2] == at[2])
            for flag, choices in ((self.window.active[r], exists), (self.window.tails[r], last)):
                m.d.sync += flag.eq(
                    Mux(by_kernel, choices[0], Mux(by_words, choices[2], choices[1]))
                )

    def _words(
        self, m: Module, by_kernel: Signal, by_words: Signal
    ) -> tuple[Signal, Signal, Signal]:
        """Channel words: the first one's address, how many follow, what it adds to the bank row."""
        geometry, row, wrap = self.geometry, self.row, self.wrap
        streams, taps = geometry.streams, geometry.taps
        word = Signal(self.address)
        left = Signal(len(row.word_last))
        bank_row = Signal(range(streams))
        column = self.word_column
        with m.If(wrap.unit):
            m.d.sync += word.eq(word + row.cw_step)
            with m.If(by_kernel):
                m.d.sync += [left.eq(left - 1), column.eq(next_modulo(column, taps))]
                with m.If(column == taps - 1):
                    m.d.sync += bank_row.eq(next_modulo(bank_row, streams))
            with m.Elif(by_words):  # as many words as banks: in the same bank again
                m.d.sync += left.eq(left - geometry.rows)
            with m.Else():
                m.d.sync += [left.eq(left - taps), bank_row.eq(next_modulo(bank_row, streams))]
        with m.If(wrap.cw):
            m.d.sync += [word.eq(0), left.eq(row.word_last), bank_row.eq(0), column.eq(0)]
        return word, left, bank_row

    def _columns(self, m: Module, by_kernel: Signal) -> Signal:
        """Kernel columns: the first position of a line; how many follow the first column."""
        row, wrap, taps = self.row, self.wrap, self.geometry.taps
        left = Signal(len(row.kernel_column_last))
        with m.If(wrap.cw):
            with m.If(by_kernel):
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
        with m.If(wrap.kx):
            m.d.sync += [
                left.eq(row.kernel_column_last),
                self.x.eq(row.start_x.as_signed()),
                self.slot.eq(row.start_slot),
                self.column.eq(row.start_column),
            ]
        return left

    def _lines(self, m: Module, by_words: Signal) -> tuple[Signal, Signal, Signal, Signal]:
        """Lines: the window's first one, by output line and kernel line; how many follow it.

        A line has the address of its group, its number y, and its number modulo streams.
        ``top_*`` are those of the first output line for this kernel line.
        """
        row, wrap = self.row, self.wrap
        streams = self.geometry.streams
        modulo = range(streams)
        y = Signal(y_shape(self.geometry))
        y_row = Signal(modulo)
        line = Signal(self.address)
        top_y = Signal(y_shape(self.geometry))
        top_row = Signal(modulo)
        top_line = Signal(self.address)
        left = Signal(len(row.kernel_row_last))

        # A step of lines, and one that carries into the next group of them.
        step, step_carried = Signal(self.address), Signal(self.address)
        m.d.sync += [step.eq(row.step_line), step_carried.eq(row.step_line + row.line_stride)]
        with m.If(wrap.lane):
            carry = y_row + row.step_row >= streams
            m.d.sync += [
                y.eq(y + row.stride),
                y_row.eq(add_modulo(y_row, row.step_row, streams)),
                line.eq(Mux(carry, line + step_carried, line + step)),
            ]
        with m.If(wrap.map_row):
            m.d.sync += [y.eq(top_y), y_row.eq(top_row), line.eq(top_line)]

        # The next kernel line, or ``streams`` of them: then only the line group changes. A pass
        # has more than one segment, so there is a cycle for a register.
        next_y = Signal(y_shape(self.geometry))
        following = Signal(modulo)
        next_line = Signal(self.address)
        next_left = Signal(len(row.kernel_row_last))
        carried = ~by_words | (top_row == streams - 1)
        m.d.sync += [
            next_y.eq(top_y + Mux(by_words, 1, streams)),
            following.eq(Mux(by_words, next_modulo(top_row, streams), top_row)),
            next_line.eq(top_line + Mux(carried, row.line_stride, 0)),
            next_left.eq(left - Mux(by_words, 1, streams)),
        ]
        with m.If(wrap.kx):
            m.d.sync += [
                left.eq(next_left),
                *(signal.eq(next_y) for signal in (y, top_y)),
                *(signal.eq(following) for signal in (y_row, top_row)),
                *(signal.eq(next_line) for signal in (line, top_line)),
            ]
        with m.If(wrap.ky):
            m.d.sync += [
                left.eq(row.kernel_row_last),
                *(signal.eq(row.start_y.as_signed()) for signal in (y, top_y)),
                *(signal.eq(row.start_row) for signal in (y_row, top_row)),
                *(signal.eq(row.start_line) for signal in (line, top_line)),
            ]
        return line, y, y_row, left


def _times(factor: int, value: Value) -> Value:
    """The product by additions: synthesis would take a DSP block, far away and slow."""
    shifts = [at for at in range(factor.bit_length()) if factor >> at & 1]
    return sum((value << at for at in shifts), Const(0, 0))
