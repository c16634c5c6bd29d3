# SPDX-License-Identifier: Apache-2.0
"""The sequencer: walks a program row's loops and describes each line of beats as one segment."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import row_layout, segment_layout, units_shape
from xnorflow.gateware.loops import LoopCounters
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.pacer import Pacer
from xnorflow.gateware.queue import Queue
from xnorflow.gateware.walk import InputWalk

__all__ = ["Sequencer"]

QUEUE_DEPTH = 16
"""More than the cycles from a segment's begin until its place in the queue is free again."""


class Sequencer(wiring.Component):
    """Nested counters, outermost first:

        tile > weight plane > kernel line(s) > kernel column(s) > channel word(s)
        > load the weights, then: unit > map line > lane > (a segment of beats)

    and, in the last layer, one read-out a tile.

    Members
    -------
    start : In(1)
        Walk ``row``; it, ``units``, ``part`` and ``final`` stay until ``done``.
    row : In(row_layout)
    units : In(16)
        Units that the row runs for.
    part : In(1)
        Which part of the input it reads.
    final : In(1)
        Its read-outs end the block.
    scale_index, scale : Out, In
        Read port of the lane scale memory: ``scale`` comes ``SCALE_CYCLES`` after its index.
    segments : Out(stream of segment_layout)
        Weight loads, lines of beats, read-outs, in order.
    done : Out(1)
        In the cycle before, every segment had been handed over.

    Timing
    ------
    One segment a cycle, the first one ``latency_cycles`` after ``start``. The stages never stop:
    a segment is begun only if the queue behind them has room for it.
    """

    SCALE_CYCLES = BlockMemory.latency_cycles
    STAGES = 1 + InputWalk.LINES_CYCLES
    latency_cycles = 2 + STAGES + Queue.latency_cycles

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "units": In(units_shape(geometry)),
                "part": In(1),
                "final": In(1),
                "scale_index": Out(ceil_log2(geometry.scale_depth)),
                "scale": In(geometry.scale_width),
                "segments": Out(stream.Signature(segment_layout(geometry))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loops = loops = LoopCounters(self.geometry)
        m.submodules.walk = walk = InputWalk(self.geometry)
        m.submodules.queue = queue = Queue(segment_layout(self.geometry), depth=QUEUE_DEPTH)
        wiring.connect(m, queue.items, wiring.flipped(self.segments))

        # The row's constants are in their registers a cycle after it starts.
        started = Signal(2)
        m.d.sync += started.eq(Cat(self.start, started))

        begin, chosen = self._choose(m, loops, queue, started)
        m.d.comb += [
            loops.start.eq(started[0]),
            loops.row.eq(self.row),
            loops.units.eq(self.units),
            walk.row.eq(self.row),
            walk.part.eq(self.part),
        ]

        # Stage 1: walk and memories follow the loops.
        first = Signal(segment_layout(self.geometry))
        now = Signal(segment_layout(self.geometry))
        valid = Signal(self.STAGES)
        m.d.sync += [
            first.eq(chosen),
            valid.eq(Cat(begin, valid)),
            walk.step.eq(loops.step),
            walk.wrap.eq(loops.wrap.as_value() | started[0].replicate(len(loops.wrap.as_value()))),
        ]
        m.d.comb += [
            now.eq(first),
            now.x.eq(walk.x),
            now.slot.eq(walk.slot),
            now.column.eq(walk.column),
            now.word_column.eq(walk.word_column),
        ]
        self._memories(m, now, first, started[1], walk.step, walk.wrap, valid[0])
        m.d.comb += [
            queue.push.eq(valid[-1]),
            queue.item.eq(self._completed(m, now, walk)),
            queue.item.lines.eq(walk.lines),
            queue.item.row.eq(walk.line_row),
            queue.item.inside.eq(walk.inside),
        ]
        return m

    def _choose(
        self, m: Module, loops: LoopCounters, queue: Queue, started: Signal
    ) -> tuple[Signal, data.View]:
        """The segment that may begin in this cycle. Returns: it does; what the loops say of it."""
        row = self.row

        # Begin one while there is room for it.
        inside = Signal(range(QUEUE_DEPTH + 1))
        inside_next = Signal(range(QUEUE_DEPTH + 2))
        room = Signal(init=1)
        begin = Signal()
        running = Signal()
        m.d.comb += [
            begin.eq(running & room),
            inside_next.eq(inside + begin - queue.taken),
        ]
        begun = self.start | started.any() | running | loops.turn
        m.d.sync += [
            inside.eq(inside_next),
            room.eq(inside_next < QUEUE_DEPTH),
            self.done.eq(~begun & (inside == 0) & ~queue.items.valid),
        ]

        # A pass loads its weights first; a tile of the last layer is read out at its end.
        last = loops.last
        loading, reading, lines, ragged = (
            Signal(name=name) for name in ("loading", "reading", "lines", "ragged")
        )
        ends_tile = last.cw & last.kx & last.ky & last.plane
        with m.If(begin & reading):
            m.d.sync += [reading.eq(0), loading.eq(~ragged), running.eq(~ragged)]
        with m.If(begin & loading):
            m.d.sync += [loading.eq(0), lines.eq(1)]
        with m.If(loops.wrap.unit):
            m.d.sync += [lines.eq(0), running.eq(0)]
        with m.If(loops.turn):
            m.d.sync += [
                ragged.eq(last.tile),  # the tile that was streamed is the row's last
                reading.eq(ends_tile & row.raw),
                loading.eq(~ends_tile | (~row.raw & ~last.tile)),
                running.eq(~ends_tile | row.raw | ~last.tile),
            ]
        with m.If(started[0]):
            m.d.sync += [running.eq(1), loading.eq(1)]
        chosen = Signal(segment_layout(self.geometry))
        m.d.comb += [
            loops.step.eq(lines & room),
            chosen.load.eq(loading),
            chosen.read.eq(reading),
            chosen.lane.eq(loops.lane),
            chosen.first.eq(loops.first),
            chosen.last.eq(loops.final),
            chosen.records.eq(ends_tile & ~row.raw),
            chosen.end.eq(ragged & self.final),
            chosen.channels.eq(Mux(ragged, row.channels_tail, self.geometry.columns)),
        ]
        return begin, chosen

    def _completed(self, m: Module, now: data.View, walk: InputWalk) -> data.View:
        """The segment after the last stage: what needs more cycles joins on the way."""
        row, geometry = self.row, self.geometry
        stages = [now]
        for number in range(2, self.STAGES + 1):
            stages.append(Signal(segment_layout(geometry), name=f"stage_{number}"))
            m.d.sync += stages[-1].eq(stages[-2])

        # A load's cycles, then whether anything has one cycle only.
        plain, records = (Pacer.load_cycles(geometry, records=n) - 1 for n in (False, True))
        load_count = Signal(len(now.count))
        unpaced = Signal()
        counted = stages[1]
        m.d.comb += load_count.eq(Mux(now.records, records, plain))
        m.d.sync += [
            counted.count.eq(Mux(now.load, load_count, now.count)),
            unpaced.eq(row.pace == 0),
            stages[2].single.eq(
                ~counted.load
                & (counted.count == 0)
                & (counted.read | ((unpaced | ~counted.last) & (row.shortest == 0)))
            ),
            stages[1 + InputWalk.WINDOW_CYCLES]["pass"].eq(walk.window),
            stages[1 + self.SCALE_CYCLES].scale.eq(self.scale),
        ]
        return stages[-1]

    def _memories(
        self,
        m: Module,
        now: data.View,
        kind: data.View,
        start: Value,
        step: Signal,
        wrap: data.View,
        valid: Value,
    ) -> None:
        """Places in the scale, weight and accumulator memories; ``kind`` says what ``now`` is."""
        geometry, row = self.geometry, self.row

        # Lane scales: weight plane by weight plane, lane by lane.
        scale = Signal(ceil_log2(geometry.scale_depth))
        plane = Signal(ceil_log2(geometry.scale_depth))
        next_plane = Signal(ceil_log2(geometry.scale_depth))
        m.d.comb += [next_plane.eq(plane + row.lane_last + 1), self.scale_index.eq(scale)]
        with m.If(step):
            m.d.sync += scale.eq(scale + 1)
        with m.If(wrap.lane):
            m.d.sync += scale.eq(plane)
        with m.If(wrap.ky):
            m.d.sync += [plane.eq(next_plane), scale.eq(next_plane)]
        with m.If(wrap.plane):
            m.d.sync += [plane.eq(row.scale_base), scale.eq(row.scale_base)]

        # Weights: pass by pass, tile by tile. Thresholds: tile by tile.
        weights = Signal(ceil_log2(geometry.weight_depth))
        record = Signal(ceil_log2(geometry.weight_depth))
        with m.If(valid & kind.load):
            m.d.sync += weights.eq(weights + geometry.weight_load_cycles)
        with m.If(wrap.plane):
            m.d.sync += record.eq(record + geometry.record_words)
        with m.If(start):
            m.d.sync += [weights.eq(row.weight_base), record.eq(row.record_base)]
        m.d.comb += [now.weights.eq(weights), now.record.eq(record)]

        # Accumulators: position by position, unit by unit; or one line's, over and over.
        accumulator = Signal(len(now.address))
        following = Signal(len(now.count))
        count, units_last = Signal(len(now.count)), Signal(len(now.count))
        m.d.comb += [
            following.eq(accumulator + row.map_width_last + 1),
            now.address.eq(accumulator),
        ]
        m.d.sync += units_last.eq(self.units - 1)
        with m.If(wrap.lane & row.keep):
            m.d.sync += accumulator.eq(following)
        with m.If(wrap.unit):
            m.d.sync += accumulator.eq(0)
        with m.If(wrap.unit):
            m.d.sync += count.eq(following - 1)
        m.d.comb += now.count.eq(
            Mux(row.flat, units_last, Mux(kind.read, count, row.map_width_last))
        )
