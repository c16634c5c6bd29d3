# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator: fully connected networks of one lane, with a tenth of the control."""

from __future__ import annotations

from amaranth import Array, Cat, DomainRenamer, Elaboratable, Module, ResetInserter, Signal, Value
from amaranth.lib import data, wiring

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.flat.control import FlatControl
from xnorflow.flat.datapath import FlatDatapath
from xnorflow.flat.receiver import FlatReceiver
from xnorflow.flat.store import FlatStore
from xnorflow.flat.timing import check_flat
from xnorflow.gateware.accelerator import accelerator_ports
from xnorflow.gateware.crossing import StreamCrossing, cross_level, cross_pulse
from xnorflow.gateware.loader import Loader
from xnorflow.gateware.registers import RegisterBlock
from xnorflow.gateware.results import result_layout

__all__ = ["FlatAccelerator"]

CROSSING_CYCLES = 6
"""Until a bus write has crossed to a clock that is not slower."""


class FlatAccelerator(wiring.Component):
    """Registers, streams, programs and results of :class:`Accelerator`, in fewer cells.

    For geometries whose limits allow only fully connected layers of one lane (``check_flat``). A
    block's images come first, then its rows run, one after another; weights do not load under
    compute. So it is slower in cycles, but the control is small: for small FPGAs. Its counters
    count cycles as they pass, those of aborted blocks too.

    Parameters
    ----------
    geometry : Geometry
    build_hash : int
        For the ``build_hash`` register.
    contents : Contents or None
        A network that is in the memories from the start; another one can be loaded over it.
    array_domain : str
        Clock of the array; ``"sync"`` is that of the ports. Another one need not be related to it,
        but must not be slower. The cycles' registers are then to be read while no block runs.

    Members
    -------
    As in :class:`Accelerator`.

    Raises
    ------
    ValueError
        If the geometry allows other networks; the message says which of its values does.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        build_hash: int = 0,
        contents: Contents | None = None,
        array_domain: str = "sync",
    ) -> None:
        check_flat(geometry)
        self.array_domain = array_domain
        self.geometry = geometry
        self.build_hash = build_hash
        self.contents = contents
        super().__init__(accelerator_ports(geometry))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, array = self.geometry, self.array_domain
        m.submodules.registers = registers = RegisterBlock(geometry, build_hash=self.build_hash)
        m.submodules.loader = loader = ResetInserter(registers.abort)(Loader(geometry))
        bus, run, abort, bad_packet = self._crossed(m, registers, loader)

        def in_array(unit: wiring.Component) -> Elaboratable:
            return DomainRenamer(array)(unit)

        m.submodules.control = in_array(control := FlatControl(geometry))
        m.submodules.receiver = in_array(receiver := FlatReceiver(geometry))
        m.submodules.store = in_array(store := FlatStore(geometry, contents=self.contents))
        m.submodules.datapath = in_array(datapath := FlatDatapath(geometry, contents=self.contents))

        # Host to registers and streams.
        self._config(m, loader)
        m.d.comb += [
            registers.address.eq(self.reg_address),
            registers.write.eq(self.reg_write),
            registers.write_data.eq(self.reg_write_data),
            self.reg_read_data.eq(registers.read_data),
            loader.enable.eq(~self._seen(m, control.busy, "busy")),
            registers.status.eq(self._seen(m, control.status[:4], "status")),
            registers.error.eq(self._seen(m, control.error[:2], "error")),
            control.run.eq(run),
            control.abort.eq(abort),
            control.images.eq(registers.images),
            control.bad_packet.eq(bad_packet),
            store.bus.eq(bus),
            datapath.bus.eq(bus),
            receiver.row.eq(store.row),
            receiver.enable.eq(control.enable),
        ]
        for name in ("blocks", "cycles", "wait_cycles"):
            m.d.comb += getattr(registers, name).eq(getattr(control, name))
        for name in ("rows", "block", "row", "fetched"):
            m.d.comb += getattr(control, name).eq(getattr(store, name))
        for name in ("fetch", "index"):
            m.d.comb += getattr(store, name).eq(getattr(control, name))
        for name in ("ends_granule", "ends_word", "ends_image", "starved"):
            m.d.comb += getattr(control, name).eq(getattr(receiver, name))
        for name in ("write", "codes"):
            m.d.comb += getattr(datapath, name).eq(getattr(receiver, name))
        for name in (
            "load", "beat", "active", "unit", "words", "weights", "strobe", "now", "n",
            "receiving", "reading",
        ):  # fmt: skip
            m.d.comb += getattr(datapath, name).eq(getattr(control, name))
        self._streams(m, control, receiver, datapath)
        self._taps(m, control, datapath)
        return m

    def _seen(self, m: Module, level: Value, name: str) -> Value:
        """What the array says, as the host's side sees it."""
        if self.array_domain == "sync":
            return level
        held = Signal(len(level), name=f"{name}_held")
        m.d[self.array_domain] += held.eq(level)
        return cross_level(m, held, to="sync", name=name)

    def _crossed(
        self, m: Module, registers: RegisterBlock, loader: Loader
    ) -> tuple[data.View, Value, Value, Value]:
        """The bus, run, abort and a bad packet, as the array sees them."""
        array = self.array_domain
        if array == "sync":
            return loader.bus, registers.run, registers.abort, loader.error
        # A bus write stays until the loader takes the next word, for which ``_config`` waits.
        bus = Signal(loader.bus.shape(), reset_less=True)
        arrives = cross_pulse(m, loader.bus.valid, source="sync", to=array, name="bus")
        m.d.comb += [bus.eq(loader.bus), bus.valid.eq(arrives)]
        run, abort = (
            cross_pulse(m, pulse, source="sync", to=array, name=name)
            for name, pulse in (("run", registers.run), ("abort", registers.abort))
        )
        return bus, run, abort, cross_level(m, loader.error, to=array, name="error")

    def _config(self, m: Module, loader: Loader) -> None:
        """Configuration words; to another clock not faster than bus writes cross to it."""
        if self.array_domain == "sync":
            wiring.connect(m, wiring.flipped(self.config), loader.words)
            return
        pause = Signal(CROSSING_CYCLES)
        open_ = ~pause.any()
        m.d.sync += pause.eq(Cat(self.config.valid & self.config.ready, pause))
        m.d.comb += [
            loader.words.payload.eq(self.config.payload),
            loader.words.valid.eq(self.config.valid & open_),
            self.config.ready.eq(loader.words.ready & open_),
        ]

    def _streams(
        self, m: Module, control: FlatControl, receiver: FlatReceiver, datapath: FlatDatapath
    ) -> None:
        """Pixels to the receiver, results to the host."""
        array = self.array_domain
        value = Array(datapath.values)[control.result_column]
        if array == "sync":
            wiring.connect(m, wiring.flipped(self.pixels), receiver.pixels)
            results = self.results
        else:
            m.submodules.pixels_in = pixels = StreamCrossing(8, source="sync", to=array)
            m.submodules.results_out = out = StreamCrossing(result_layout, source=array, to="sync")
            wiring.connect(m, wiring.flipped(self.pixels), pixels.i)
            wiring.connect(m, pixels.o, receiver.pixels)
            wiring.connect(m, out.o, wiring.flipped(self.results))
            results = out.i
        m.d.comb += [
            results.valid.eq(control.result_valid),
            results.payload.data.eq(value),
            results.payload.last.eq(control.result_last),
            control.result_ready.eq(results.ready),
        ]

    def _taps(self, m: Module, control: FlatControl, datapath: FlatDatapath) -> None:
        """What a program row writes into the activation banks."""
        m.d.comb += self.tap_row.eq(control.index)
        for bank in range(self.geometry.banks):
            granules = datapath.writing[bank]
            enable = granules & ~datapath.from_host.replicate(len(granules))
            m.d.comb += [
                getattr(self, f"tap_{bank}__enable").eq(enable),
                getattr(self, f"tap_{bank}__address").eq(datapath.wrote_address),
                getattr(self, f"tap_{bank}__data_0").eq(datapath.wrote_data),
            ]
