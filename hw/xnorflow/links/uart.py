# SPDX-License-Identifier: Apache-2.0
"""The accelerator on two wires: UART receiver, transmitter, and the top that joins them."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from xnorflow.core.answer import Answer
from xnorflow.core.baked import Baked
from xnorflow.core.geometry import Geometry
from xnorflow.core.link import LinkLimits
from xnorflow.flat.choose import make_accelerator
from xnorflow.links.engine import LinkEngine
from xnorflow.links.hostswitch import HostSwitch
from xnorflow.links.standalone import Standalone

__all__ = ["UartAccelerator", "UartDevice", "UartReceiver", "UartTransmitter", "uart_divisor"]

MIN_DIVISOR = 4
"""Fewest cycles a bit: three of them vote."""
BAUD_TOLERANCE = 0.02
"""Of a bit's length: a frame of ten bits is still sampled in its bits' middle thirds."""
GAP_BYTES = 10_000
"""A pause of so many bytes' time ends an image without a host: 0.1 s at 1 Mbaud."""
_FRAME_BITS = 10
"""Start, eight data bits, stop."""


def uart_divisor(clock_mhz: float, baud: int) -> int:
    """Clock cycles of a bit.

    Raises
    ------
    ValueError
        If no whole number of cycles comes near the bit's length, or it is too small.
    """
    wanted = clock_mhz * 1e6 / baud
    divisor = max(round(wanted), 1)
    if abs(divisor / wanted - 1) > BAUD_TOLERANCE:
        raise ValueError(
            f"{baud} baud is {wanted:.2f} cycles a bit at {clock_mhz:g} MHz, which is not within "
            f"{BAUD_TOLERANCE:.0%} of a whole number: take "
            f"{round(clock_mhz * 1e6 / divisor)} baud, or another clock"
        )
    _check_divisor(divisor)
    return divisor


def _check_divisor(divisor: int) -> None:
    if divisor < MIN_DIVISOR:
        raise ValueError(
            f"A bit takes at least {MIN_DIVISOR} clock cycles, not {divisor}: "
            "lower the baud rate or raise the clock"
        )


class UartReceiver(wiring.Component):
    """Bytes from a pin: 8 data bits, lowest first, no parity, one stop bit.

    The pin passes two flip-flops; then each bit is the majority of three cycles about its middle,
    so a spike of one cycle changes nothing. The start bit is looked at again in its middle.

    Parameters
    ----------
    divisor : int
        Clock cycles a bit, at least ``MIN_DIVISOR``.

    Members
    -------
    rx : In(1)
        The pin; 1 when idle.
    byte, strobe : Out
        A byte, in a cycle with ``strobe``; it stays for two bits' time.
    damaged : Out(1)
        A byte without its stop bit, in a cycle of its own; nothing more comes until the pin is
        idle.
    """

    def __init__(self, *, divisor: int) -> None:
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "byte": Out(8), "strobe": Out(1), "damaged": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pin = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, pin, init=1)
        history = Signal(2, init=3)
        a, b, c = pin, history[0], history[1]
        level = Signal(init=1)
        m.d.sync += [history.eq(Cat(pin, history[0])), level.eq((a & b) | (b & c) | (a & c))]

        count = Signal(range(self.divisor))
        bits = Signal(range(_FRAME_BITS + 1))  # bits to come
        sample = Signal()
        m.d.comb += sample.eq(count == 0)
        m.d.sync += [self.strobe.eq(0), self.damaged.eq(0)]
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [count.eq(self.divisor // 2 - 1), bits.eq(_FRAME_BITS)]
                with m.If(~level):
                    m.next = "bits"
            with m.State("bits"):
                m.d.sync += count.eq(count - 1)
                with m.If(sample):
                    m.d.sync += [count.eq(self.divisor - 1), bits.eq(bits - 1)]
                    with m.If((bits == _FRAME_BITS) & level):  # it was a spike
                        m.next = "idle"
                    with m.Elif(bits == 1):
                        m.d.sync += [self.strobe.eq(level), self.damaged.eq(~level)]
                        m.next = "break"
                    with m.Elif(bits != _FRAME_BITS):
                        m.d.sync += self.byte.eq(Cat(self.byte[1:], level))
            with m.State("break"), m.If(level):
                m.next = "idle"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a pin, as :class:`UartReceiver` takes them.

    Parameters
    ----------
    divisor : int
        Clock cycles a bit.

    Members
    -------
    bytes : In(stream)
    tx : Out(1)
        The pin; 1 when idle. Bytes follow each other without a gap.
    """

    def __init__(self, *, divisor: int) -> None:
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(self.divisor))
        bits = Signal(range(_FRAME_BITS + 1))
        shift = Signal(_FRAME_BITS - 1, init=-1)
        tick = Signal()
        m.d.comb += [
            tick.eq(count == 0),
            self.bytes.ready.eq(tick & (bits == 0)),
            self.tx.eq(shift[0]),
        ]
        with m.If(~tick):
            m.d.sync += count.eq(count - 1)
        with m.Elif(bits != 0):
            m.d.sync += [shift.eq(Cat(shift[1:], 1)), bits.eq(bits - 1)]
            m.d.sync += count.eq(self.divisor - 1)
        with m.Elif(self.bytes.valid):
            m.d.sync += [shift.eq(Cat(0, self.bytes.payload)), bits.eq(_FRAME_BITS - 1)]
            m.d.sync += count.eq(self.divisor - 1)
        return m


class UartDevice(wiring.Component):
    """A device behind :class:`LinkEngine` on the pins of a UART.

    Parameters
    ----------
    device : Component
        Has the accelerator's registers and streams.
    divisor : int
        Clock cycles a bit: the clock's frequency over the baud rate, within 2 %.
    limits : LinkLimits or None
        Sizes of the buffers.
    answer : Answer or None
        Of the network that the device has from the start: until a host opens the link, the pins
        are those of :class:`Standalone`. The device must have a ``geometry``.
    gap_bytes : int
        Pause, in bytes' time, that ends an image without a host.

    Members
    -------
    rx, tx
        The pins; 1 when idle.
    best : Out
        With an answer: the last image's class.
    """

    def __init__(
        self,
        device: Any,
        *,
        divisor: int,
        limits: LinkLimits | None = None,
        answer: Answer | None = None,
        gap_bytes: int = GAP_BYTES,
    ) -> None:
        self.device = device
        self.standalone = None
        ports: dict[str, Any] = {"rx": In(1, init=1), "tx": Out(1, init=1)}
        if answer is not None:
            self.standalone = Standalone(
                answer,
                accumulator_width=device.geometry.accumulator_width,
                gap_cycles=gap_bytes * _FRAME_BITS * divisor,
            )
            ports["best"] = self.standalone.signature.members["best"]
        self.receiver = UartReceiver(divisor=divisor)
        self.transmitter = UartTransmitter(divisor=divisor)
        self.engine = LinkEngine(limits)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.transmitter = transmitter = self.transmitter
        m.submodules.engine = engine = self.engine
        m.submodules.device = self.device
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        if self.standalone is None:
            engine.connect(m, receiver, transmitter.bytes, self.device)
            return m
        m.submodules.standalone = standalone = self.standalone
        m.submodules.switch = switch = HostSwitch(standalone, self.device, transmitter.bytes)
        engine.connect(m, receiver, switch.host_line, switch)
        m.d.comb += [
            switch.opened.eq(engine.opened),
            standalone.byte.eq(receiver.byte),
            standalone.strobe.eq(receiver.strobe),
            standalone.damaged.eq(receiver.damaged),
            self.best.eq(standalone.best),
        ]
        return m


class UartAccelerator(UartDevice):
    """The accelerator on the pins of a UART: a top that needs a clock and two wires.

    Parameters
    ----------
    geometry : Geometry
    divisor : int
        Clock cycles a bit, in the domain ``sync``: 48 at 48 MHz for 1 Mbaud.
    build_hash : int
        For the ``build_hash`` register.
    baked : Baked or None
        A network that it has from the start, for which it needs no host.
    limits : LinkLimits or None
        Sizes of the link's buffers.

    Members
    -------
    rx : In(1)
        From the host's transmitter; 1 when idle.
    tx : Out(1)
        To the host's receiver; 1 when idle.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        divisor: int,
        build_hash: int = 0,
        baked: Baked | None = None,
        limits: LinkLimits | None = None,
    ) -> None:
        accelerator = make_accelerator(
            geometry, build_hash=build_hash, contents=None if baked is None else baked.contents
        )
        answer = None if baked is None else baked.answer
        super().__init__(accelerator, divisor=divisor, limits=limits, answer=answer)
