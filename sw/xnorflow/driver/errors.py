# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between host and device."""

from __future__ import annotations

from xnorflow.core.registers import DeviceError

__all__ = [
    "DeviceFault",
    "DeviceMismatch",
    "DeviceTimeout",
    "DriverError",
    "LinkError",
    "NoProgram",
]


class DriverError(RuntimeError):
    """Base of the driver's errors."""


class DeviceMismatch(DriverError):  # noqa: N818
    """The device is not the one that this driver, or this program, was made for."""


class LinkError(DriverError):
    """The line to the device cannot be opened, or is gone."""


class NoProgram(DriverError):  # noqa: N818
    """Inference was asked for before a program was loaded."""


class DeviceTimeout(DriverError, TimeoutError):  # noqa: N818
    """No answer in time; the message says what was waited for and how far it came."""


class DeviceFault(DriverError):  # noqa: N818
    """The device reported an error, or answered what no working device answers.

    Parameters
    ----------
    message : str
        What happened.
    error : DeviceError or None
        Value of the ``error`` register, None if the device itself reported nothing.
    """

    def __init__(self, message: str, error: DeviceError | None = None) -> None:
        super().__init__(message)
        self.error = error
