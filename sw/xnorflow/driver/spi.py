# SPDX-License-Identifier: Apache-2.0
"""An SPI bus as a line to a device: the device ``spi:PATH`` or ``spi:PATH?hz=N``."""

from __future__ import annotations

import re
from typing import Any, Protocol

from xnorflow.core.geometry import Geometry
from xnorflow.core.link import DEFAULT_SPI_HZ
from xnorflow.driver.address import link_address
from xnorflow.driver.link import Link
from xnorflow.driver.link_transport import LinkTransport
from xnorflow.driver.spidev import MOST_BYTES, SpidevBus

__all__ = ["SpiBus", "SpiPort", "open_spi"]

POLL_BYTES = 32
"""Zeros that are clocked at a time for answers: a few answers' length."""


class SpiBus(Protocol):
    """A master that exchanges bytes with one slave."""

    @property
    def name(self) -> str:
        """The bus in words."""
        ...

    @property
    def byte_seconds(self) -> float:
        """Time of a byte."""
        ...

    def now(self) -> float:
        """Seconds on the clock that timeouts are counted by."""
        ...

    def transfer(self, data: bytes) -> bytes:
        """Send bytes with the chip selected; as many that came meanwhile."""
        ...

    def close(self) -> None:
        """Give the bus up; a second call does nothing."""
        ...


class SpiPort:
    """A line out of exchanges: what comes while something is sent is kept, and zeros fetch more.

    Zeros are the delimiters of frames, so a slave that has nothing to say says nothing.

    Parameters
    ----------
    bus : SpiBus
        Closed with the port.
    """

    advice = (
        "that this is the right bus and chip select, that its frequency is at most an eighth of "
        "the device's clock, and that mosi and miso are not swapped"
    )

    def __init__(self, bus: SpiBus) -> None:
        self.bus = bus
        self._came = bytearray()
        self._between = True  # no frame has begun since the last delimiter

    @property
    def name(self) -> str:
        """The bus in words."""
        return self.bus.name

    @property
    def byte_seconds(self) -> float:
        """Time of a byte."""
        return self.bus.byte_seconds

    def now(self) -> float:
        """Seconds."""
        return self.bus.now()

    def write(self, data: bytes) -> None:
        """Send bytes; LinkError if the bus is gone."""
        for at in range(0, len(data), MOST_BYTES):
            self._exchange(data[at : at + MOST_BYTES])

    def read(self, timeout: float) -> bytes:
        """What has come; fetches until the first byte comes or ``timeout`` seconds are over."""
        end = self.now() + timeout
        while not self._came and self.now() < end:
            self._exchange(bytes(POLL_BYTES))
        data = bytes(self._came)
        self._came.clear()
        return data

    def _exchange(self, data: bytes) -> None:
        came = re.sub(rb"\0+", b"\0", self.bus.transfer(data))
        if self._between:
            came = came.removeprefix(b"\0")
        if came:
            self._between = came.endswith(b"\0")
            self._came += came

    def close(self) -> None:
        """Give the bus up; a second call does nothing."""
        self.bus.close()


def open_spi(address: str, *, geometry: Geometry | None = None, **options: Any) -> LinkTransport:
    """The device ``spi:address``: a bus of Linux, and ``?hz=N`` if ``sck`` is not the usual one.

    Parameters
    ----------
    address : str
        As in ``/dev/spidev0.0?hz=4000000``.
    geometry : Geometry or None
        Not needed: the device reports it.

    Raises
    ------
    ValueError
        If the address is wrong.
    LinkError
        If the bus cannot be opened.
    """
    path, hz = link_address(
        "spi", address, options, setting="hz", usual=DEFAULT_SPI_HZ, example="/dev/spidev0.0"
    )
    return LinkTransport(Link(SpiPort(SpidevBus(path, hz=hz))))
