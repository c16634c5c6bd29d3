# SPDX-License-Identifier: Apache-2.0
"""An SPI bus of Linux as its kernel gives it to programs: /dev/spidevB.C, chip select C of bus B.

Structure and numbers are those of <linux/spi/spidev.h>. They are few enough to stand here: the
library for them has to be compiled where it is installed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from ctypes import c_uint8, c_uint16, c_uint32, c_uint64
from glob import glob

from xnorflow.driver.errors import LinkError

__all__ = ["MOST_BYTES", "SpidevBus", "Transfer"]

MOST_BYTES = 4096
"""Bytes that the kernel takes at a time, unless it was started with another ``spidev.bufsiz``."""
MODE = 0
"""Clock low when idle, data taken on its rising edge."""


class Transfer(ctypes.Structure):
    """struct spi_ioc_transfer."""

    _fields_ = (
        ("tx_buf", c_uint64),
        ("rx_buf", c_uint64),
        ("len", c_uint32),
        ("speed_hz", c_uint32),
        ("delay_usecs", c_uint16),
        ("bits_per_word", c_uint8),
        ("cs_change", c_uint8),
        ("tx_nbits", c_uint8),
        ("rx_nbits", c_uint8),
        ("word_delay_usecs", c_uint8),
        ("pad", c_uint8),
    )


def _write_request(number: int, size: int) -> int:
    """_IOW('k', number, size bytes), as most processors number it."""
    return 1 << 30 | size << 16 | ord("k") << 8 | number


MESSAGE = _write_request(0, ctypes.sizeof(Transfer))
WRITE_MODE = _write_request(1, 1)
WRITE_BITS = _write_request(3, 1)
WRITE_SPEED = _write_request(4, 4)


class SpidevBus:
    """Bytes both ways at once, in mode 0, highest bit first.

    Parameters
    ----------
    path : str
        /dev/spidev0.0.
    hz : int
        Frequency of ``sck``; the kernel takes the next lower one that it can make.

    Raises
    ------
    LinkError
        If it is missing, forbidden, no SPI bus, or does not take the mode or the frequency.
    """

    def __init__(self, path: str, *, hz: int) -> None:
        try:
            import fcntl
        except ImportError as error:
            raise LinkError(f"{path}: SPI buses are opened on Linux only") from error
        self._ioctl = fcntl.ioctl
        self.path = path
        self.hz = hz
        try:
            self._file = os.open(path, os.O_RDWR)
        except OSError as error:
            raise LinkError(_why_not(path, error)) from error
        try:
            self._ioctl(self._file, WRITE_MODE, bytes((MODE,)))
            self._ioctl(self._file, WRITE_BITS, bytes((8,)))
            self._ioctl(self._file, WRITE_SPEED, hz.to_bytes(4, "little"))
        except OSError as error:
            self.close()
            raise LinkError(_why_not(path, error, hz)) from error

    @property
    def name(self) -> str:
        """The bus in words."""
        return f"{self.path} at {self.hz:,} Hz"

    @property
    def byte_seconds(self) -> float:
        """Time of a byte."""
        return 8 / self.hz

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def transfer(self, data: bytes) -> bytes:
        """Send up to ``MOST_BYTES`` bytes with the chip selected; those that came meanwhile.

        LinkError if the bus is gone.
        """
        sent = ctypes.create_string_buffer(data, len(data))
        came = ctypes.create_string_buffer(len(data))
        message = Transfer(
            tx_buf=ctypes.addressof(sent), rx_buf=ctypes.addressof(came), len=len(data)
        )
        try:
            self._ioctl(self._file, MESSAGE, message)
        except OSError as error:
            raise LinkError(f"{self.path} takes no bytes: {error.strerror}") from error
        return came.raw

    def close(self) -> None:
        """Give the bus up; a second call does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _why_not(path: str, error: OSError, hz: int = 0) -> str:
    if error.errno == errno.ENOENT:
        there = ", ".join(sorted(glob("/dev/spidev*")))
        hint = "none: switch SPI on (on a Raspberry Pi: sudo raspi-config)"
        return f"There is no SPI bus {path}; there is {there or hint}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{path} may not be opened: no permission; join its group "
            "(sudo usermod -a -G spi $USER, then log in again)"
        )
    if error.errno == errno.EBUSY:
        return f"{path} is busy: another program uses it; close that one first"
    if error.errno == errno.ENOTTY:
        return f"{path} is no SPI bus"
    at = f" in mode {MODE} at {hz:,} Hz" if hz else ""
    return f"{path} cannot be opened{at}: {error.strerror}"
