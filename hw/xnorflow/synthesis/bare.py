# SPDX-License-Identifier: Apache-2.0
"""The array alone, with its weight banks: what place and route can do at best."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.array import RowSkew, SystolicArray, record_layout
from xnorflow.gateware.banks import window_layout
from xnorflow.gateware.layouts import bus_layout, load_layout

__all__ = ["BareArray"]


class BareArray(wiring.Component):
    """:class:`RowSkew` and :class:`SystolicArray` without what feeds them and uses their sums.

    A bound for the whole accelerator, not a design to use. Its sums are registered once more.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        lanes = geometry.columns * geometry.pixels
        super().__init__(
            {
                "words": In(window_layout(geometry)),
                "masks": In(geometry.rows),
                "shift": In(1),
                "double": In(1),
                "load": In(load_layout(geometry)),
                "bus": In(bus_layout(geometry)),
                "records": In(data.ArrayLayout(record_layout(geometry), geometry.hops)),
                "sums": Out(data.ArrayLayout(geometry.sum_width(), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skew = skew = RowSkew(self.geometry)
        m.submodules.array = array = SystolicArray(self.geometry)
        m.d.sync += [
            skew.words.eq(self.words),
            skew.masks.eq(self.masks),
            skew.shift.eq(self.shift),
            array.double.eq(self.double),
            array.load.eq(self.load),
            array.bus.eq(self.bus),
            array.records.eq(self.records),
            self.sums.eq(array.sums),
        ]
        m.d.comb += [
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.shifts.eq(skew.skewed_shifts),
        ]
        return m
