# SPDX-License-Identifier: Apache-2.0
"""The processing element: resting weights, XNOR, popcount, add to the sum from above."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """Counts mismatches between a streaming word and resting weights.

        sum_out[t + latency_cycles] = sum_in[t + latency_cycles - 1] + popcount(word[t] ^ weights)

    with the popcount 0 where ``mask[t]`` is 0.

    Parameters
    ----------
    geometry : Geometry
        Gives ``word_width``, ``weight_beat`` and ``sum_width`` in bits.

    Members
    -------
    word : In(word_width)
        Activation word, lowest channel in the lowest bit.
    mask : In(1)
        The word counts.
    load : In(1)
        Shift ``weights`` into the resting word, lowest bits first; the word that enters in the
        same cycle still meets the old weights.
    weights : In(weight_beat)
        Next bits of the weights.
    sum_in, sum_out : In(sum_width), Out(sum_width)
        Mismatches of the elements above, and with this one's.

    Timing
    ------
    One word a cycle, ``latency_cycles`` = log2(word_width) + 1: every level of the popcount is
    registered, then the sum. Nothing stalls.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "word": In(geometry.word_width),
                "mask": In(1),
                "load": In(1),
                "weights": In(geometry.weight_beat),
                "sum_in": In(geometry.sum_width),
                "sum_out": Out(geometry.sum_width),
            }
        )

    @staticmethod
    def popcount_cycles(geometry: Geometry) -> int:
        """Cycles from a word to its count."""
        return geometry.word_width.bit_length() - 1

    @property
    def latency_cycles(self) -> int:
        """Cycles from a word to the sum that counts it."""
        return self.popcount_cycles(self.geometry) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.geometry.word_width
        resting = Signal(width)
        with m.If(self.load):
            m.d.sync += resting.eq(
                (self.weights << (width - len(self.weights))) | (resting >> len(self.weights))
            )

        # Level k adds neighbouring fields of 2^k bits: all of a level's small adders are one wide
        # addition, because no field can overflow into the next.
        fields = self.word ^ resting
        for level in range(self.popcount_cycles(self.geometry)):
            half = 1 << level
            low = sum(((1 << half) - 1) << at for at in range(0, width, 2 * half))
            added = (fields & low) + ((fields >> half) & low)
            fields = Signal(width, name=f"level_{level + 1}")
            m.d.sync += fields.eq(Mux(self.mask, added, 0) if level == 0 else added)

        m.d.sync += self.sum_out.eq(self.sum_in + fields)
        return m
