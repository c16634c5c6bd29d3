# SPDX-License-Identifier: Apache-2.0
"""The issuer: turns segments into one beat a cycle, and the token that travels with it."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Unroll
from xnorflow.gateware.banks import rotate
from xnorflow.gateware.layouts import (
    beat_layout,
    fixed,
    load_layout,
    pass_layout,
    row_layout,
    segment_layout,
    token_layout,
    x_shape,
)
from xnorflow.gateware.modulo import add_modulo
from xnorflow.gateware.pacer import Pacer

__all__ = ["Issuer"]


class Issuer(wiring.Component):
    """Runs segments back to back, as :class:`Pacer` says.

    A line gives a beat a position, a load reads the weight banks, a read-out gives a token a
    position.

    Members
    -------
    segments : In(stream of segment_layout)
        A segment is taken in the cycle before its first one.
    row : In(row_layout)
        The program row; from two cycles before its first segment on.
    room : In(1)
        The way out takes one more position, from the next cycle on.
    beat, token, load, window : Out
        Registered, all in the same cycle; ``window`` is the pass's, from its load on.
    promise, channels, end : Out
        A position is read out now; its words; the block ends with it.
    waiting : Out(1)
        A read-out waits for room.
    busy : Out(1)
        A segment or token is in the issuer's own registers.

    Timing
    ------
    Outputs are ``latency_cycles`` behind the segment's cycle that they belong to; ``promise``,
    ``channels`` and ``end`` one cycle.
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        offered = self.segments.payload
        now = Signal(segment_layout(geometry))
        m.submodules.pacer = pacer = Pacer(geometry)
        valid = Signal()
        begun = Signal()  # the load has
        advance, position = pacer.advance, Signal()
        line, load, read = (Signal(name=name) for name in ("of_line", "of_load", "of_read"))
        m.d.comb += [
            position.eq(valid & pacer.fresh),
            line.eq(position & ~now.load & ~now.read),
            load.eq(position & now.load & ~begun),
            read.eq(position & now.read),
            pacer.offered_valid.eq(self.segments.valid),
            pacer.offered.eq(offered),
            pacer.now.eq(now),
            pacer.row.eq(row),
            pacer.line.eq(line),
            pacer.load.eq(load),
            pacer.read.eq(read),
            pacer.room.eq(self.room),
            self.segments.ready.eq(advance),
            self.waiting.eq(pacer.waiting),
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
        self._tokens(m, now, advance, position, line, read)
        self._place(m, now, line)
        self._bank_reads(m, now, load)
        return m

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
        first = Pacer.record_offset(geometry)
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
            last = Signal(x_shape(geometry), name=f"last_{j}")
            first = Mux(kernel, -j, 0)
            m.d.sync += [
                further.eq(Mux(kernel, 0, j * row.word_stride)),
                last.eq(row.column_last + first),
                slots[j].eq(now.slot + (further | (kernel & (now.column + j >= taps)))),
                right[j].eq((now.x >= first) | bool(fixed(geometry, "flat"))),
                left[j].eq((now.x <= last) | bool(fixed(geometry, "flat"))),
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
