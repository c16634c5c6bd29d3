# SPDX-License-Identifier: Apache-2.0
"""How many real inputs a sum counts: the n of acc = n - 2 * mismatches, negated."""

from amaranth import Array, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import PIXEL_BITS, Geometry
from xnorflow.gateware.layouts import pass_layout

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

    latency_cycles = 3

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

        # Cycle 1: count words.
        whole, short, made_up = (
            Signal(range(rows + 1), name=name) for name in ("whole", "short", "made_up")
        )
        tail = Signal(7)
        planes, planes_1 = Signal(), Signal()
        lane = Signal(3)
        m.d.sync += [
            whole.eq(ones(self.real & ~window.tails)),
            short.eq(ones(self.real & window.tails)),
            made_up.eq(ones(self.filled & window.tails)),
            tail.eq(window.tail),
            planes.eq(window.planes),
            lane.eq(self.lane),
        ]

        # Cycle 2: channels. In planes a window's words are all last ones of their positions.
        plain = Signal(len(self.n))
        of_tail = Signal(len(self.n))
        m.d.sync += [
            plain.eq(whole * width + Mux(planes, 0, made_up * 2 * (width - tail))),
            of_tail.eq(short * tail),
            planes_1.eq(planes),
        ]
        count = geometry.planes_per_pass
        weight = Signal(PIXEL_BITS)
        if count:
            groups = -(-PIXEL_BITS // count)
            sizes = [PIXEL_BITS - (groups - 1) * count] + [count] * (groups - 1)
            m.d.sync += weight.eq(Array((1 << size) - 1 for size in sizes)[lane])

        # Cycle 3: the planes' weights.
        m.d.sync += self.n.eq(-(plain + Mux(planes_1, of_tail * weight, of_tail)))
        return m
