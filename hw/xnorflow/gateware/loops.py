# SPDX-License-Identifier: Apache-2.0
"""The loops of a row: nested counters, and which of them wrap."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import row_layout

__all__ = ["LOOPS", "LoopCounters"]

LOOPS = ("lane", "map_row", "unit", "cw", "kx", "ky", "plane", "tile")
"""Innermost first."""


class LoopCounters(wiring.Component):
    """One counter a loop; a loop steps when the one inside it wraps.

    Members
    -------
    start : In(1)
        A row begins.
    step : In(1)
        The innermost loop moves on.
    row : In(row_layout)
    units : In(16)
        Units that the row runs for.
    last : Out
        A bit for each loop: it is in its last round.
    wrap : Out
        A bit for each loop: with this step it and all loops inside it begin again.
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
                "units": In(16),
                "last": Out(bits),
                "wrap": Out(bits),
                "first": Out(1),
                "final": Out(1),
                "lane": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, last, wrap = self.row, self.last, self.wrap
        units_last = Signal(16)
        m.d.comb += units_last.eq(self.units - 1)
        limits = {
            "lane": row.lane_last,
            "map_row": Mux(row.flat, 0, row.map_row_last),
            "unit": Mux(row.flat, 0, units_last),
            "cw": row.cw_last,
            "kx": row.kx_last,
            "ky": row.ky_last,
            "plane": row.plane_last,
            "tile": row.tile_last,
        }

        # Rounds that are left, counted down; ``last`` is a register, so that wrapping is quick.
        step = self.step
        for loop in LOOPS:
            left = Signal(limits[loop].shape(), name=f"left_{loop}")
            limit = Signal(limits[loop].shape(), name=f"limit_{loop}")
            m.d.comb += [wrap[loop].eq(step & last[loop]), limit.eq(limits[loop])]
            with m.If(self.start | wrap[loop]):
                m.d.sync += [left.eq(limit), last[loop].eq(limit == 0)]
            with m.Elif(step):
                m.d.sync += [left.eq(left - 1), last[loop].eq(left == 1)]
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
