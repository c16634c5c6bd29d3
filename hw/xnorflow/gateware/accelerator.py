# SPDX-License-Identifier: Apache-2.0
"""The accelerator: everything between the host's streams."""

from typing import Any

from amaranth import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.banks import ActivationBanks
from xnorflow.gateware.collector import Collector
from xnorflow.gateware.control import Control
from xnorflow.gateware.delay import OwnRegister
from xnorflow.gateware.fabric import Fabric
from xnorflow.gateware.formatter import Formatter
from xnorflow.gateware.issuer import Issuer
from xnorflow.gateware.layouts import write_layout
from xnorflow.gateware.loader import Loader
from xnorflow.gateware.registers import RegisterBlock
from xnorflow.gateware.results import ResultShifter, result_layout
from xnorflow.gateware.sequencer import Sequencer
from xnorflow.gateware.store import ProgramStore
from xnorflow.gateware.writepath import WritePath

__all__ = ["Accelerator", "accelerator_ports", "host_ports"]


def host_ports() -> dict[str, Any]:
    """Members that a host's link drives: register bus and streams."""
    return {
        "reg_address": In(8),
        "reg_write": In(1),
        "reg_write_data": In(32),
        "reg_read_data": Out(32),
        "config": In(stream.Signature(32)),
        "pixels": In(stream.Signature(8)),
        "results": Out(stream.Signature(result_layout)),
    }


def accelerator_ports(geometry: Geometry) -> dict[str, Any]:
    """Members of every accelerator of a geometry: register bus, streams, and taps for tests."""
    ports = host_ports() | {"tap_row": Out(8)}
    write = write_layout(geometry)
    for bank in range(geometry.banks):
        ports[f"tap_{bank}__enable"] = Out(geometry.word_width // geometry.granule)
        ports[f"tap_{bank}__address"] = Out(write["address"].shape)
        for pixel in range(geometry.pixels):
            ports[f"tap_{bank}__data_{pixel}"] = Out(geometry.word_width)
    return ports


class Accelerator(wiring.Component):
    """Registers and three streams outside; sequencer, array, feet and banks inside.

    Parameters
    ----------
    geometry : Geometry
    build_hash : int
        For the ``build_hash`` register.
    contents : Contents or None
        A network that is in the memories from the start; another one can be loaded over it.

    Members
    -------
    reg_address, reg_write, reg_write_data, reg_read_data
        Register bus (:class:`RegisterBlock`).
    config : In(stream)
        Packets of program, weights and thresholds, 32-bit words (core/program.py).
    pixels : In(stream)
        Bytes of images: image, row, position, channel.
    results : Out(stream)
        32-bit accumulators of the last layer: program row, channel tile, unit, map row, position,
        image of the unit, channel; ``last`` ends the block.
    tap_row, tap_<bank>__enable, tap_<bank>__address, tap_<bank>__data_<pixel> : Out
        For tests: what a program row writes into the activation banks.
    """

    def __init__(
        self, geometry: Geometry, *, build_hash: int = 0, contents: Contents | None = None
    ) -> None:
        self.geometry = geometry
        self.build_hash = build_hash
        self.contents = contents
        super().__init__(accelerator_ports(geometry))

    @staticmethod
    def flush_cycles(geometry: Geometry) -> int:
        """Cycles after which nothing that was issued is still under way."""
        return Fabric.flush_cycles(geometry) + 32  # issuer before the fabric, collector behind it

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.control = control = Control(
            geometry,
            flush_cycles=self.flush_cycles(geometry),
            fetch_cycles=ProgramStore.fetch_cycles(geometry),
        )
        m.submodules.registers = registers = RegisterBlock(geometry, build_hash=self.build_hash)

        def reset(name: str) -> ResetInserter:
            return ResetInserter(OwnRegister.of(m, control.flush, f"flush_{name}"))

        m.submodules.loader = loader = reset("loader")(Loader(geometry))
        m.submodules.store = store = ProgramStore(geometry, contents=self.contents)
        m.submodules.formatter = formatter = reset("formatter")(Formatter(geometry))
        m.submodules.sequencer = sequencer = reset("sequencer")(Sequencer(geometry))
        m.submodules.issuer = issuer = reset("issuer")(Issuer(geometry))
        m.submodules.banks = banks = ActivationBanks(geometry)
        m.submodules.fabric = fabric = Fabric(geometry, contents=self.contents)
        m.submodules.collector = collector = reset("collector")(Collector(geometry))
        m.submodules.shifter = shifter = reset("shifter")(ResultShifter(geometry))

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
            store.bus.eq(loader.bus),
            store.rewind.eq(control.rewind),
            store.fetch.eq(control.fetch),
            store.take.eq(control.take),
            store.scale_index.eq(sequencer.scale_index),
            sequencer.scale.eq(store.scale),
            fabric.bus.eq(loader.bus),
        ]
        for unit in (sequencer, collector):
            m.d.comb += [unit.row.eq(store.row), unit.units.eq(control.units)]

        # Segments to beats to codes.
        wiring.connect(m, sequencer.segments, issuer.segments)
        m.d.comb += [
            issuer.row.eq(store.row),
            fabric.beat.eq(issuer.beat),
            fabric.token.eq(issuer.token),
            fabric.load.eq(issuer.load),
            fabric.window.eq(issuer.window),
            fabric.double.eq(issuer.window.planes),
            banks.addresses.eq(fabric.addresses),
            fabric.bank_words.eq(banks.words),
            collector.codes.eq(fabric.codes),
            collector.valid.eq(fabric.codes_valid),
        ]

        # Accumulators to the way out.
        m.d.comb += [
            shifter.values.eq(fabric.values),
            shifter.valids.eq(fabric.values_valid),
            shifter.promise.eq(issuer.promise),
            shifter.channels.eq(issuer.channels),
            shifter.end.eq(issuer.end),
            issuer.room.eq(shifter.room),
        ]
        self._control(m, control, registers, store, loader)
        self._input(m, control, store, formatter)
        self._writes(m, control, formatter, collector, banks)
        m.d.comb += [
            sequencer.start.eq(control.row_start),
            sequencer.part.eq(control.part),
            sequencer.final.eq(control.final),
            collector.start.eq(control.row_start & ~store.row.raw),
            control.row_done.eq(sequencer.done & ~issuer.busy & (store.row.raw | collector.done)),
            control.waiting.eq(issuer.waiting),
        ]
        return m

    def _control(
        self,
        m: Module,
        control: Control,
        registers: RegisterBlock,
        store: ProgramStore,
        loader: Loader,
    ) -> None:
        """Control, and the registers that the host sees of it."""
        m.d.comb += [
            control.run.eq(registers.run),
            control.abort.eq(registers.abort),
            control.images.eq(registers.images),
            control.rows.eq(store.rows),
            control.block.eq(store.block),
            control.row.eq(store.row),
            control.bad_packet.eq(loader.error),
            loader.enable.eq(~control.busy),
            *(
                getattr(registers, name).eq(getattr(control, name))
                for name in ("status", "error", "blocks", "cycles", "wait_cycles")
            ),
        ]

    def _input(
        self, m: Module, control: Control, store: ProgramStore, formatter: Formatter
    ) -> None:
        """The formatter, which fills parts of the input as they become free."""
        m.d.comb += [
            formatter.row.eq(store.first_row),
            formatter.start.eq(control.input_start),
            formatter.images.eq(control.input_images),
            formatter.room.eq(control.input_room),
            control.input_ready.eq(store.first_row_valid),
            control.input_double.eq(store.first_row.chunk_double),
            control.input_idle.eq(formatter.idle),
            control.input_full.eq(formatter.full),
        ]

    def _writes(
        self,
        m: Module,
        control: Control,
        formatter: Formatter,
        collector: Collector,
        banks: ActivationBanks,
    ) -> None:
        """Collector and formatter to the banks; while the collector writes, the formatter waits."""
        m.submodules.path = path = WritePath(self.geometry)
        m.d.sync += path.collects.eq(collector.writing)
        m.d.comb += [
            formatter.hold.eq(collector.writing),
            path.collected.eq(collector.writes),
            path.formatted.eq(formatter.writes),
            banks.writes.eq(path.writes),
            self.tap_row.eq(control.row_index),
        ]
        for bank, write in enumerate(collector.writes):
            m.d.comb += [
                getattr(self, f"tap_{bank}__enable").eq(write.enable[0]),
                getattr(self, f"tap_{bank}__address").eq(write.address),
                *(
                    getattr(self, f"tap_{bank}__data_{pixel}").eq(write.data[pixel])
                    for pixel in range(self.geometry.pixels)
                ),
            ]
