# SPDX-License-Identifier: Apache-2.0
"""The pacer: when segments, their positions and weight loads may follow one another."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.layouts import row_layout, segment_layout
from xnorflow.gateware.weightbank import WeightBank

__all__ = ["READ_CYCLES", "Pacer"]

READ_CYCLES = 3
"""Between two positions that are read out, at least."""


class Pacer(wiring.Component):
    """Decides in each cycle on the next one, so that no decision lies between two long paths.

    - A line: one position a cycle; sums that are complete come ``pace`` cycles apart.
    - A weight load: ``load_cycles`` without positions. The next load may begin
      ``spacing_cycles`` after it: the banks are read ``rows - 1`` cycles longer, as weights fall
      row by row, and once more when the thresholds' tokens reach the feet.
    - A read-out: positions as far apart as their words take to leave, at least ``READ_CYCLES``.

    Members
    -------
    offered_valid, offered : In
        The next segment.
    now : In(segment_layout)
        The present one.
    row : In(row_layout)
    line, load, read : In(1)
        A position of a line is issued; a load begins; a position is read out.
    room : In(1)
        The way out takes one more position, from the next cycle on.
    advance : Out(1)
        With the next cycle the offered segment begins; or there is none.
    fresh : Out(1)
        With this cycle a position, or a cycle of a load, begins.
    waiting : Out(1)
        A read-out waits for room.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "offered_valid": In(1),
                "offered": In(segment_layout(geometry)),
                "now": In(segment_layout(geometry)),
                "row": In(row_layout(geometry)),
                "line": In(1),
                "load": In(1),
                "read": In(1),
                "room": In(1),
                "advance": Out(1, init=1),
                "fresh": Out(1),
                "waiting": Out(1),
            }
        )

    @staticmethod
    def record_offset(geometry: Geometry) -> int:
        """Cycles into a load at which it sends for thresholds.

        When that reaches the feet, the banks have given the last row its weights.
        """
        way = geometry.popcount_cycles + Feet.record_wait(geometry)
        return max(0, geometry.weight_load_cycles - 1 - WeightBank.latency_cycles - way)

    @classmethod
    def load_cycles(cls, geometry: Geometry, *, records: bool) -> int:
        """Cycles of a weight load; with ``records``, thresholds are loaded too.

        At least two: a pass has one segment more than cycles in which the sequencer makes one.
        """
        load = max(2, geometry.weight_load_cycles)
        if not records:
            return load
        last = cls.record_offset(geometry) + geometry.record_words
        return max(load, last + geometry.max_lanes - 1)

    @classmethod
    def spacing_cycles(cls, geometry: Geometry, *, records: bool) -> int:
        """Cycles from the start of a load to the earliest start of the next."""
        weights = max(geometry.weight_load_cycles + geometry.rows - 1, Feet.TURNAROUND_CYCLES + 1)
        if not records:
            return weights
        way = geometry.rows + geometry.popcount_cycles + Feet.record_wait(geometry)
        last = cls.record_offset(geometry) + geometry.record_words
        return max(weights, last + way + 1 + WeightBank.latency_cycles)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, offered, now, advance = self.row, self.offered, self.now, self.advance
        left = Signal(len(now.count))  # positions, or cycles of a load, after this one
        more, one_more = Signal(), Signal()  # there are some; there is one
        phase, phase_next = Signal(4), Signal(4)  # cycles of the position after this one
        short = Signal(2)  # fewest cycles of the line after this one
        held = Signal()  # the position waits for its gate
        following = Signal()  # with the next cycle the next position's time has come
        paced, offered_line = Signal(), Signal()
        m.d.comb += [
            paced.eq(now.last & ~now.load & ~now.read),
            offered_line.eq(~offered.load & ~offered.read),
            following.eq((phase == 0) & more & ~held),
            phase_next.eq(Mux(phase != 0, phase - 1, Mux(following & paced, row.pace, 0))),
        ]
        with m.If(advance):
            m.d.sync += [
                left.eq(offered.count),
                more.eq(offered.count != 0),
                one_more.eq(offered.count == 1),
                phase.eq(Mux(offered.last & offered_line, row.pace, 0)),
                short.eq(Mux(offered_line, row.shortest, 0)),
            ]
        with m.Else():
            m.d.sync += [phase.eq(phase_next), short.eq(Mux(short == 0, 0, short - 1))]
            with m.If(following):
                m.d.sync += [left.eq(left - 1), more.eq(~one_more), one_more.eq(left == 2)]

        # Gates: a load and each position of a read-out wait for theirs.
        load_opens, read_opens = self._gates(m)
        wants_load, wants_read, shut = Signal(), Signal(), Signal()
        with m.If(advance):
            m.d.comb += [
                wants_load.eq(self.offered_valid & offered.load),
                wants_read.eq(self.offered_valid & offered.read),
            ]
        with m.Else():
            m.d.comb += [
                wants_load.eq(now.load & held),
                wants_read.eq(now.read & (held | following)),
            ]
        m.d.comb += shut.eq((wants_load & ~load_opens) | (wants_read & ~(read_opens & self.room)))
        m.d.sync += [held.eq(shut), self.waiting.eq(wants_read & read_opens & ~self.room)]

        with m.If(advance):
            m.d.sync += [
                self.fresh.eq(~shut),
                advance.eq(~self.offered_valid | (~shut & offered.single)),
            ]
        with m.Else():
            done = (phase_next == 0) & ~(more & ~(following & one_more)) & ~short[1]
            m.d.sync += [self.fresh.eq(~shut & (held | following)), advance.eq(~shut & done)]
        return m

    def _gates(self, m: Module) -> tuple[Value, Value]:
        """May a load, or a position of a read-out, begin in the next cycle?

        A load when the banks are free; a read-out when the last sum is stored and the words of
        the position before have left.
        """
        geometry, now = self.geometry, self.now
        line, load, read = self.line, self.load, self.read
        since = Signal(8)  # cycles until a load may begin
        free = Signal(init=1)  # at most one
        with m.If(load):
            m.d.sync += free.eq(0)
            m.d.sync += since.eq(
                Mux(
                    now.records,
                    self.spacing_cycles(geometry, records=True) - 1,
                    self.spacing_cycles(geometry, records=False) - 1,
                )
            )
        with m.Else():
            m.d.sync += [since.eq(Mux(since == 0, 0, since - 1)), free.eq(since <= 2)]

        turn = Signal(range(Feet.TURNAROUND_CYCLES))
        with m.If(line):
            m.d.sync += turn.eq(Feet.TURNAROUND_CYCLES - 1)
        with m.Elif(turn != 0):
            m.d.sync += turn.eq(turn - 1)

        leaving = Signal(range(128 * geometry.pixels + 1))  # cycles until the last word leaves
        left = Signal(init=1)  # at most one
        words = Signal(len(leaving))
        m.d.comb += words.eq(now.channels * geometry.pixels)
        with m.If(read):
            m.d.sync += leaving.eq(Mux(words < READ_CYCLES, READ_CYCLES - 1, words - 1))
            m.d.sync += left.eq(0)
        with m.Else():
            m.d.sync += [leaving.eq(Mux(leaving == 0, 0, leaving - 1)), left.eq(leaving <= 2)]
        return ~load & free, ~line & (turn <= 1) & ~read & left
