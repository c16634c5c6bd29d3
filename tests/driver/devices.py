# SPDX-License-Identifier: Apache-2.0
"""Fake devices that other processes can open, by ``register_transport``; the address says which."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.driver.fakes import FakeDevice

from xnorflow.core.geometry import Geometry
from xnorflow.driver.errors import DeviceTimeout

__all__ = ["FACTORY", "ODD", "open_device"]

FACTORY = f"{__name__}:open_device"
ODD = 250
"""A block that begins with this pixel or a brighter one goes wrong."""


class _UnpicklableError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class _Device(FakeDevice):
    def __init__(self, kind: str, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.kind = kind

    def exchange(
        self,
        pixels: npt.NDArray[np.uint8],
        n_results: int,
        timeout: float | None = None,
        *,
        expected_cycles: int | None = None,
    ) -> npt.NDArray[np.int32]:
        if self.kind == "hangs":
            time.sleep(600)
        if pixels.size and pixels[0] >= ODD:
            if self.kind == "dies":
                os._exit(7)
            if self.kind == "times-out":
                raise DeviceTimeout("fake device: waited for ever")
            if self.kind == "odd":
                raise _UnpicklableError("this", "that")
        return super().exchange(pixels, n_results, timeout, expected_cycles=expected_cycles)


def open_device(address: str, *, geometry: Geometry, **options: Any) -> FakeDevice:
    """A device of a kind: plain, hangs, dies, times-out, odd or absent."""
    if address == "absent":
        raise OSError("fake device: nothing there")
    return _Device(address, geometry)
