# SPDX-License-Identifier: Apache-2.0
"""Max-pooling on codes, all columns side by side."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import code_layout

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Maximum of each window of codes; minimum in channels with ``pool_min``.

    A window's codes of one row come one after another (other windows' rows in between, if at all,
    only from row to row), so a register holds the row's maximum and a memory the window's.

    Members
    -------
    codes : In(code_layout), one a column
    valid : In(1)
        ``codes`` is a result; the flags say where it lies in its window.
    first_x, last_x, first_y, last_y : In(1)
        First or last position of the window's row, first or last row of the window.
    window : In
        The window's place in its row.
    o : Out
        Codes, one a column.
    o_valid : Out(1)

    Timing
    ------
    One result a cycle; a window's codes come ``latency_cycles`` after its last result.
    """

    latency_cycles = 2

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        columns, lanes = geometry.columns, geometry.max_lanes
        super().__init__(
            {
                "codes": In(data.ArrayLayout(code_layout(geometry), columns)),
                "valid": In(1),
                "first_x": In(1),
                "last_x": In(1),
                "first_y": In(1),
                "last_y": In(1),
                "window": In(ceil_log2(geometry.pool_depth)),
                "o": Out(data.ArrayLayout(lanes, columns)),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns, lanes = range(self.geometry.columns), self.geometry.max_lanes

        def flipped(code: Signal, pool_min: Signal) -> Signal:
            """The complement where the minimum is wanted: max of it is min of the code."""
            return code ^ pool_min.replicate(lanes)

        # Cycle 1: maximum of the window's row; read what its earlier rows gave.
        m.submodules.lines = memory = Memory(
            shape=data.ArrayLayout(lanes, len(columns)),
            depth=self.geometry.pool_depth,
            init=[],
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [read.addr.eq(self.window), read.en.eq(1)]
        row = Signal(data.ArrayLayout(lanes, len(columns)))
        direction = Signal(len(columns))
        finished = Signal()
        first_y = Signal()
        last_y = Signal()
        window = Signal(len(self.window))
        m.d.sync += [
            finished.eq(self.valid & self.last_x),
            first_y.eq(self.first_y),
            last_y.eq(self.last_y),
            window.eq(self.window),
        ]
        with m.If(self.valid):
            for c in columns:
                code = flipped(self.codes[c].code, self.codes[c].pool_min)
                keep = ~self.first_x & (row[c] > code)
                m.d.sync += [row[c].eq(Mux(keep, row[c], code))]
                m.d.sync += direction[c].eq(self.codes[c].pool_min)

        # Cycle 2: maximum with the earlier rows.
        total = Signal(data.ArrayLayout(lanes, len(columns)))
        for c in columns:
            earlier = ~first_y & (read.data[c] > row[c])
            m.d.comb += total[c].eq(Mux(earlier, read.data[c], row[c]))
            m.d.sync += self.o[c].eq(flipped(total[c], direction[c]))
        m.d.comb += [
            write.addr.eq(window),
            write.data.eq(total),
            write.en.eq(finished & ~last_y),
        ]
        m.d.sync += self.o_valid.eq(finished & last_y)
        return m
