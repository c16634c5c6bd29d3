# SPDX-License-Identifier: Apache-2.0
"""The way out: accumulators of one output position, column after column."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry

__all__ = ["ResultShifter", "result_layout"]

result_layout = data.StructLayout({"data": signed(32), "last": 1})


class ResultShifter(wiring.Component):
    """Catches the columns' accumulators as they come, hop by hop, then shifts them out.

    Members
    -------
    values, valids : In
        Accumulators, and whether each is one that was asked for.
    channels : In(8)
        Words to send: columns 0 .. channels - 1. At least 1, constant until ``done``.
    end : In(1)
        The last of them ends the block.
    results : Out(stream)
        32-bit signed words with ``last`` on the block's final one.
    done : Out(1)
        The position's last word leaves in this cycle.
    waiting : Out(1)
        A word is offered but not taken.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        columns = geometry.columns
        value = signed(geometry.accumulator_width)
        super().__init__(
            {
                "values": In(data.ArrayLayout(value, columns)),
                "valids": In(columns),
                "channels": In(8),
                "end": In(1),
                "results": Out(stream.Signature(result_layout)),
                "done": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = self.geometry.columns
        held = [Signal(self.values[0].shape(), name=f"held_{c}") for c in range(columns)]
        sending = Signal()
        sent = Signal(8)
        taken = Signal()
        final = Signal()
        m.d.comb += [
            self.results.valid.eq(sending),
            self.results.payload.data.eq(held[0]),
            final.eq(sent == self.channels - 1),
            self.results.payload.last.eq(final & self.end),
            taken.eq(sending & self.results.ready),
            self.waiting.eq(sending & ~self.results.ready),
            self.done.eq(taken & final),
        ]
        for c in range(columns):
            with m.If(self.valids[c]):
                m.d.sync += held[c].eq(self.values[c])
            if c + 1 < columns:
                with m.If(taken):
                    m.d.sync += held[c].eq(held[c + 1])
        with m.If(self.valids[columns - 1]):
            m.d.sync += sending.eq(1)
        with m.If(taken):
            m.d.sync += sent.eq(sent + 1)
            with m.If(final):
                m.d.sync += [sending.eq(0), sent.eq(0)]
        return m
