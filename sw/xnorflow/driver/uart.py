# SPDX-License-Identifier: Apache-2.0
"""A serial port as a line to a device: the device ``uart:PATH`` or ``uart:PATH?baud=N``."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import serial
from serial.tools import list_ports

from xnorflow.core.geometry import Geometry
from xnorflow.core.link import DEFAULT_BAUD
from xnorflow.driver.address import link_address
from xnorflow.driver.errors import LinkError
from xnorflow.driver.link import Link
from xnorflow.driver.link_transport import LinkTransport

__all__ = ["UartPort", "open_uart"]

_SLICE = 0.02
"""Seconds that one wait for a byte may take, so that Ctrl-C is heard everywhere."""
_WRITE_SECONDS = 10.0
"""Seconds until a port that takes no bytes is given up."""


class UartPort:
    """A serial port: 8 data bits, no parity, one stop bit, no flow control.

    Parameters
    ----------
    path : str
        As the system names it: /dev/ttyUSB1, COM3.
    baud : int
        Bits a second; the device's.

    Raises
    ------
    LinkError
        If the port is missing, busy, forbidden or no serial port; the message says what to do.
    """

    advice = (
        "that this is the right port, that its baud rate is the device's, and that rx and tx are "
        "not swapped"
    )

    def __init__(self, path: str, *, baud: int = DEFAULT_BAUD) -> None:
        self.path = path
        self.baud = baud
        try:
            self._port = serial.Serial(
                path, baud, timeout=_SLICE, write_timeout=_WRITE_SECONDS, exclusive=True
            )
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise LinkError(_why_not(path, baud, error)) from error
        with contextlib.suppress(Exception):
            # An FTDI chip holds what the device sends for 16 ms otherwise, instead of 1 ms.
            self._port.set_low_latency_mode(True)

    @property
    def name(self) -> str:
        """The port in words."""
        return f"{self.path} at {self.baud:,} baud"

    @property
    def byte_seconds(self) -> float:
        """Time of a byte on the line."""
        return 10 / self.baud

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    @contextmanager
    def _gone(self) -> Iterator[None]:
        try:
            yield
        except serial.SerialTimeoutException as error:
            raise LinkError(
                f"{self.path} takes no bytes: something else holds the line; unplug the board and "
                "plug it in again"
            ) from error
        except (OSError, TypeError) as error:  # pyserial's own state is gone: TypeError
            raise LinkError(
                f"{self.path} is gone ({error}): was the cable pulled, or the board switched off?"
            ) from error

    def write(self, data: bytes) -> None:
        """Send bytes; LinkError if the port is gone."""
        with self._gone():
            self._port.write(data)

    def read(self, timeout: float) -> bytes:
        """What has come; waits up to ``timeout`` seconds for the first byte."""
        end = time.monotonic() + timeout
        with self._gone():
            while True:
                data = bytes(self._port.read(1))
                if data or time.monotonic() >= end:
                    return data + bytes(self._port.read(self._port.in_waiting))

    def close(self) -> None:
        """Give the port up; a second call does nothing."""
        with contextlib.suppress(OSError):
            self._port.close()


def _why_not(path: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT or (number is None and "FileNotFound" in str(error)):
        ports = ", ".join(sorted(port.device for port in list_ports.comports()))
        return f"There is no port {path}; there is {ports or 'none: is the board plugged in?'}"
    if number in (errno.EACCES, errno.EPERM) or (number is None and "Permission" in str(error)):
        return (
            f"{path} may not be opened: no permission; on Linux join its group "
            "(sudo usermod -a -G dialout $USER, then log in again)"
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return f"{path} is busy: another program uses it; close that one first"
    if number == errno.ENOTTY or "Inappropriate ioctl" in str(error):
        return f"{path} is no serial port"
    return f"{path} cannot be opened at {baud:,} baud: {error}"


def open_uart(address: str, *, geometry: Geometry | None = None, **options: Any) -> LinkTransport:
    """The device ``uart:address``: a port, and ``?baud=N`` if it is not the usual rate.

    Parameters
    ----------
    address : str
        As in ``/dev/ttyUSB1?baud=3000000``.
    geometry : Geometry or None
        Not needed: the device reports it.

    Raises
    ------
    ValueError
        If the address is wrong.
    LinkError
        If the port cannot be opened.
    """
    path, baud = link_address(
        "uart", address, options, setting="baud", usual=DEFAULT_BAUD, example="/dev/ttyUSB1"
    )
    return LinkTransport(Link(UartPort(path, baud=baud)))
