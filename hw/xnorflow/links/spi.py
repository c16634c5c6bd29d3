# SPDX-License-Identifier: Apache-2.0
"""The accelerator as an SPI slave: the same frames as on a UART, both ways at once."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.link import LinkLimits
from xnorflow.gateware.accelerator import Accelerator
from xnorflow.links.engine import LinkEngine

__all__ = ["SpiAccelerator", "SpiDevice", "SpiSlave"]


class SpiSlave(wiring.Component):
    """Bytes from and to an SPI master: mode 0 or 3, highest bit first, 8 bits a word.

    In both modes ``mosi`` is taken at the rising edge of ``sck`` and ``miso`` changes behind the
    falling one, by up to four cycles.

    The pins are sampled in the domain ``sync``: ``sck`` may have an eighth of its frequency. A
    master that has nothing to say sends zeros, the delimiter of frames, and gets zeros where the
    slave has nothing to say.

    Members
    -------
    sck, cs_n, mosi : In(1)
    miso : Out(1)
        Driven all the time; a top with several slaves makes it tri-state.
    byte, strobe : Out
        A byte, in a cycle with ``strobe``.
    damaged : Out(1)
        ``cs_n`` rose within a byte.
    bytes : In(stream)
        Bytes to send; one is taken when its first bit is on its way, so none is lost when the
        master ends.
    """

    clock_ratio = 8

    def __init__(self) -> None:
        super().__init__(
            {
                "sck": In(1),
                "cs_n": In(1, init=1),
                "mosi": In(1),
                "miso": Out(1),
                "byte": Out(8),
                "strobe": Out(1),
                "damaged": Out(1),
                "bytes": In(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sck, cs_n, mosi = Signal(), Signal(init=1), Signal()
        m.submodules.sck = FFSynchronizer(self.sck, sck)
        m.submodules.cs_n = FFSynchronizer(self.cs_n, cs_n, init=1)
        m.submodules.mosi = FFSynchronizer(self.mosi, mosi)
        before, selected = Signal(), Signal()
        rise, fall = Signal(), Signal()
        m.d.sync += [before.eq(sck), selected.eq(~cs_n)]
        m.d.comb += [rise.eq(selected & sck & ~before), fall.eq(selected & ~sck & before)]

        count = Signal(3)  # bits of this byte that came
        shift = Signal(8)
        offered = Signal()  # the byte in `shift` is the stream's
        m.d.comb += [
            self.miso.eq(shift[7]),
            self.bytes.ready.eq(rise & (count == 0) & offered),
        ]
        m.d.sync += [self.strobe.eq(rise & (count == 7)), self.damaged.eq(0)]
        with m.If(rise):
            m.d.sync += [self.byte.eq(Cat(mosi, self.byte[:7])), count.eq(count + 1)]
        with m.If(~selected | (fall & (count == 0))):
            m.d.sync += [
                shift.eq(Mux(self.bytes.valid, self.bytes.payload, 0)),
                offered.eq(self.bytes.valid),
            ]
        with m.Elif(fall):
            m.d.sync += shift.eq(shift << 1)
        with m.If(cs_n):
            m.d.sync += [count.eq(0), self.damaged.eq(count != 0)]
        return m


class SpiDevice(wiring.Component):
    """A device behind :class:`LinkEngine` on the pins of an SPI slave.

    Parameters
    ----------
    device : Component
        Has the accelerator's registers and streams.
    limits : LinkLimits or None
        Sizes of the buffers.

    Members
    -------
    sck, cs_n, mosi, miso
        The pins.
    """

    def __init__(self, device: wiring.Component, *, limits: LinkLimits | None = None) -> None:
        self.device = device
        self.engine = LinkEngine(limits)
        super().__init__({"sck": In(1), "cs_n": In(1, init=1), "mosi": In(1), "miso": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.slave = slave = SpiSlave()
        m.submodules.engine = engine = self.engine
        m.submodules.device = self.device
        m.d.comb += [
            slave.sck.eq(self.sck),
            slave.cs_n.eq(self.cs_n),
            slave.mosi.eq(self.mosi),
            self.miso.eq(slave.miso),
        ]
        engine.connect(m, slave, slave.bytes, self.device)
        return m


class SpiAccelerator(SpiDevice):
    """The accelerator as an SPI slave: a top that needs a clock and four wires.

    Parameters
    ----------
    geometry : Geometry
    build_hash : int
        For the ``build_hash`` register.
    limits : LinkLimits or None
        Sizes of the link's buffers.
    """

    def __init__(
        self, geometry: Geometry, *, build_hash: int = 0, limits: LinkLimits | None = None
    ) -> None:
        super().__init__(Accelerator(geometry, build_hash=build_hash), limits=limits)
