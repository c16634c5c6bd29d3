# SPDX-License-Identifier: Apache-2.0
"""Max-pooling on codes, all columns side by side."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import code_layout
from xnorflow.gateware.memory import BlockMemory

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Maximum of each window of codes; minimum in channels with ``pool_min``.

    Lines come one after another, each window's positions side by side: a register holds the
    maximum of a window's line, a memory that of its lines so far. Windows may share their border:
    a position is then the last of one window and the first of the next, and so is a line.

    Members
    -------
    codes : In(code_layout), one a column and pixel stream
        A column's direction is that of its first pixel stream.
    valid : In(1)
        ``codes`` is a position; the flags say where it lies in its window.
    first_x, last_x, first_y, last_y : In(1)
        First or last position of the window's line, first or last line of the window. Where
        windows share positions or lines, ``first`` is low: what was last began the next window.
    window : In
        The window's place in its line.
    o : Out
        Codes, one a column and pixel stream. They stay until the next window's.
    coming, o_valid : Out(1)
        ``o`` is new in the next cycle, in this one.

    Timing
    ------
    One position a cycle; a window's codes come ``latency_cycles`` after its last position. The
    last positions of a window's lines must be at least ``line_cycles`` apart.
    """

    latency_cycles = 1 + BlockMemory.latency_cycles
    line_cycles = latency_cycles

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        count, lanes = geometry.columns * geometry.pixels, geometry.max_lanes
        super().__init__(
            {
                "codes": In(data.ArrayLayout(code_layout(geometry), count)),
                "valid": In(1),
                "first_x": In(1),
                "last_x": In(1),
                "first_y": In(1),
                "last_y": In(1),
                "window": In(ceil_log2(geometry.pool_depth)),
                "o": Out(data.ArrayLayout(lanes, count)),
                "coming": Out(1),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        pixels, lanes = geometry.pixels, geometry.max_lanes
        every = range(geometry.columns * pixels)
        codes = data.ArrayLayout(lanes, len(every))

        def flipped(code: Value, pool_min: Value) -> Value:
            """The complement where the minimum is wanted: max of it is min of the code."""
            return code ^ pool_min.replicate(lanes)

        def highest(code: Value, earlier: Value, gate: Value) -> Value:
            """The higher one; ``earlier`` counts where ``gate`` is 1."""
            earlier = earlier & gate.replicate(lanes)
            return code | earlier if lanes == 1 else Mux(code > earlier, code, earlier)

        m.submodules.lines = memory = BlockMemory(
            width=lanes * len(every), depth=geometry.pool_depth
        )
        m.d.comb += [memory.read_address.eq(self.window), memory.read_enable.eq(1)]

        # Cycle 1: maximum of the window's line, and of the next one's that begins with its last.
        line = Signal(codes, reset_less=True)
        running = Signal(codes, reset_less=True)
        direction = [
            Signal(geometry.columns, name=f"direction_{cycle}", reset_less=True) for cycle in (1, 2)
        ]
        goes_on = Signal()
        m.d.comb += goes_on.eq(~self.first_x & ~self.last_x)
        for i in every:
            column = i // pixels
            pool_min = self.codes[column * pixels].pool_min
            code = flipped(self.codes[i].code, pool_min)
            m.d.sync += [
                line[i].eq(highest(code, running[i], ~self.first_x)),
                direction[0][column].eq(pool_min),
            ]
            with m.If(self.valid):
                m.d.sync += running[i].eq(highest(code, running[i], goes_on))

        # Cycle 2: the memory reads what the window's earlier lines gave.
        finished, first_y, last_y, window = (self.valid & self.last_x, self.first_y, self.last_y,
                                             self.window)  # fmt: skip
        for cycle in range(BlockMemory.latency_cycles):
            now = [Signal(len(value), name=f"{name}_{cycle + 1}") for name, value in
                   (("finished", finished), ("first_y", first_y), ("last_y", last_y),
                    ("window", window))]  # fmt: skip
            values = (finished, first_y, last_y, window)
            m.d.sync += [later.eq(value) for later, value in zip(now, values, strict=True)]
            finished, first_y, last_y, window = now
        for _ in range(BlockMemory.latency_cycles - 1):
            later = Signal(codes, reset_less=True)
            m.d.sync += [later.eq(line), direction[1].eq(direction[0])]
            line = later

        # Cycle 3: maximum with the earlier lines. A window's last line may begin the next one's.
        earlier = Signal(codes)
        m.d.comb += [
            earlier.eq(memory.read_data),
            memory.write_enable.eq(finished),
            memory.write_address.eq(window),
        ]
        for i in every:
            total = highest(line[i], earlier[i], ~first_y)
            kept = Mux(last_y, line[i], total)
            m.d.comb += memory.write_data.word_select(i, lanes).eq(kept)
            with m.If(finished & last_y):
                m.d.sync += self.o[i].eq(flipped(total, direction[1][i // pixels]))
        m.d.comb += self.coming.eq(finished & last_y)
        m.d.sync += self.o_valid.eq(self.coming)
        return m
