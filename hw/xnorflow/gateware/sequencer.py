# SPDX-License-Identifier: Apache-2.0
"""The sequencer: walks a layer row's loops and describes each line of beats as one segment."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.foot import Foot
from xnorflow.gateware.layouts import row_layout, segment_layout
from xnorflow.gateware.loops import LoopCounters
from xnorflow.gateware.walk import InputWalk

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Nested counters, outermost first:

        group of images > tile > weight plane > kernel line(s) > kernel column(s) > channel word(s)
        > load the weights, then: lane > image > map row > repeat > (a segment of beats)

    and, in the last layer, one read-out a tile.

    Members
    -------
    start : In(1)
        Walk the layer of ``row``; it and ``images`` stay until ``done``.
    row : In(row_layout)
    images : In(16)
        Images in the block.
    scale_index, scale : Out, In
        Read port of the lane scale memory: ``scale`` comes one cycle after ``scale_index`` where
        ``scale_enable`` is 1, else it stays.
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
                "images": In(16),
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
        m.d.comb += [
            loops.start.eq(self.start),
            loops.row.eq(row),
            loops.images.eq(self.images),
            walk.start.eq(self.start),
            walk.row.eq(row),
            walk.wrap.eq(loops.wrap),
        ]

        # A pass loads its weights first; a tile of the last layer is read out at its end.
        running = Signal()
        loading = Signal()
        reading = Signal()
        ragged = Signal()  # the tile that was streamed is the last of its group of images
        ending = Signal()  # and the layer's last; only its read-out is left
        move = Signal()  # this cycle's segment enters the output stage
        m.d.comb += loops.step.eq(move & ~loading & ~reading)
        with m.If(move & reading):
            m.d.sync += reading.eq(0)
            with m.If(ending):
                m.d.sync += running.eq(0)
        with m.Elif(move & loading):
            m.d.sync += loading.eq(0)
        with m.If(loops.wrap.lane):
            m.d.sync += loading.eq(1)
        with m.If(loops.wrap.plane):
            m.d.sync += [reading.eq(row.raw), ragged.eq(loops.last.tile)]
        with m.If(loops.wrap.group):
            m.d.sync += ending.eq(1)
            with m.If(~row.raw):
                m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), loading.eq(1), ending.eq(0)]

        segment = Signal(segment_layout(self.geometry))
        self._memories(m, loops, segment, move & loading & ~reading)
        self._describe(m, loops, walk, segment)
        m.d.comb += [
            segment.load.eq(loading & ~reading),
            segment.read.eq(reading),
            segment.end.eq(ending),
            segment.channels.eq(Mux(ragged, row.channels_tail, self.geometry.columns)),
        ]

        # Output stage: the lane scale joins.
        staged = Signal(segment_layout(self.geometry))
        staged_valid = Signal()
        m.d.comb += [
            move.eq(running & (~staged_valid | self.segments.ready)),
            self.scale_enable.eq(move),
            self.segments.valid.eq(staged_valid),
            self.segments.payload.eq(staged),
            self.segments.payload.scale.eq(self.scale),
            self.done.eq(~running & ~staged_valid),
        ]
        with m.If(move):
            m.d.sync += [staged.eq(segment), staged_valid.eq(1)]
        with m.Elif(self.segments.ready):
            m.d.sync += staged_valid.eq(0)
        return m

    def _memories(self, m: Module, loops: LoopCounters, segment: Signal, loaded: Signal) -> None:
        """Places in the scale, weight and accumulator memories."""
        geometry, row, wrap = self.geometry, self.row, loops.wrap

        # Lane scales: weight plane by weight plane, lane by lane.
        scale = Signal(ceil_log2(geometry.scale_depth))
        plane = Signal(ceil_log2(geometry.scale_depth))
        next_plane = Signal(ceil_log2(geometry.scale_depth))
        m.d.comb += [
            next_plane.eq(plane + row.lane_last + 1),
            self.scale_index.eq(scale),
            segment.scale.eq(self.scale),  # the one before; the output stage puts in its own
        ]
        with m.If(wrap.image):
            m.d.sync += scale.eq(scale + 1)
        with m.If(wrap.lane):
            m.d.sync += scale.eq(plane)
        with m.If(wrap.ky):
            m.d.sync += [plane.eq(next_plane), scale.eq(next_plane)]
        with m.If(wrap.plane | self.start):
            m.d.sync += [plane.eq(row.scale_base), scale.eq(row.scale_base)]

        # Weights: pass by pass, tile by tile; every group of images needs them all again.
        weights = Signal(ceil_log2(geometry.weight_depth))
        m.d.comb += segment.weights.eq(weights)
        with m.If(loaded):
            m.d.sync += weights.eq(weights + geometry.weight_load_cycles)
        with m.If(wrap.tile | self.start):
            m.d.sync += weights.eq(row.weight_base)

        # Accumulators: position by position, image by image of the group.
        accumulator = Signal(len(segment.address))
        count = Signal(len(segment.address))
        m.d.comb += segment.address.eq(Mux(segment.read, count, accumulator))
        with m.If(wrap.repeat):
            m.d.sync += accumulator.eq(accumulator + row.map_width)
        with m.If(wrap.image):
            m.d.sync += accumulator.eq(0)
            m.d.sync += count.eq(Mux(row.flat, self.images, accumulator + row.map_width))

    def _describe(self, m: Module, loops: LoopCounters, walk: InputWalk, segment: Signal) -> None:
        """What a line of beats reads and gives."""
        row = self.row
        m.d.comb += [
            segment.addresses.eq(walk.addresses),
            segment.rotation.eq(walk.rotation),
            segment.active.eq(walk.active),
            segment.inside.eq(walk.inside),
            segment.tails.eq(walk.tails),
            segment.x.eq(walk.x),
            segment.fill.eq(row.border_bits.bit_select(loops.lane, 1)),
            segment.taps.eq(Mux(loops.last.kx, (1 << row.taps_last) - 1, ~0)),
            segment.first.eq(loops.first),
            segment.last.eq(loops.final & ~row.raw),
            segment.repeat.eq(loops.repeat),
            segment.tile.eq(row.tile_base + loops.tile),
            segment.outputs.eq(row.map_width),
            segment.beats.eq(Mux(loops.last.kx, row.beats_tail, row.beats)),
        ]
        with m.If(row.flat):
            shortest = Foot.TURNAROUND_CYCLES - 1
            beats = self.images - 1 + row.beats
            m.d.comb += [
                segment.outputs.eq(self.images),
                segment.beats.eq(Mux(beats < shortest, shortest, beats)),
            ]
