# SPDX-License-Identifier: Apache-2.0
"""The loops of a layer: nested counters, and which of them wrap."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout

__all__ = ["LOOPS", "LoopCounters"]

LOOPS = (
    "repeat", "map_row", "image", "lane", "cw", "kx", "ky", "plane", "tile", "group",
)  # fmt: skip
"""Innermost first."""


class LoopCounters(wiring.Component):
    """One counter a loop; a loop steps when the one inside it wraps.

    Members
    -------
    start : In(1)
        A layer begins. Counters are at 0 then, as after every whole layer.
    step : In(1)
        The innermost loop moves on.
    row : In(row_layout)
    images : In(16)
        Images in the block.
    last : Out
        A bit for each loop: it is in its last round.
    wrap : Out
        A bit for each loop: with this step it and all loops inside it begin again.
    first, final : Out(1)
        An accumulator's first lane of the first pass; the last lane of the last pass.
    repeat, lane, tile : Out
        The rounds that others need.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        bits = data.StructLayout(dict.fromkeys(LOOPS, 1))
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "row": In(row_layout(geometry)),
                "images": In(16),
                "last": Out(bits),
                "wrap": Out(bits),
                "first": Out(1),
                "final": Out(1),
                "repeat": Out(4),
                "lane": Out(3),
                "tile": Out(ceil_log2(geometry.threshold_depth)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, last, wrap = self.row, self.last, self.wrap
        map_row = Signal(SIZE_BITS)
        image = Signal(16)
        cw = Signal(SIZE_BITS)
        kx = Signal(SIZE_BITS)
        ky = Signal(SIZE_BITS)
        plane = Signal(3)

        # The images of a block run in groups of at most row.group.
        remaining = Signal(16)  # in this group and those after it
        group = Signal(16)
        m.d.comb += group.eq(Mux(row.group < remaining, row.group, remaining))
        with m.If(wrap.tile):
            m.d.sync += remaining.eq(remaining - group)
        with m.If(self.start):
            m.d.sync += remaining.eq(self.images)

        last_pass = last.cw & last.kx & last.ky & last.plane
        first_pass = (cw == 0) & (kx == 0) & (ky == 0) & (plane == 0)
        m.d.comb += [
            self.final.eq(last_pass & last.lane),
            self.first.eq(first_pass & (self.lane == 0)),
            last.repeat.eq(self.repeat == Mux(self.final, row.repeat_last, 0)),
            last.map_row.eq(map_row == row.map_row_last),
            last.image.eq(row.flat | (image == group - 1)),
            last.lane.eq(self.lane == row.lane_last),
            last.cw.eq(cw == row.cw_last),
            last.kx.eq(kx == row.kx_last),
            last.ky.eq(ky == row.ky_last),
            last.plane.eq(plane == row.plane_last),
            last.tile.eq(self.tile == row.tile_last),
            last.group.eq(row.flat | (group == remaining)),
        ]
        counters = {
            "repeat": self.repeat,
            "map_row": map_row,
            "image": image,
            "lane": self.lane,
            "cw": cw,
            "kx": kx,
            "ky": ky,
            "plane": plane,
            "tile": self.tile,
        }
        step = self.step
        for loop in LOOPS:
            m.d.comb += wrap[loop].eq(step & last[loop])
            if loop in counters:
                with m.If(step):
                    m.d.sync += counters[loop].eq(Mux(last[loop], 0, counters[loop] + 1))
            step = wrap[loop]
        return m
