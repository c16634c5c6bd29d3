# SPDX-License-Identifier: Apache-2.0
"""The accelerator: everything between the host's streams."""

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits
from xnorflow.gateware.array import StreamSkew, SystolicArray
from xnorflow.gateware.banks import ActivationBanks, Fetch
from xnorflow.gateware.collector import Collector
from xnorflow.gateware.control import Control
from xnorflow.gateware.deskew import Deskew
from xnorflow.gateware.foot import Foot
from xnorflow.gateware.formatter import Formatter
from xnorflow.gateware.issuer import Issuer
from xnorflow.gateware.layouts import (
    load_layout,
    row_layout,
    segment_layout,
    token_layout,
    write_layout,
)
from xnorflow.gateware.loader import Loader
from xnorflow.gateware.realcount import RealCount
from xnorflow.gateware.registers import RegisterBlock
from xnorflow.gateware.results import ResultShifter, result_layout
from xnorflow.gateware.sequencer import Sequencer

__all__ = ["Accelerator", "flush_cycles"]

SEGMENT_FIFO_DEPTH = 4


def flush_cycles(geometry: Geometry) -> int:
    """Cycles after which nothing that was issued is still under way."""
    array = SystolicArray.cycles(geometry)
    return 16 + Fetch.latency_cycles + array + 2 * geometry.hops + Foot.cycles(geometry)


class Accelerator(wiring.Component):
    """Registers and three streams outside; sequencer, array, feet and banks inside.

    Parameters
    ----------
    geometry : Geometry
    build_hash : int
        For the ``build_hash`` register.

    Members
    -------
    reg_address, reg_write, reg_write_data, reg_read_data
        Register bus (:class:`RegisterBlock`).
    config : In(stream)
        Packets of program, weights and thresholds, 32-bit words (core/program.py).
    pixels : In(stream)
        Bytes of images: image, row, position, channel.
    results : Out(stream)
        32-bit accumulators of the last layer: group of images, channel tile, image, row,
        position, channel; ``last`` ends the block.
    tap_layer, tap_<bank> : Out
        For tests: what is written into the activation banks (0 the input, i + 1 layer i's codes).
    """

    def __init__(self, geometry: Geometry, *, build_hash: int = 0) -> None:
        self.geometry = geometry
        self.build_hash = build_hash
        ports = {
            "reg_address": In(8),
            "reg_write": In(1),
            "reg_write_data": In(32),
            "reg_read_data": Out(32),
            "config": In(stream.Signature(32)),
            "pixels": In(stream.Signature(8)),
            "results": Out(stream.Signature(result_layout)),
            "tap_layer": Out(8),
        }
        write = write_layout(geometry)
        for bank in range(geometry.streams):
            for name in ("enable", "address", "data"):
                ports[f"tap_{bank}__{name}"] = Out(write[name].shape)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        flush = Signal()
        reset = ResetInserter(flush)

        m.submodules.control = control = Control(flush_cycles=flush_cycles(geometry))
        m.submodules.registers = registers = RegisterBlock(geometry, build_hash=self.build_hash)
        m.submodules.loader = loader = reset(Loader(geometry))
        m.submodules.formatter = formatter = reset(Formatter(geometry))
        m.submodules.sequencer = sequencer = reset(Sequencer(geometry))
        m.submodules.issuer = issuer = reset(Issuer(geometry))
        m.submodules.collector = collector = reset(Collector(geometry))
        m.submodules.shifter = shifter = reset(ResultShifter(geometry))
        m.submodules.banks = banks = ActivationBanks(geometry)
        m.submodules.segments = segments = reset(
            SyncFIFOBuffered(width=segment_layout(geometry).size, depth=SEGMENT_FIFO_DEPTH)
        )

        # Host side.
        m.d.comb += [
            registers.address.eq(self.reg_address),
            registers.write.eq(self.reg_write),
            registers.write_data.eq(self.reg_write_data),
            self.reg_read_data.eq(registers.read_data),
        ]
        wiring.connect(m, wiring.flipped(self.config), loader.words)
        wiring.connect(m, wiring.flipped(self.pixels), formatter.pixels)
        wiring.connect(m, shifter.results, wiring.flipped(self.results))

        # Program memories.
        m.submodules.rows = rows = Memory(
            shape=item_bits(geometry, Target.LAYER), depth=geometry.layer_depth, init=[]
        )
        m.submodules.scales = scales = Memory(
            shape=geometry.scale_width, depth=geometry.scale_depth, init=[]
        )
        row_write, row_read = rows.write_port(), rows.read_port()
        scale_write, scale_read = scales.write_port(), scales.read_port()
        row = row_layout(geometry)(row_read.data)
        layers = Signal(16)
        block = Signal(16)
        m.d.comb += [
            row_write.en.eq(loader.write & (loader.target == Target.LAYER)),
            row_write.addr.eq(loader.address),
            row_write.data.eq(loader.item),
            row_read.en.eq(1),
            scale_write.en.eq(loader.bus.valid & (loader.bus.target == Target.SCALE)),
            scale_write.addr.eq(loader.bus.address),
            scale_write.data.eq(loader.bus.data),
            scale_read.en.eq(sequencer.scale_enable),
            scale_read.addr.eq(sequencer.scale_index),
            sequencer.scale.eq(scale_read.data),
        ]
        with m.If(loader.write & (loader.target == Target.CONTROL)):
            with m.If(loader.address == 0):
                m.d.sync += layers.eq(loader.item)
            with m.Else():
                m.d.sync += block.eq(loader.item)

        # Sequencer to banks to array.
        images = Signal(16)  # the host may already write the next block's number
        with m.If(control.formatter_start):
            m.d.sync += images.eq(registers.images)
        for unit in (formatter, sequencer, collector):
            m.d.comb += [unit.row.eq(row), unit.images.eq(images)]
        m.d.comb += [
            issuer.row.eq(row),
            segments.w_data.eq(sequencer.segments.payload),
            segments.w_en.eq(sequencer.segments.valid),
            sequencer.segments.ready.eq(segments.w_rdy),
            issuer.segments.payload.eq(segments.r_data),
            issuer.segments.valid.eq(segments.r_rdy),
            segments.r_en.eq(issuer.segments.ready),
        ]
        m.submodules.fetch = fetch = Fetch(geometry)
        m.submodules.skew = skew = StreamSkew(geometry)
        m.submodules.array = array = SystolicArray(geometry)
        m.submodules.realcount = realcount = RealCount(geometry)
        load = Signal(load_layout(geometry))
        tails = Signal(geometry.streams)
        m.d.sync += [load.eq(issuer.load), tails.eq(issuer.tails)]
        m.d.comb += [
            fetch.beat.eq(issuer.beat),
            fetch.tail.eq(row.tail),
            banks.addresses.eq(fetch.addresses),
            fetch.bank_words.eq(banks.words),
            skew.words.eq(fetch.words),
            skew.masks.eq(fetch.masks),
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.load.eq(load),
            array.bus.eq(loader.bus),
            realcount.masks.eq(skew.skewed_masks),
            realcount.load.eq(load),
            realcount.tails.eq(tails),
            realcount.tail.eq(row.tail),
        ]
        self._feet(m, issuer, array, realcount, loader, collector, shifter)

        # Back to the banks.
        writes = Signal(data.ArrayLayout(write_layout(geometry), geometry.streams))
        m.d.comb += [
            writes.eq(Mux(control.receiving, formatter.writes, collector.writes)),
            banks.writes.eq(writes),
            self.tap_layer.eq(Mux(control.receiving, 0, control.layer + 1)),
        ]
        for bank in range(geometry.streams):
            for name in ("enable", "address", "data"):
                m.d.comb += getattr(self, f"tap_{bank}__{name}").eq(writes[bank][name])

        # The way out.
        m.d.comb += [
            shifter.channels.eq(issuer.channels),
            shifter.end.eq(issuer.end),
            issuer.read_done.eq(shifter.done),
        ]

        # Control.
        m.d.comb += [
            control.run.eq(registers.run),
            control.abort.eq(registers.abort),
            control.images.eq(registers.images),
            control.layers.eq(layers),
            control.block.eq(block),
            control.bad_packet.eq(loader.error),
            formatter.start.eq(control.formatter_start),
            control.formatter_done.eq(formatter.done),
            sequencer.start.eq(control.layer_start),
            collector.start.eq(control.layer_start),
            control.layer_done.eq(sequencer.done & ~segments.r_rdy & (row.raw | collector.done)),
            control.waiting.eq(formatter.waiting | shifter.waiting),
            loader.enable.eq(~control.busy),
            flush.eq(control.flush),
            row_read.addr.eq(control.layer),
            *(
                getattr(registers, name).eq(getattr(control, name))
                for name in ("status", "error", "cycles", "wait_cycles")
            ),
        ]
        return m

    def _feet(
        self,
        m: Module,
        issuer: Issuer,
        array: SystolicArray,
        realcount: RealCount,
        loader: Loader,
        collector: Collector,
        shifter: ResultShifter,
    ) -> None:
        """A foot for each column; tokens meet the sums, then cross the hops beside them."""
        geometry = self.geometry
        token = issuer.token
        for cycle in range(Fetch.latency_cycles + array.latency_cycles):
            later = Signal(token_layout(geometry), name=f"token_{cycle}")
            m.d.sync += later.eq(token)
            token = later
        n, bus = realcount.n, loader.bus
        m.submodules.deskew = deskew = Deskew(geometry)
        for index in range(geometry.columns):
            if index and index % geometry.columns_per_hop == 0:
                hop = index // geometry.columns_per_hop
                later = [
                    Signal(signal.shape(), name=f"{name}_hop_{hop}")
                    for name, signal in (("token", token), ("n", n), ("bus", bus))
                ]
                m.d.sync += [new.eq(old) for new, old in zip(later, (token, n, bus), strict=True)]
                token, n, bus = later
            m.submodules[f"foot_{index}"] = foot = Foot(geometry, index=index)
            m.d.comb += [
                foot.token.eq(token),
                foot.n.eq(n),
                foot.sum.eq(array.sums[index]),
                foot.bus.eq(bus),
                deskew.codes[index].eq(foot.o),
                deskew.valids[index].eq(foot.o_valid),
                shifter.values[index].eq(foot.value),
                shifter.valids[index].eq(foot.value_valid),
            ]
        m.d.comb += [collector.codes.eq(deskew.o), collector.valid.eq(deskew.o_valid)]
