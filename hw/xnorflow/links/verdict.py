# SPDX-License-Identifier: Apache-2.0
"""The class of an image from its last accumulators."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.answer import Answer
from xnorflow.gateware.results import result_layout

__all__ = ["Verdict"]


class Verdict(wiring.Component):
    """The first c for which accumulator[c] * scale[c] + bias[c] is the largest.

    A score is added up bit by bit of the accumulator, lowest first: nothing runs meanwhile, so
    time costs nothing.

    Parameters
    ----------
    answer : Answer
    accumulator_width : int
        Bits of an accumulator.

    Members
    -------
    results : In(stream)
        Accumulators of one image, class after class.
    clear : In(1)
        Forgets the classes that came.
    done : Out(1)
        The last class was looked at, in the cycle before.
    best : Out
        The class; it stays until the next image's first accumulator.

    Timing
    ------
    ``accumulator_width + 2`` cycles a class.
    """

    def __init__(self, answer: Answer, accumulator_width: int) -> None:
        self.answer = answer
        self.accumulator_width = accumulator_width
        super().__init__(
            {
                "results": In(stream.Signature(result_layout)),
                "clear": In(1),
                "done": Out(1),
                "best": Out(answer.class_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        answer, width = self.answer, self.accumulator_width
        score_width = answer.score_bits(width)
        last = len(answer.names) - 1
        index = Signal.like(self.best)  # the class whose accumulator comes or is looked at
        scale, bias = Signal(signed(score_width)), Signal(signed(score_width))
        with m.Switch(index):
            for number, (factor, term) in enumerate(zip(answer.scale, answer.bias, strict=True)):
                with m.Case(number):
                    m.d.comb += [scale.eq(factor), bias.eq(term)]
        bits = Signal(width)  # of the accumulator that are still to be looked at
        left = Signal(range(width))  # how many follow
        term, score, most = (
            Signal(signed(score_width), name=name) for name in ("term", "score", "most")
        )
        m.d.sync += self.done.eq(0)
        with m.FSM():
            with m.State("take"):
                m.d.comb += self.results.ready.eq(1)
                m.d.sync += [
                    bits.eq(self.results.payload.data),
                    left.eq(width - 1),
                    term.eq(scale),
                    score.eq(bias),
                ]
                with m.If(self.results.valid & ~self.clear):
                    m.next = "add"
            with m.State("add"):
                # The highest bit of a signed number counts negative.
                change = Mux(left == 0, -term, term)
                with m.If(bits[0]):
                    m.d.sync += score.eq(score + change)
                m.d.sync += [bits.eq(bits >> 1), left.eq(left - 1), term.eq(term << 1)]
                with m.If(left == 0):
                    m.next = "compare"
            with m.State("compare"):
                m.d.sync += [index.eq(index + 1), self.done.eq(index == last)]
                with m.If((index == 0) | (score > most)):
                    m.d.sync += [most.eq(score), self.best.eq(index)]
                with m.If(index == last):
                    m.d.sync += index.eq(0)
                m.next = "take"
        with m.If(self.clear):
            m.d.sync += [index.eq(0), self.done.eq(0)]
        return m
