# SPDX-License-Identifier: Apache-2.0
"""The issuer: turns segments into one beat a cycle, and the token that travels with it."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import (
    beat_layout,
    load_layout,
    row_layout,
    segment_layout,
    token_layout,
)

__all__ = ["Issuer"]


class Issuer(wiring.Component):
    """Runs segments back to back.

    - A line of beats: one position a cycle, no gap to the next line.
    - A weight load: ``gap_cycles`` without beats, so that the last words meet the old weights in
      every row, then ``weight_load_cycles`` beats of weights.
    - A read-out: one accumulator position at a time, as fast as the way out takes them.

    Members
    -------
    segments : In(stream of segment_layout)
    row : In(row_layout)
        The layer's row.
    read_done : In(1)
        The way out sent the last word of a position.
    beat, load, tails, token : Out
        Registered, all in the same cycle. ``tails`` belongs to ``load``.
    channels, end : Out
        Of the read-out under way.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "segments": In(stream.Signature(segment_layout(geometry))),
                "row": In(row_layout(geometry)),
                "read_done": In(1),
                "beat": Out(beat_layout(geometry)),
                "load": Out(load_layout(geometry)),
                "tails": Out(geometry.streams),
                "token": Out(token_layout(geometry)),
                "channels": Out(8),
                "end": Out(1),
            }
        )

    @staticmethod
    def gap_cycles(geometry: Geometry) -> int:
        """Cycles between the last beat before a weight load and its first beat."""
        return (geometry.streams - 1) * geometry.taps

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        segment = self.segments.payload
        count = Signal(range(max(1 << (SIZE_BITS + 1), 2 * geometry.accumulator_depth)))
        finish = Signal()
        m.d.comb += self.segments.ready.eq(finish)
        m.d.sync += [self.load.valid.eq(0), self.token.valid.eq(0), self.beat.mask.eq(0)]
        with m.If(self.segments.valid):
            m.d.sync += count.eq(Mux(finish, 0, count + 1))
            with m.If(segment.load):
                gap = self.gap_cycles(geometry)
                m.d.comb += finish.eq(count == gap + geometry.weight_load_cycles - 1)
                m.d.sync += [
                    self.load.valid.eq(count >= gap),
                    self.load.address.eq(segment.weights + count - gap),
                    self.load.taps.eq(segment.taps),
                    self.tails.eq(segment.tails),
                ]
            with m.Elif(segment.read):
                self._read(m, count, finish)
            with m.Else():
                m.d.comb += finish.eq(count == segment.beats)
                self._beat(m, count, finish)
        m.d.comb += [self.channels.eq(segment.channels), self.end.eq(0)]
        with m.If(segment.end & (count == segment.address - 1)):
            m.d.comb += self.end.eq(1)
        return m

    def _read(self, m: Module, count: Signal, finish: Signal) -> None:
        """Issue one token a position; go on when its words left."""
        segment = self.segments.payload
        asked = Signal()
        m.d.sync += [
            asked.eq(1),
            count.eq(count),
            self.token.valid.eq(~asked),
            self.token.read.eq(1),
            self.token.first.eq(0),
            self.token.last.eq(0),
            self.token.scale.eq(0),
            self.token.address.eq(count),
        ]
        with m.If(self.read_done):
            m.d.comb += finish.eq(count == segment.address - 1)
            m.d.sync += [asked.eq(0), count.eq(Mux(finish, 0, count + 1))]

    def _beat(self, m: Module, count: Signal, finish: Signal) -> None:
        """Issue the beat at ``x + count`` and the token of the output that starts there."""
        geometry, row = self.geometry, self.row
        segment = self.segments.payload

        x = Signal(signed(SIZE_BITS + 3))
        inside_x = Signal()
        m.d.comb += [
            x.eq(segment.x.as_signed() + count),
            inside_x.eq((x >= 0) & (x <= row.column_last)),
        ]
        for s in range(geometry.streams):
            inside = segment.inside[s] & inside_x
            m.d.sync += [
                self.beat.addresses[s].eq(segment.addresses[s] + x),
                self.beat.inside[s].eq(inside),
                self.beat.mask[s].eq(segment.active[s] & (inside | row.border_enable)),
            ]
        m.d.sync += [
            self.beat.rotation.eq(segment.rotation),
            self.beat.tails.eq(segment.tails),
            self.beat.fill.eq(segment.fill),
        ]

        # Every ``stride``-th beat starts an output; of a repeated segment's outputs only every
        # (repeat_last + 1)-th pooling window counts, another one in each repeat.
        skip = Signal(4)
        inner = Signal(4)
        window = Signal(4)
        output = Signal(SIZE_BITS + 1)
        starts = Signal()
        m.d.comb += starts.eq((skip == 0) & (output != segment.outputs))
        m.d.sync += skip.eq(Mux(skip == row.stride - 1, 0, skip + 1))
        with m.If(starts):
            m.d.sync += [output.eq(output + 1), inner.eq(inner + 1)]
            with m.If(inner == row.pool_last):
                m.d.sync += inner.eq(0)
                m.d.sync += window.eq(Mux(window == row.repeat_last, 0, window + 1))
        with m.If(finish):
            m.d.sync += [skip.eq(0), inner.eq(0), window.eq(0), output.eq(0)]
        m.d.sync += [
            self.token.valid.eq(starts & (~segment.last | (window == segment.repeat))),
            self.token.read.eq(0),
            self.token.first.eq(segment.first),
            self.token.last.eq(segment.last),
            self.token.scale.eq(segment.scale),
            self.token.tile.eq(segment.tile),
            self.token.address.eq(segment.address + output),
        ]
