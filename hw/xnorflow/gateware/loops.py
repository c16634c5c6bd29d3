# SPDX-License-Identifier: Apache-2.0
"""The loops of a row: nested counters, and which of them wrap."""

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import fixed, row_layout, units_shape

__all__ = ["LOOPS", "PASS_LOOPS", "LoopCounters"]

LOOPS = ("lane", "map_row", "unit", "cw", "kx", "ky", "plane", "tile")
"""Innermost first."""
PASS_LOOPS = LOOPS[:3]
"""Those inside a pass."""


class LoopCounters(wiring.Component):
    """One counter a loop; a loop steps when the one inside it wraps.

    Where a pass ends, the loops outside it follow in the next cycle, so that no path leads through
    all of them. There is no step in that cycle.

    Members
    -------
    start : In(1)
        A row begins.
    step : In(1)
        The innermost loop moves on; from the cycle after ``start`` on.
    row, units : In
        The row, and the units that it runs for; they hold from the cycle before ``start`` on.
    last : Out
        A bit for each loop: it is in its last round.
    wrap : Out
        A bit for each loop: with this step it and all loops inside it begin again; with the step
        before, outside ``PASS_LOOPS``.
    turn : Out(1)
        In the cycle before, a pass ended.
    first, final : Out(1)
        An accumulator's first lane of the first pass; the last lane of the last pass.
    lane : Out(3)
        The lane's number.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        bits = data.StructLayout(dict.fromkeys(LOOPS, 1))
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "row": In(row_layout(geometry)),
                "units": In(units_shape(geometry)),
                "last": Out(bits),
                "wrap": Out(bits),
                "turn": Out(1),
                "first": Out(1),
                "final": Out(1),
                "lane": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, last, wrap = self.row, self.last, self.wrap
        flat = fixed(self.geometry, "flat")

        def flat_or(limit: Value) -> Value:
            return Const(0, 0) if flat else Mux(row.flat, 0, limit) if len(limit) else limit

        limits = {
            "lane": row.lane_last,
            "map_row": flat_or(row.map_row_last),
            "unit": flat_or((self.units - 1)[: len(self.units)]),
            "cw": row.cw_last,
            "kx": row.kx_last,
            "ky": row.ky_last,
            "plane": row.plane_last,
            "tile": row.tile_last,
        }

        # Rounds that are left, counted down. ``last`` is a register, and so is what it begins with.
        step = self.step
        for loop in LOOPS:
            if len(limits[loop]) == 0:  # one round in all rows
                m.d.comb += [last[loop].eq(1), wrap[loop].eq(step)]
                if loop == PASS_LOOPS[-1]:
                    m.d.sync += self.turn.eq(step)
                    step = self.turn
                continue
            left = Signal(limits[loop].shape(), name=f"left_{loop}")
            limit = Signal(limits[loop].shape(), name=f"limit_{loop}")
            single = Signal(name=f"single_{loop}")
            m.d.comb += wrap[loop].eq(step & last[loop])
            alone = row.flat | (self.units == 1) if loop == "unit" else limits[loop] == 0
            m.d.sync += [limit.eq(limits[loop]), single.eq(alone)]
            with m.If(step):
                m.d.sync += [left.eq(left - 1), last[loop].eq(left == 1)]
            with m.If(self.start | wrap[loop]):
                m.d.sync += [left.eq(limit), last[loop].eq(single)]
            if loop == PASS_LOOPS[-1]:
                m.d.sync += self.turn.eq(wrap[loop])
                step = self.turn
            else:
                step = wrap[loop]

        with m.If(self.step):
            m.d.sync += self.lane.eq(Mux(last.lane, 0, self.lane + 1))
        first_pass = Signal()
        with m.If(wrap.unit):
            m.d.sync += first_pass.eq(0)
        with m.If(self.start | wrap.plane):
            m.d.sync += first_pass.eq(1)
        m.d.comb += [
            self.final.eq(last.cw & last.kx & last.ky & last.plane & last.lane),
            self.first.eq(first_pass & (self.lane == 0)),
        ]
        return m
