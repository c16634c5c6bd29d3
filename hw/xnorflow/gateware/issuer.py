# SPDX-License-Identifier: Apache-2.0
"""The issuer: turns segments into one beat a cycle, and the token that travels with it."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS, Unroll
from xnorflow.gateware.array import WeightBank
from xnorflow.gateware.banks import rotate
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.layouts import (
    beat_layout,
    load_layout,
    pass_layout,
    row_layout,
    segment_layout,
    token_layout,
)
from xnorflow.gateware.modulo import add_modulo

__all__ = ["READ_CYCLES", "Issuer"]

READ_CYCLES = 3
"""Between two positions that are read out, at least."""


class Issuer(wiring.Component):
    """Runs segments back to back.

    - A line: one position a cycle; sums that are complete come ``pace`` cycles apart.
    - A weight load: ``load_cycles`` without beats. The next load may begin ``spacing_cycles``
      after it: the banks are read ``rows - 1`` cycles longer, as weights fall row by row, and once
      more when the thresholds' tokens reach the feet.
    - A read-out: a token a position, as far apart as its words take to leave, at least
      ``READ_CYCLES``.

    Members
    -------
    segments : In(stream of segment_layout)
    row : In(row_layout)
        The program row.
    room : In(1)
        The way out takes one more position.
    beat, token, load, window : Out
        Registered, all in the same cycle; ``window`` is the pass's, from its load on.
    promise, channels, end : Out
        A position is read out now; its words; the block ends with it.
    waiting : Out(1)
        A read-out waits for room.
    busy : Out(1)
        A beat or token is in the issuer's own registers.
    """

    latency_cycles = 2

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "segments": In(stream.Signature(segment_layout(geometry))),
                "row": In(row_layout(geometry)),
                "room": In(1),
                "beat": Out(beat_layout(geometry)),
                "token": Out(token_layout(geometry)),
                "load": Out(load_layout(geometry)),
                "window": Out(pass_layout(geometry)),
                "promise": Out(1),
                "channels": Out(8),
                "end": Out(1),
                "waiting": Out(1),
                "busy": Out(1),
            }
        )

    @staticmethod
    def record_offset(geometry: Geometry) -> int:
        """Cycles into a load at which it sends for thresholds.

        When that reaches the feet, the banks have given the last row its weights.
        """
        levels = ElementRow.popcount_cycles(geometry) + geometry.max_lanes - 1
        return max(0, geometry.weight_load_cycles - 1 - WeightBank.latency_cycles - levels)

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
        foot = geometry.rows + ElementRow.popcount_cycles(geometry) + geometry.max_lanes - 1
        foot += 1 + WeightBank.latency_cycles
        return max(weights, cls.record_offset(geometry) + geometry.record_words + foot)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        offered = self.segments.payload
        now = Signal(segment_layout(geometry))
        valid, fresh = Signal(), Signal()
        advance = Signal(init=1)  # the segment ends, or there is none
        begun = Signal()  # the load has
        position = Signal()
        line, load, read = (Signal(name=name) for name in ("of_line", "of_load", "of_read"))
        m.d.comb += [
            self.segments.ready.eq(advance),
            position.eq(valid & fresh),
            line.eq(position & ~now.load & ~now.read),
            load.eq(position & now.load & ~begun),
            read.eq(position & now.read),
            self.busy.eq(valid | self.token.valid),
        ]
        with m.If(advance):
            m.d.sync += [now.eq(offered), valid.eq(self.segments.valid), begun.eq(0)]
        with m.Elif(position):
            carry = now.column + row.step_column >= geometry.taps
            m.d.sync += [
                begun.eq(1),
                now.address.eq(now.address + 1),
                now.x.eq(now.x + row.stride),
                now.slot.eq(now.slot + row.step_slot + carry),
                now.column.eq(add_modulo(now.column, row.step_column, geometry.taps)),
            ]
        self._time(m, now, advance, fresh, line, load, read)
        self._tokens(m, now, advance, position, line, read)
        self._place(m, now, line)
        self._bank_reads(m, now, load)
        return m

    def _time(
        self,
        m: Module,
        now: data.View,
        advance: Signal,
        fresh: Signal,
        line: Signal,
        load: Signal,
        read: Signal,
    ) -> None:
        """Decide on the next cycle: is a position begun, is it the segment's last cycle?"""
        row, offered = self.row, self.segments.payload
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
        load_opens, read_opens = self._gates(m, now, line, load, read)
        wants_load, wants_read, shut = Signal(), Signal(), Signal()
        with m.If(advance):
            m.d.comb += [
                wants_load.eq(self.segments.valid & offered.load),
                wants_read.eq(self.segments.valid & offered.read),
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
                fresh.eq(~shut),
                advance.eq(~self.segments.valid | (~shut & offered.single)),
            ]
        with m.Else():
            done = (phase_next == 0) & ~(more & ~(following & one_more)) & ~short[1]
            m.d.sync += [fresh.eq(~shut & (held | following)), advance.eq(~shut & done)]

    def _gates(
        self, m: Module, now: data.View, line: Signal, load: Signal, read: Signal
    ) -> tuple[Value, Value]:
        """May a load, or a position of a read-out, begin in the next cycle?

        A load when the banks are free; a read-out when the last sum is stored and the words of
        the position before have left.
        """
        geometry = self.geometry
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

    def _tokens(
        self,
        m: Module,
        now: data.View,
        advance: Signal,
        position: Signal,
        line: Signal,
        read: Signal,
    ) -> None:
        """What goes to the feet: with each position, and in a load's cycles for the thresholds."""
        geometry = self.geometry
        token = Signal(token_layout(geometry))
        first = self.record_offset(geometry)
        cycle = Signal(range(first + geometry.record_words + 1))  # of a load, as long as it counts
        record = Signal()
        m.d.comb += record.eq(
            position
            & now.load
            & now.records
            & (cycle >= first)
            & (cycle < first + geometry.record_words)
        )
        with m.If(advance):
            m.d.sync += cycle.eq(0)
        with m.Elif(position & (cycle < first + geometry.record_words)):
            m.d.sync += cycle.eq(cycle + 1)
        with m.If(record & ~advance):
            m.d.sync += now.record.eq(now.record + 1)
        m.d.sync += [
            token.valid.eq(line | read),
            token.read.eq(read),
            token.first.eq(now.first & ~now.read),
            token.last.eq(now.last & ~now.read & ~self.row.raw),
            token.scale.eq(now.scale),
            token.address.eq(now.address),
            token.record.eq(record),
            token.record_address.eq(now.record),
            self.token.eq(token),
            self.promise.eq(read),
            self.channels.eq(now.channels),
            self.end.eq(now.end & advance),
        ]
        with m.If(token.valid):
            m.d.comb += self.busy.eq(1)

    def _bank_reads(self, m: Module, now: data.View, started: Signal) -> None:
        """Read the banks of weights from a load's start until the last row has its weights."""
        geometry = self.geometry
        cycles = geometry.weight_load_cycles + geometry.rows - 1
        begin = Signal()
        address = Signal(len(self.load.address))
        window = Signal(pass_layout(geometry))
        left = Signal(range(cycles + 1))
        shifts = Signal(range(geometry.weight_load_cycles + 1))
        m.d.sync += [begin.eq(started), self.load.valid.eq(0), self.load.shift.eq(0)]
        with m.If(started):
            m.d.sync += [address.eq(now.weights), window.eq(now["pass"])]
        with m.If(begin):
            m.d.sync += [
                self.window.eq(window),
                left.eq(cycles - 1),
                shifts.eq(geometry.weight_load_cycles - 1),
                self.load.valid.eq(1),
                self.load.shift.eq(1),
                self.load.address.eq(address),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                self.load.valid.eq(1),
                self.load.address.eq(self.load.address + 1),
                self.load.shift.eq(shifts != 0),
            ]
            with m.If(shifts != 0):
                m.d.sync += shifts.eq(shifts - 1)

    def _place(self, m: Module, now: data.View, line: Signal) -> None:
        """Where the position's window lies in the banks, in two stages."""
        geometry, row = self.geometry, self.row
        taps = geometry.taps
        kernel = Signal()
        bank_column = Signal(range(taps))
        right, left = Signal(taps), Signal(taps)  # of the map's left border; of its right one
        beat = Signal(beat_layout(geometry))
        inside = Signal(geometry.streams)
        slots = [Signal(len(now.slot), name=f"slot_{j}") for j in range(taps)]
        m.d.sync += [
            kernel.eq(row.unroll == Unroll.KERNEL),
            bank_column.eq(add_modulo(now.column, now.word_column, taps)),
            beat.valid.eq(line),
            beat.lines.eq(now.lines),
            beat.row.eq(now.row),
            beat.lane.eq(now.lane),
            inside.eq(now.inside),
        ]
        for j in range(taps):
            further = Signal(len(now.slot), name=f"further_{j}")
            last = Signal(signed(SIZE_BITS + 2), name=f"last_{j}")
            first = Mux(kernel, -j, 0)
            m.d.sync += [
                further.eq(Mux(kernel, 0, j * row.word_stride)),
                last.eq(row.column_last + first),
                slots[j].eq(now.slot + (further | (kernel & (now.column + j >= taps)))),
                right[j].eq(now.x >= first),
                left[j].eq(now.x <= last),
            ]
        by_bank = rotate(slots, bank_column, back=True)
        m.d.sync += [
            self.beat.eq(beat),
            self.beat.column.eq(bank_column),
            *(self.beat.slots[b].eq(by_bank[b]) for b in range(taps)),
            *(
                self.beat.inside[r].eq(inside[r // taps] & right[r % taps] & left[r % taps])
                for r in range(geometry.rows)
            ),
        ]
