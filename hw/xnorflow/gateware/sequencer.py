# SPDX-License-Identifier: Apache-2.0
"""The sequencer: walks a layer row's loops and describes each line of beats as one segment."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.foot import Foot
from xnorflow.gateware.layouts import row_layout, segment_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo

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
        geometry, row = self.geometry, self.row
        streams = geometry.streams
        address_bits = ceil_log2(geometry.activation_depth)
        modulo = range(streams)

        running = Signal()
        loading = Signal()
        reading = Signal()
        move = Signal()  # this cycle's segment enters the output stage
        segment = Signal(segment_layout(geometry))
        staged = Signal(segment_layout(geometry))
        staged_valid = Signal()

        # -- loop counters -------------------------------------------------------------------
        repeat = Signal(4)
        map_row, ky, kx, cw = (Signal(SIZE_BITS, name=n) for n in ("map_row", "ky", "kx", "cw"))
        lane = Signal(3)
        plane = Signal(3)
        image = Signal(16)
        group = Signal(16)
        remaining = Signal(16)
        tile = Signal(ceil_log2(geometry.threshold_depth))
        m.d.comb += group.eq(Mux(row.group < remaining, row.group, remaining))
        final = Signal()
        ends = {
            "repeat": repeat == Mux(final, row.repeat_last, 0),
            "map_row": map_row == row.map_row_last,
            "image": row.flat | (image == group - 1),
            "lane": lane == row.lane_last,
            "cw": cw == row.cw_last,
            "kx": kx == row.kx_last,
            "ky": ky == row.ky_last,
            "plane": plane == row.plane_last,
            "tile": tile == row.tile_last,
            "group": row.flat | (group == remaining),
        }
        last = {name: Signal(name=f"last_{name}") for name in ends}
        wrap = {name: Signal(name=f"wrap_{name}") for name in ends}
        streamed = Signal()  # a segment of beats moves on
        m.d.comb += streamed.eq(move & ~loading & ~reading)
        inner = streamed
        for name, end in ends.items():
            m.d.comb += [last[name].eq(end), wrap[name].eq(inner & last[name])]
            inner = wrap[name]
        last_pass = last["cw"] & last["kx"] & last["ky"] & last["plane"]
        first_pass = (cw == 0) & (kx == 0) & (ky == 0) & (plane == 0)
        m.d.comb += final.eq(last_pass & last["lane"])

        counters = {
            "repeat": (repeat, streamed),
            "map_row": (map_row, wrap["repeat"]),
            "image": (image, wrap["map_row"]),
            "lane": (lane, wrap["image"]),
            "cw": (cw, wrap["lane"]),
            "kx": (kx, wrap["cw"]),
            "ky": (ky, wrap["kx"]),
            "plane": (plane, wrap["ky"]),
            "tile": (tile, wrap["plane"]),
        }
        for name, (counter, step) in counters.items():
            with m.If(step):
                m.d.sync += counter.eq(Mux(last[name], 0, counter + 1))

        # -- what the loops move -------------------------------------------------------------
        # A map row is its line group's address and its number modulo streams; y is the number.
        y_bits = signed(SIZE_BITS + 2)
        y = Signal(y_bits)
        y_base = Signal(y_bits)
        line = Signal(address_bits)
        line_base = Signal(address_bits)
        y_modulo = Signal(modulo)
        y_modulo_base = Signal(modulo)
        x = Signal(signed(SIZE_BITS + 2))
        ky_index = Signal(SIZE_BITS)
        cw_index = Signal(SIZE_BITS)
        cw_address = Signal(address_bits)
        lane_address = Signal(address_bits)
        cw_modulo = Signal(modulo)
        lane_modulo = Signal(modulo)
        image_address = Signal(address_bits)
        group_address = Signal(address_bits)
        weights = Signal(ceil_log2(geometry.weight_depth))
        scale_index, plane_scale = (
            Signal(ceil_log2(geometry.scale_depth), name=name) for name in ("index", "plane_scale")
        )
        accumulator, count = (
            Signal(len(segment.address), name=name) for name in ("accumulator", "count")
        )

        with m.If(wrap["repeat"]):
            carry = y_modulo + row.step_row >= streams
            m.d.sync += [
                y.eq(y + row.stride),
                line.eq(line + row.step_line + Mux(carry, row.line_stride, 0)),
                y_modulo.eq(add_modulo(y_modulo, row.step_row, streams)),
                accumulator.eq(accumulator + row.map_width),
            ]
        with m.If(wrap["map_row"]):
            m.d.sync += [y.eq(y_base), line.eq(line_base), y_modulo.eq(y_modulo_base)]
            m.d.sync += image_address.eq(image_address + row.image_stride)
        with m.If(wrap["image"]):
            m.d.sync += [
                image_address.eq(group_address),
                accumulator.eq(0),
                count.eq(Mux(row.flat, self.images, accumulator + row.map_width)),
                lane_address.eq(lane_address + row.lane_stride),
                lane_modulo.eq(next_modulo(lane_modulo, streams)),
                scale_index.eq(scale_index + 1),
            ]
        with m.If(wrap["lane"]):
            m.d.sync += [
                lane_address.eq(0),
                lane_modulo.eq(0),
                scale_index.eq(plane_scale),
                cw_address.eq(cw_address + row.cw_step),
                cw_index.eq(cw_index + Mux(row.by_words, streams, 1)),
                loading.eq(1),
            ]
            with m.If(~row.by_words):  # words that are ``streams`` apart share a bank
                m.d.sync += cw_modulo.eq(next_modulo(cw_modulo, streams))
        with m.If(wrap["cw"]):
            m.d.sync += [cw_address.eq(0), cw_index.eq(0), cw_modulo.eq(0)]
            m.d.sync += x.eq(x + geometry.taps)
        with m.If(wrap["kx"]):
            m.d.sync += x.eq(-row.padding_x)
            # The next kernel line, or ``streams`` of them: then only the line group changes.
            next_line = Signal(address_bits)
            next_modulo_y = Signal(modulo)
            next_y = Signal(y_bits)
            to_next_group = row.by_words & (y_modulo_base == streams - 1)
            m.d.comb += [
                next_line.eq(line_base + Mux(~row.by_words | to_next_group, row.line_stride, 0)),
                next_modulo_y.eq(
                    Mux(row.by_words, next_modulo(y_modulo_base, streams), y_modulo_base)
                ),
                next_y.eq(y_base + Mux(row.by_words, 1, streams)),
            ]
            m.d.sync += [
                ky_index.eq(ky_index + Mux(row.by_words, 1, streams)),
                *(base.eq(next_line) for base in (line, line_base)),
                *(base.eq(next_modulo_y) for base in (y_modulo, y_modulo_base)),
                *(base.eq(next_y) for base in (y, y_base)),
            ]

        def to_top() -> list:
            """The kernel's first line."""
            return [
                ky_index.eq(0),
                *(base.eq(row.start_address) for base in (line, line_base)),
                *(base.eq(row.start_row) for base in (y_modulo, y_modulo_base)),
                *(base.eq(-row.padding_y) for base in (y, y_base)),
            ]

        with m.If(wrap["ky"]):
            m.d.sync += to_top()
            m.d.sync += [
                plane_scale.eq(plane_scale + row.lane_last + 1),
                scale_index.eq(plane_scale + row.lane_last + 1),
            ]
        with m.If(wrap["plane"]):
            m.d.sync += [plane_scale.eq(row.scale_base), scale_index.eq(row.scale_base)]
            m.d.sync += reading.eq(row.raw)
        with m.If(wrap["tile"]):
            next_group = Signal(address_bits)
            m.d.comb += next_group.eq(image_address + row.image_stride)
            m.d.sync += [
                weights.eq(row.weight_base),
                remaining.eq(remaining - group),
                group_address.eq(next_group),
                image_address.eq(next_group),
            ]
        with m.If(wrap["group"] & ~row.raw):
            m.d.sync += running.eq(0)
        ending = Signal()  # the layer's last tile was streamed; only its read-out is left
        with m.If(wrap["group"]):
            m.d.sync += ending.eq(1)

        with m.If(move & loading & ~reading):
            m.d.sync += [loading.eq(0), weights.eq(weights + geometry.weight_load_cycles)]
        with m.If(move & reading):
            m.d.sync += reading.eq(0)
            with m.If(ending):
                m.d.sync += running.eq(0)

        with m.If(self.start):
            m.d.sync += to_top()
            m.d.sync += [
                running.eq(1),
                loading.eq(1),
                ending.eq(0),
                x.eq(-row.padding_x),
                weights.eq(row.weight_base),
                plane_scale.eq(row.scale_base),
                scale_index.eq(row.scale_base),
                remaining.eq(self.images),
                image_address.eq(0),
                group_address.eq(0),
            ]

        # -- the segment ---------------------------------------------------------------------
        m.d.comb += [
            self.scale_index.eq(scale_index),
            self.scale_enable.eq(move),
            segment.load.eq(loading & ~reading),
            segment.scale.eq(self.scale),  # the one before; the output stage puts in its own
            segment.read.eq(reading),
            segment.end.eq(ending),
            segment.fill.eq(row.border_bits.bit_select(lane, 1)),
            segment.x.eq(x),
            segment.beats.eq(Mux(last["kx"], row.beats_tail, row.beats)),
            segment.outputs.eq(row.map_width),
            segment.taps.eq(Mux(last["kx"], (1 << row.taps_last) - 1, ~0)),
            segment.weights.eq(weights),
            segment.address.eq(Mux(reading, count, accumulator)),
            segment.first.eq(first_pass & (lane == 0)),
            segment.last.eq(final & ~row.raw),
            segment.repeat.eq(repeat),
            segment.tile.eq(row.tile_base + tile),
            segment.channels.eq(Mux(ending, row.channels_tail, geometry.columns)),
            segment.rotation.eq(
                add_modulo(add_modulo(y_modulo, cw_modulo, streams), lane_modulo, streams)
            ),
        ]
        with m.If(row.flat):
            shortest = Foot.TURNAROUND_CYCLES - 1
            beats = self.images - 1 + row.beats
            m.d.comb += [
                segment.outputs.eq(self.images),
                segment.beats.eq(Mux(beats < shortest, shortest, beats)),
            ]
        base = Signal(address_bits)
        m.d.comb += base.eq(line + cw_address + lane_address + image_address)
        for s in range(streams):
            kernel_line = ky_index + Mux(row.by_words, 0, s)
            word = cw_index + Mux(row.by_words, s, 0)
            y_stream = Signal(y_bits, name=f"y_{s}")
            carry = y_modulo + s >= streams
            m.d.comb += [
                y_stream.eq(y + Mux(row.by_words, 0, s)),
                segment.active[s].eq((kernel_line <= row.kernel_last) & (word <= row.word_last)),
                segment.inside[s].eq((y_stream >= 0) & (y_stream <= row.row_last)),
                segment.tails[s].eq(word == row.word_last),
                segment.addresses[s].eq(
                    base + Mux(row.by_words, s * row.word_stride, Mux(carry, row.line_stride, 0))
                ),
            ]

        # -- output stage: the lane scale joins ------------------------------------------------
        m.d.comb += [
            move.eq(running & (~staged_valid | self.segments.ready)),
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
