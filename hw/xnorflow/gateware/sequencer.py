# SPDX-License-Identifier: Apache-2.0
"""The sequencer: walks a program row's loops and describes each line of beats as one segment."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import row_layout, segment_layout
from xnorflow.gateware.loops import LoopCounters
from xnorflow.gateware.walk import InputWalk

__all__ = ["Sequencer"]


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
    scale_index, scale_enable, scale : Out, Out, In
        Read port of the lane scale memory: ``scale`` comes one cycle after an enabled index.
    segments : Out(stream of segment_layout)
        Weight loads, lines of beats, read-outs, in order.
    done : Out(1)
        Every segment was handed over.

    Timing
    ------
    One segment a cycle.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "units": In(16),
                "part": In(1),
                "final": In(1),
                "scale_index": Out(ceil_log2(geometry.scale_depth)),
                "scale_enable": Out(1),
                "scale": In(geometry.scale_width),
                "segments": Out(stream.Signature(segment_layout(geometry))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = self.row
        m.submodules.loops = loops = LoopCounters(self.geometry)
        m.submodules.walk = walk = InputWalk(self.geometry)

        # A pass loads its weights first; a tile of the last layer is read out at its end.
        running = Signal()
        loading = Signal()
        reading = Signal()
        ragged = Signal()  # the tile that was streamed is the row's last
        move = Signal()  # the pipeline of segments moves on
        stepping = Signal()
        m.d.comb += stepping.eq(move & running & ~loading & ~reading)
        with m.If(move & reading):
            m.d.sync += reading.eq(0)
            with m.If(ragged):
                m.d.sync += running.eq(0)
        with m.Elif(move & loading):
            m.d.sync += loading.eq(0)
        with m.If(loops.wrap.unit):
            m.d.sync += loading.eq(1)
        with m.If(loops.wrap.plane):
            m.d.sync += [reading.eq(row.raw), ragged.eq(loops.last.tile)]
            with m.If(loops.last.tile & ~row.raw):
                m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), loading.eq(1), reading.eq(0)]
        m.d.comb += [
            loops.start.eq(self.start),
            loops.row.eq(row),
            loops.units.eq(self.units),
            loops.step.eq(stepping),
            walk.start.eq(self.start),
            walk.row.eq(row),
            walk.part.eq(self.part),
            walk.step.eq(stepping),
            walk.wrap.eq(loops.wrap),
            walk.move.eq(move),
        ]

        segment = Signal(segment_layout(self.geometry))
        self._memories(m, loops, segment, move & loading & ~reading)
        m.d.comb += [
            segment.load.eq(loading & ~reading),
            segment.read.eq(reading),
            segment.end.eq(ragged & self.final),
            segment.channels.eq(Mux(ragged, row.channels_tail, self.geometry.columns)),
            segment.x.eq(walk.x),
            segment.slot.eq(walk.slot),
            segment.column.eq(walk.column),
            segment.word_column.eq(walk.word_column),
            segment["pass"].eq(walk.window),
            segment.lane.eq(loops.lane),
            segment.first.eq(loops.first),
            segment.last.eq(loops.final),
            # These join later.
            *(segment[name].eq(0) for name in ("lines", "row", "inside", "scale")),
        ]

        # Two more stages, for the walk's sums; the lane scale joins at the second.
        stages = [Signal(segment_layout(self.geometry), name=f"segment_{n}") for n in (1, 2)]
        valid = [Signal(name=f"valid_{n}") for n in (1, 2)]
        m.d.comb += [
            move.eq(~valid[1] | self.segments.ready),
            self.scale_enable.eq(move),
            self.segments.valid.eq(valid[1]),
            self.segments.payload.eq(stages[1]),
            self.segments.payload.lines.eq(walk.lines),
            self.segments.payload.row.eq(walk.line_row),
            self.segments.payload.inside.eq(walk.inside),
            self.done.eq(~running & ~valid[0] & ~valid[1]),
        ]
        with m.If(move):
            m.d.sync += [
                stages[0].eq(segment),
                valid[0].eq(running),
                stages[1].eq(stages[0]),
                stages[1].scale.eq(self.scale),
                valid[1].eq(valid[0]),
            ]
        return m

    def _memories(self, m: Module, loops: LoopCounters, segment: Signal, loaded: Signal) -> None:
        """Places in the scale, weight and accumulator memories."""
        geometry, row, wrap = self.geometry, self.row, loops.wrap

        # Lane scales: weight plane by weight plane, lane by lane.
        scale = Signal(ceil_log2(geometry.scale_depth))
        plane = Signal(ceil_log2(geometry.scale_depth))
        next_plane = Signal(ceil_log2(geometry.scale_depth))
        m.d.comb += [next_plane.eq(plane + row.lane_last + 1), self.scale_index.eq(scale)]
        with m.If(loops.step):
            m.d.sync += scale.eq(scale + 1)
        with m.If(wrap.lane):
            m.d.sync += scale.eq(plane)
        with m.If(wrap.ky):
            m.d.sync += [plane.eq(next_plane), scale.eq(next_plane)]
        with m.If(wrap.plane | self.start):
            m.d.sync += [plane.eq(row.scale_base), scale.eq(row.scale_base)]

        # Weights: pass by pass, tile by tile. Thresholds: tile by tile.
        weights = Signal(ceil_log2(geometry.weight_depth))
        record = Signal(ceil_log2(geometry.weight_depth))
        with m.If(loaded):
            m.d.sync += weights.eq(weights + geometry.weight_load_cycles)
        with m.If(wrap.plane):
            m.d.sync += record.eq(record + geometry.record_words)
        with m.If(self.start):
            m.d.sync += [weights.eq(row.weight_base), record.eq(row.record_base)]
        last = loops.last
        m.d.comb += [
            segment.weights.eq(weights),
            segment.record.eq(record),
            segment.records.eq(last.cw & last.kx & last.ky & last.plane & ~row.raw),
        ]

        # Accumulators: position by position, unit by unit; or one line's, over and over.
        accumulator = Signal(len(segment.address))
        following = Signal(len(segment.count))
        count = Signal(len(segment.count))
        m.d.comb += [
            following.eq(accumulator + row.map_width_last + 1),
            segment.address.eq(accumulator),
        ]
        with m.If(wrap.lane & row.keep):
            m.d.sync += accumulator.eq(following)
        with m.If(wrap.unit | self.start):
            m.d.sync += accumulator.eq(0)
        with m.If(wrap.unit):
            m.d.sync += count.eq(following - 1)
        with m.If(segment.read):
            m.d.comb += segment.count.eq(Mux(row.flat, self.units - 1, count))
        with m.Else():
            m.d.comb += segment.count.eq(Mux(row.flat, self.units - 1, row.map_width_last))
