# SPDX-License-Identifier: Apache-2.0
"""The issuer: turns segments into one beat a cycle, and the token that travels with it."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS, Unroll
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

__all__ = ["Issuer"]


class Issuer(wiring.Component):
    """Runs segments back to back.

    - A line: one position a cycle; sums that are complete come ``pace`` cycles apart.
    - A weight load: ``load_cycles`` without beats. The next load may begin ``spacing_cycles``
      after it: the banks are read ``rows - 1`` cycles longer, as weights fall row by row, and once
      more when the thresholds' tokens reach the feet.
    - A read-out: a token a position, as far apart as its words take to leave.

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
        return max(0, geometry.weight_load_cycles - 3 - levels)

    @classmethod
    def load_cycles(cls, geometry: Geometry, *, records: bool) -> int:
        """Cycles of a weight load; with ``records``, thresholds are loaded too."""
        load = geometry.weight_load_cycles
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
        return max(weights, cls.record_offset(geometry) + geometry.record_words + foot + 3)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        segment = self.segments.payload
        count = Signal(len(segment.count))
        finish = Signal()
        token = Signal(token_layout(geometry))
        m.d.comb += self.segments.ready.eq(finish)
        m.d.sync += [token.valid.eq(0), token.record.eq(0), self.promise.eq(0)]
        loading, reading, running = (Signal(name=n) for n in ("loading", "reading", "running"))
        m.d.comb += [
            loading.eq(self.segments.valid & segment.load),
            reading.eq(self.segments.valid & segment.read & ~segment.load),
            running.eq(self.segments.valid & ~segment.load & ~segment.read),
        ]
        started = self._load(m, loading, count, finish, token)
        issued = self._line(m, running, count, finish, token)
        self._read(m, reading, issued, count, finish, token)
        self._place(m, running & issued)
        self._bank_reads(m, started)
        m.d.sync += self.token.eq(token)
        m.d.comb += self.busy.eq(token.valid | self.token.valid)
        return m

    def _load(
        self, m: Module, loading: Signal, count: Signal, finish: Signal, token: Signal
    ) -> Signal:
        """Time a load; send for the thresholds in its cycles. Returns: its first cycle."""
        geometry, segment = self.geometry, self.segments.payload
        spacing, cycles = Signal(8), Signal(8)
        since = Signal(8)  # cycles until a load may begin
        begun = Signal()
        started = Signal()
        m.d.comb += [
            spacing.eq(
                Mux(
                    segment.records,
                    self.spacing_cycles(geometry, records=True),
                    self.spacing_cycles(geometry, records=False),
                )
            ),
            cycles.eq(
                Mux(
                    segment.records,
                    self.load_cycles(geometry, records=True),
                    self.load_cycles(geometry, records=False),
                )
            ),
            started.eq(loading & ~begun & (since == 0)),
        ]
        with m.If(started):
            m.d.sync += since.eq(spacing - 1)
        with m.Elif(since != 0):
            m.d.sync += since.eq(since - 1)
        with m.If(started | (loading & begun)):
            m.d.comb += finish.eq(count == cycles - 1)
            m.d.sync += [begun.eq(~finish), count.eq(Mux(finish, 0, count + 1))]
            offset = self.record_offset(geometry)
            now = (count >= offset) & (count < offset + geometry.record_words)
            with m.If(segment.records & now):
                m.d.sync += [
                    token.record.eq(1),
                    token.record_address.eq(segment.record + count - offset),
                ]
        return started

    def _line(
        self, m: Module, running: Signal, count: Signal, finish: Signal, token: Signal
    ) -> Signal:
        """Time a line. Returns: a position is issued."""
        segment, row = self.segments.payload, self.row
        wait = Signal(4)  # cycles until the next position, or the line's end
        elapsed = Signal(2)  # cycles of the line, up to 3
        sent = Signal()  # only waiting is left
        final = Signal()
        paced = Signal(4)
        missing = Signal(2)  # cycles that the line is too short
        pause = Signal(4)
        issued = Signal()
        m.d.comb += [
            final.eq(count == segment.count),
            paced.eq(Mux(segment.last, row.pace, 0)),
            missing.eq(Mux(final & (row.shortest > elapsed), row.shortest - elapsed, 0)),
            pause.eq(Mux(missing > paced, missing, paced)),
            issued.eq(running & (wait == 0)),
        ]
        with m.If(issued):
            m.d.comb += finish.eq(final & (pause == 0))
            m.d.sync += [
                wait.eq(pause),
                sent.eq(final & ~finish),
                count.eq(Mux(final, 0, count + 1)),
                token.valid.eq(1),
                token.read.eq(0),
                token.first.eq(segment.first),
                token.last.eq(segment.last & ~row.raw),
                token.scale.eq(segment.scale),
                token.address.eq(segment.address + count),
            ]
        with m.Elif(running):
            m.d.comb += finish.eq(sent & (wait == 1))
            m.d.sync += wait.eq(wait - 1)
            with m.If(finish):
                m.d.sync += sent.eq(0)
        with m.If(finish):
            m.d.sync += elapsed.eq(0)
        with m.Elif(running & (elapsed != 3)):
            m.d.sync += elapsed.eq(elapsed + 1)
        return issued

    def _read(
        self,
        m: Module,
        reading: Signal,
        issued: Signal,
        count: Signal,
        finish: Signal,
        token: Signal,
    ) -> None:
        """A token a position, as soon as the last sum is stored and its words have left."""
        pixels, segment = self.geometry.pixels, self.segments.payload
        turn = Signal(range(Feet.TURNAROUND_CYCLES))
        leaving = Signal(range(128 * pixels + 1))
        with m.If(issued):
            m.d.sync += turn.eq(Feet.TURNAROUND_CYCLES - 1)
        with m.Elif(turn != 0):
            m.d.sync += turn.eq(turn - 1)
        with m.If(leaving != 0):
            m.d.sync += leaving.eq(leaving - 1)
        with m.If(reading & (turn == 0) & (leaving == 0)):
            m.d.comb += self.waiting.eq(~self.room)
            with m.If(self.room):
                m.d.comb += finish.eq(count == segment.count)
                m.d.sync += [
                    count.eq(Mux(finish, 0, count + 1)),
                    leaving.eq(segment.channels * pixels - 1),
                    token.valid.eq(1),
                    token.read.eq(1),
                    token.first.eq(0),
                    token.last.eq(0),
                    token.scale.eq(0),
                    token.address.eq(count),
                    self.promise.eq(1),
                    self.channels.eq(segment.channels),
                    self.end.eq(segment.end & finish),
                ]

    def _bank_reads(self, m: Module, started: Signal) -> None:
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
            m.d.sync += [
                address.eq(self.segments.payload.weights),
                window.eq(self.segments.payload["pass"]),
            ]
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

    def _place(self, m: Module, issued: Signal) -> None:
        """Where the window of the next position lies in the banks, in two stages."""
        geometry, row = self.geometry, self.row
        taps = geometry.taps
        segment = self.segments.payload
        valid = Signal()
        x = Signal(signed(SIZE_BITS + 3))
        slot = Signal(len(segment.slot))
        column = Signal(range(taps))
        started = Signal()  # the line's first position is through
        next_x, next_slot = Signal(x.shape()), Signal(slot.shape())
        next_column = Signal(column.shape())
        at_x, at_slot = Signal(x.shape()), Signal(slot.shape())
        at_column = Signal(column.shape())
        m.d.comb += [
            at_x.eq(Mux(started, next_x, segment.x)),
            at_slot.eq(Mux(started, next_slot, segment.slot)),
            at_column.eq(Mux(started, next_column, segment.column)),
        ]
        copied = ("lines", "row", "inside", "lane", "word_column")
        held = {name: Signal(segment[name].shape(), name=f"held_{name}") for name in copied}
        m.d.sync += valid.eq(issued)
        with m.If(issued):
            carry = at_column + row.step_column >= taps
            m.d.sync += [
                x.eq(at_x),
                slot.eq(at_slot),
                column.eq(at_column),
                started.eq(1),
                next_x.eq(at_x + row.stride),
                next_slot.eq(at_slot + row.step_slot + carry),
                next_column.eq(add_modulo(at_column, row.step_column, taps)),
                *(signal.eq(segment[name]) for name, signal in held.items()),
            ]
        with m.If(self.segments.ready):
            m.d.sync += started.eq(0)

        kernel = Signal()
        m.d.comb += kernel.eq(row.unroll == Unroll.KERNEL)
        slots = []
        for j in range(taps):
            carry = column + j >= taps
            offset = Mux(kernel, carry, (j * row.word_stride)[: len(slot)])
            slots.append((slot + offset)[: len(slot)])
        bank_column = Signal(range(taps))
        m.d.comb += bank_column.eq(add_modulo(column, held["word_column"], taps))
        by_bank = rotate(slots, bank_column, back=True)
        m.d.sync += [
            self.beat.valid.eq(valid),
            self.beat.lines.eq(held["lines"]),
            self.beat.row.eq(held["row"]),
            self.beat.column.eq(bank_column),
            self.beat.lane.eq(held["lane"]),
            *(self.beat.slots[b].eq(by_bank[b]) for b in range(taps)),
        ]
        for r in range(geometry.rows):
            i, j = divmod(r, taps)
            position = x + Mux(kernel, j, 0)
            m.d.sync += self.beat.inside[r].eq(
                held["inside"][i] & (position >= 0) & (position <= row.column_last)
            )
