# SPDX-License-Identifier: Apache-2.0
"""Codes of one position leave the hops one after another; here they meet."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import code_layout

__all__ = ["Deskew"]


class Deskew(wiring.Component):
    """Delays hop h's codes by ``hops - h`` cycles, so that a position's codes meet.

    The last hop's too, for what takes them may lie far away.

    Members
    -------
    codes : In(code_layout), one a column and pixel stream
        Codes as the feet give them; index ``column * pixels + pixel``.
    valids : In(columns)
        Only the last column's counts: the others' codes came before.
    o, o_valid : Out
        All columns' codes of one position.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        codes = data.ArrayLayout(code_layout(geometry), geometry.columns * geometry.pixels)
        super().__init__(
            {
                "codes": In(codes),
                "valids": In(geometry.columns),
                "o": Out(codes),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        for index in range(geometry.columns * geometry.pixels):
            code = self.codes[index]
            hop = index // (geometry.columns_per_hop * geometry.pixels)
            for step in range(geometry.hops - hop):
                later = Signal(code_layout(geometry), name=f"code_{index}_{step}")
                m.d.sync += later.eq(code)
                code = later
            m.d.comb += self.o[index].eq(code)
        m.d.sync += self.o_valid.eq(self.valids[geometry.columns - 1])
        return m
