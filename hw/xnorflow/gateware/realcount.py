# SPDX-License-Identifier: Apache-2.0
"""How many real inputs a sum counts: the n of acc = n - 2 * mismatches."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.element import ProcessingElement
from xnorflow.gateware.layouts import load_layout

__all__ = ["RealCount"]


class RealCount(wiring.Component):
    """One more column that counts channels instead of mismatches.

    Every row adds the channels of its word where the word counts; the sum falls exactly like the
    array's sums, so each output position gets its own n, whatever the border masks.

    Members
    -------
    masks : In(streams)
        Skewed masks, as the array sees them.
    load : In(load_layout)
        As the array sees it, one cycle ahead of the words.
    tails : In(streams)
        With ``load``: the stream's words are positions' last words in this pass.
    tail : In(7)
        Channels in a last word; constant in a layer.
    n : Out(sum_width)
        Real inputs, in the same cycle as column 0's sum.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "masks": In(geometry.streams),
                "load": In(load_layout(geometry)),
                "tails": In(geometry.streams),
                "tail": In(7),
                "n": Out(geometry.sum_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        taps = Signal(geometry.taps)
        tails = Signal(geometry.streams)
        with m.If(self.load.valid):
            m.d.sync += [taps.eq(self.load.taps), tails.eq(self.tails)]

        falling = 0
        for row in range(geometry.rows):
            stream, tap = divmod(row, geometry.taps)
            channels = Mux(tails[stream], self.tail, geometry.word_width)
            below = Signal(geometry.sum_width, name=f"n_{row}")
            m.d.sync += below.eq(falling + Mux(self.masks[stream] & taps[tap], channels, 0))
            falling = below
        for cycle in range(ProcessingElement.popcount_cycles(geometry)):
            later = Signal(geometry.sum_width, name=f"n_later_{cycle}")
            m.d.sync += later.eq(falling)
            falling = later
        m.d.comb += self.n.eq(falling)
        return m
