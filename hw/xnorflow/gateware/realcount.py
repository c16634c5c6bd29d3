# SPDX-License-Identifier: Apache-2.0
"""How many real inputs a sum counts: the n of acc = n - 2 * mismatches, negated."""

from amaranth import Array, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import PIXEL_BITS, Geometry
from xnorflow.gateware.delay import delayed
from xnorflow.gateware.layouts import pass_layout
from xnorflow.gateware.product import Product

__all__ = ["RealCount"]


class RealCount(wiring.Component):
    """Adds the channels of a beat's words that count.

        n = sum over rows of (tail if the word is a position's last, else word_width)

    A word outside the map whose bits are all 1 meets weights that are 0 beyond the tail; those
    bits, counted as mismatches, are made up for. In planes every plane counts with its weight.

    Members
    -------
    real, filled : In(rows)
        Of a beat (:class:`Fetch`).
    lane : In(3)
        Of the same beat.
    window : In(pass_layout)
        Of the beat's pass, in the same cycle.
    n : Out(signed)
        -n, ``latency_cycles`` later.
    """

    latency_cycles = 5 + Product.latency_cycles

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "real": In(geometry.rows),
                "filled": In(geometry.rows),
                "lane": In(3),
                "window": In(pass_layout(geometry)),
                "n": Out(self.shape(geometry)),
            }
        )

    @staticmethod
    def shape(geometry: Geometry) -> Shape:
        """Shape of -n: made-up channels can double what a sum reaches."""
        return signed(geometry.sum_width() + 2)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, window = self.geometry, self.window
        width, rows = geometry.word_width, geometry.rows

        def ones(bits: Signal) -> Signal:
            return sum(bits[r] for r in range(rows))

        # Cycle 1: which words; cycle 2: how many.
        rows_of = [Signal(rows, name=f"{name}_rows") for name in ("whole", "short", "made_up")]
        counts = [Signal(range(rows + 1), name=name) for name in ("whole", "short", "made_up")]
        m.d.sync += [
            rows_of[0].eq(self.real & ~window.tails),
            rows_of[1].eq(self.real & window.tails),
            rows_of[2].eq(Mux(window.planes, 0, self.filled & window.tails)),
            *(
                count.eq(sum(bits[r] for r in range(rows)))
                for count, bits in zip(counts, rows_of, strict=True)
            ),
        ]
        whole, short, made_up = counts
        tail, missing = Signal(7), Signal(7)
        early = delayed(m, window.tail, 1, "early_tail")
        m.d.sync += [tail.eq(early), missing.eq(width - early)]

        # Cycles 3 and 4: channels of last words, and those that were made up.
        channels = []
        for name, count, each in (("of_tail", short, tail), ("of_border", made_up, missing)):
            m.submodules[name] = unit = Product(count.shape(), each.shape())
            m.d.comb += [unit.a.eq(count), unit.b.eq(each)]
            channels.append(unit.product)
        of_tail, of_border = channels
        later = Product.latency_cycles
        whole = delayed(m, whole, later, "whole")
        planes = delayed(m, window.planes, 2 + later, "planes")
        lane = delayed(m, self.lane, 2 + later, "lane")

        # Cycle 5: in planes a window's words are all last ones of their positions, and each counts
        # with its planes' weights: 2^planes - 1. Cycle 6 adds up, cycle 7 negates.
        plain, weighted, total = (
            Signal(len(self.n), name=name) for name in ("plain", "weighted", "total")
        )
        count = geometry.planes_per_pass
        m.d.sync += [
            plain.eq(whole * width + of_border * 2),
            weighted.eq(of_tail),
            total.eq(plain + weighted),
            self.n.eq(-total),
        ]
        if count:
            groups = -(-PIXEL_BITS // count)
            sizes = [PIXEL_BITS - (groups - 1) * count] + [count] * (groups - 1)
            with m.If(planes):
                m.d.sync += weighted.eq(Array(of_tail << size for size in sizes)[lane] - of_tail)
        return m
