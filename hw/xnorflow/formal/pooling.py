# SPDX-License-Identifier: Apache-2.0
"""The pool: a window's result is the maximum, or minimum, of its codes."""

from __future__ import annotations

from amaranth import Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.pool import Pool

__all__ = ["PROOFS", "PoolProof"]


class PoolProof(wiring.Component):
    """A map of any codes, position by position with any pauses or none; one window of it, any.

    Parameters
    ----------
    geometry : Geometry
        Its first column is looked at.
    side, stride : int
        Of the windows; windows share a border where ``stride`` is ``side - 1``.
    windows, lines : int
        Windows in a line, and lines of them.
    """

    def __init__(
        self, geometry: Geometry, *, side: int, stride: int, windows: int, lines: int
    ) -> None:
        if (windows - 1) * stride + side < Pool.line_cycles:
            raise ValueError("lines must be as long as the pool needs from one to the next")
        self.geometry = geometry
        self.side = side
        self.stride = stride
        self.windows = windows
        self.lines = lines
        super().__init__(
            {
                "code": In(geometry.max_lanes),
                "pool_min": In(1),
                "valid": In(1),
                "column": In(range(windows + 1)),
                "line": In(range(lines + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        side, stride, windows, lines = self.side, self.stride, self.windows, self.lines
        m.submodules.pool = pool = Pool(self.geometry)
        width, height = ((count - 1) * stride + side for count in (windows, lines))
        x, y = Signal(range(width + 1)), Signal(range(height + 1))
        # Constants that the solver chooses.
        column, line, pool_min, begun = (
            Signal.like(self.column), Signal.like(self.line), Signal(), Signal(),
        )  # fmt: skip
        m.d.sync += [
            column.eq(self.column), line.eq(self.line), pool_min.eq(self.pool_min), begun.eq(1),
        ]  # fmt: skip
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume((self.column < windows) & (self.line < lines)),
        ]
        with m.If(begun):
            m.d.comb += Assume(
                (self.column == column) & (self.line == line) & (self.pool_min == pool_min)
            )

        # The positions of the map, in their order.
        flags = {}
        for name, at, count in (("x", x, windows), ("y", y, lines)):
            first, last = (Signal(name=f"{which}_{name}") for which in ("first", "last"))
            starts = [at == each * stride for each in range(count)]
            if stride < side:  # what ended a window began the next one
                starts = starts[:1]
            first_value, last_value = 0, 0
            for each in starts:
                first_value = first_value | each
            for each in range(count):
                last_value = last_value | (at == each * stride + side - 1)
            m.d.comb += [first.eq(first_value), last.eq(last_value)]
            flags[name] = (first, last)
        window = Signal(range(windows + 1))  # that is not complete before this position
        with m.Switch(x):
            for at in range(width):
                with m.Case(at):
                    m.d.comb += window.eq(max(0, -(-(at - side + 1) // stride)))
        with m.If(self.valid):
            m.d.comb += Assume(y < height)
            m.d.sync += x.eq(x + 1)
            with m.If(x == width - 1):
                m.d.sync += [x.eq(0), y.eq(y + 1)]
        m.d.comb += [
            pool.codes[0].code.eq(self.code),
            pool.codes[0].pool_min.eq(self.pool_min),
            pool.valid.eq(self.valid),
            pool.first_x.eq(flags["x"][0]),
            pool.last_x.eq(flags["x"][1]),
            pool.first_y.eq(flags["y"][0]),
            pool.last_y.eq(flags["y"][1]),
            pool.window.eq(window),
        ]

        # The chosen window, code by code.
        best, some = Signal(self.geometry.max_lanes), Signal()
        left, top = self.column * stride, self.line * stride
        belongs = Signal()
        m.d.comb += belongs.eq(
            self.valid & (x >= left) & (x < left + side) & (y >= top) & (y < top + side)
        )
        better = Mux(self.pool_min, self.code < best, self.code > best)
        with m.If(belongs):
            m.d.sync += some.eq(1)
            with m.If(~some | better):
                m.d.sync += best.eq(self.code)

        # Results come in order; the chosen one is so much later.
        came = Signal(range(windows * lines + 1))
        done = Signal(Pool.latency_cycles + 1)
        corner = belongs & (x == left + side - 1) & (y == top + side - 1)
        m.d.sync += done.eq((done << 1) | corner)
        number = self.line * windows + self.column
        with m.If(pool.o_valid):
            m.d.sync += came.eq(came + 1)
            m.d.comb += Assert((came == number) == done[Pool.latency_cycles - 1])
        with m.If(done[Pool.latency_cycles - 1]):
            m.d.comb += [Assert(pool.o_valid), Assert(pool.o[0] == best)]
        return m


def _proof(side: int, stride: int, windows: int, lines: int, depth: int, fault: Edit) -> Proof:
    geometry = Geometry.parse("2x1x2x8,max_lanes=2,accumulator_width=12,pool_depth=2")
    return Proof(
        f"pool-{side}-by-{stride}-{windows}x{lines}",
        "a window's code is the highest of its codes, or the lowest; each comes once, in order",
        lambda: PoolProof(geometry, side=side, stride=stride, windows=windows, lines=lines),
        depth=depth,
        bounded=True,
        fault=fault,
        fault_depth=depth,
    )


_GOES_ON = "goes_on.eq(~self.first_x & ~self.last_x)"

PROOFS = [
    _proof(2, 2, 2, 2, 20, Edit("gateware.pool", "highest(line[i], earlier[i], ~first_y)",
                                "highest(line[i], earlier[i], first_y)")),
    # Windows that share a border, side by side and one above the other.
    _proof(3, 2, 2, 1, 19, Edit("gateware.pool", _GOES_ON, "goes_on.eq(~self.first_x)")),
    _proof(3, 2, 1, 2, 19, Edit("gateware.pool", "kept = Mux(last_y, line[i], total)",
                                "kept = total")),
]  # fmt: skip
