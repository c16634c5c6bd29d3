# SPDX-License-Identifier: Apache-2.0
"""The accelerator: everything between the host's streams."""

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.banks import ActivationBanks
from xnorflow.gateware.collector import Collector
from xnorflow.gateware.control import Control
from xnorflow.gateware.fabric import Fabric
from xnorflow.gateware.formatter import Formatter
from xnorflow.gateware.issuer import Issuer
from xnorflow.gateware.layouts import segment_layout, write_layout
from xnorflow.gateware.loader import Loader
from xnorflow.gateware.registers import RegisterBlock
from xnorflow.gateware.results import ResultShifter, result_layout
from xnorflow.gateware.sequencer import Sequencer
from xnorflow.gateware.store import ProgramStore

__all__ = ["Accelerator"]

SEGMENT_FIFO_DEPTH = 4


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

    @staticmethod
    def flush_cycles(geometry: Geometry) -> int:
        """Cycles after which nothing that was issued is still under way."""
        return Fabric.flush_cycles(geometry) + 16  # issuer before the fabric, collector behind it

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.control = control = Control(flush_cycles=self.flush_cycles(geometry))
        m.submodules.registers = registers = RegisterBlock(geometry, build_hash=self.build_hash)
        reset = ResetInserter(control.flush)
        m.submodules.loader = loader = reset(Loader(geometry))
        m.submodules.store = store = ProgramStore(geometry, item_width=len(loader.item))
        m.submodules.formatter = formatter = reset(Formatter(geometry))
        m.submodules.sequencer = sequencer = reset(Sequencer(geometry))
        m.submodules.segments = segments = reset(
            SyncFIFOBuffered(width=segment_layout(geometry).size, depth=SEGMENT_FIFO_DEPTH)
        )
        m.submodules.issuer = issuer = reset(Issuer(geometry))
        m.submodules.banks = banks = ActivationBanks(geometry)
        m.submodules.fabric = fabric = Fabric(geometry)
        m.submodules.collector = collector = reset(Collector(geometry))
        m.submodules.shifter = shifter = reset(ResultShifter(geometry))

        # Host to registers and streams.
        m.d.comb += [
            registers.address.eq(self.reg_address),
            registers.write.eq(self.reg_write),
            registers.write_data.eq(self.reg_write_data),
            self.reg_read_data.eq(registers.read_data),
        ]
        wiring.connect(m, wiring.flipped(self.config), loader.words)
        wiring.connect(m, wiring.flipped(self.pixels), formatter.pixels)
        wiring.connect(m, shifter.results, wiring.flipped(self.results))

        # Packets to program store and columns.
        m.d.comb += [
            store.item.eq(loader.item),
            store.target.eq(loader.target),
            store.address.eq(loader.address),
            store.write.eq(loader.write),
            store.bus.eq(loader.bus),
            store.layer.eq(control.layer),
            store.scale_index.eq(sequencer.scale_index),
            store.scale_enable.eq(sequencer.scale_enable),
            sequencer.scale.eq(store.scale),
            fabric.bus.eq(loader.bus),
        ]
        images = Signal(16)  # the host may already write the next block's number
        with m.If(control.formatter_start):
            m.d.sync += images.eq(registers.images)
        for unit in (formatter, sequencer, collector):
            m.d.comb += [unit.row.eq(store.row), unit.images.eq(images)]

        # Segments to beats to codes.
        m.d.comb += [
            segments.w_data.eq(sequencer.segments.payload),
            segments.w_en.eq(sequencer.segments.valid),
            sequencer.segments.ready.eq(segments.w_rdy),
            issuer.segments.payload.eq(segments.r_data),
            issuer.segments.valid.eq(segments.r_rdy),
            segments.r_en.eq(issuer.segments.ready),
            issuer.row.eq(store.row),
            fabric.beat.eq(issuer.beat),
            fabric.load.eq(issuer.load),
            fabric.tails.eq(issuer.tails),
            fabric.token.eq(issuer.token),
            fabric.tail.eq(store.row.tail),
            banks.addresses.eq(fabric.addresses),
            fabric.bank_words.eq(banks.words),
            collector.codes.eq(fabric.codes),
            collector.valid.eq(fabric.codes_valid),
        ]

        # Accumulators to the way out.
        m.d.comb += [
            shifter.values.eq(fabric.values),
            shifter.valids.eq(fabric.values_valid),
            shifter.channels.eq(issuer.channels),
            shifter.end.eq(issuer.end),
            issuer.read_done.eq(shifter.done),
        ]
        self._writes(m, control, formatter, collector, banks)

        # Control.
        m.d.comb += [
            control.run.eq(registers.run),
            control.abort.eq(registers.abort),
            control.images.eq(registers.images),
            control.layers.eq(store.layers),
            control.block.eq(store.block),
            control.bad_packet.eq(loader.error),
            formatter.start.eq(control.formatter_start),
            control.formatter_done.eq(formatter.done),
            sequencer.start.eq(control.layer_start),
            collector.start.eq(control.layer_start),
            control.layer_done.eq(
                sequencer.done & ~segments.r_rdy & (store.row.raw | collector.done)
            ),
            control.waiting.eq(formatter.waiting | shifter.waiting),
            loader.enable.eq(~control.busy),
            *(
                getattr(registers, name).eq(getattr(control, name))
                for name in ("status", "error", "cycles", "wait_cycles")
            ),
        ]
        return m

    def _writes(
        self,
        m: Module,
        control: Control,
        formatter: Formatter,
        collector: Collector,
        banks: ActivationBanks,
    ) -> None:
        """Formatter or collector to the banks, and to the taps."""
        writes = Signal(banks.writes.shape())
        m.d.comb += [
            writes.eq(Mux(control.receiving, formatter.writes, collector.writes)),
            banks.writes.eq(writes),
            self.tap_layer.eq(Mux(control.receiving, 0, control.layer + 1)),
        ]
        for bank in range(self.geometry.streams):
            for name in ("enable", "address", "data"):
                m.d.comb += getattr(self, f"tap_{bank}__{name}").eq(writes[bank][name])
