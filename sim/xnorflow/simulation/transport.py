# SPDX-License-Identifier: Apache-2.0
"""The simulator as a transport of the host driver."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry
from xnorflow.driver.errors import DeviceFault, DeviceTimeout
from xnorflow.simulation.device import Moved, SimulatedDevice, Stalls
from xnorflow.simulation.model import SimulationModel, build_model

__all__ = ["SimulatedTransport", "open_simulation"]

PATIENCE = 4
"""Cycles that are waited for, as a multiple of those expected."""
MARGIN_CYCLES = 10_000
"""Cycles that are waited for beyond that."""


class SimulatedTransport:
    """A simulated device behind the driver's ``Transport`` and ``RecordingTransport`` interfaces.

    Time is counted in the device's cycles, so that a slow host never gives up too early; a
    ``timeout`` in seconds holds in addition.

    Parameters
    ----------
    model : SimulationModel
        From ``build_model``.
    trace : Path or None
        Write a VCD file there.
    stalls : Stalls or None
        Random pauses on the streams.
    """

    def __init__(
        self,
        model: SimulationModel,
        *,
        trace: Path | None = None,
        stalls: Stalls | None = None,
    ) -> None:
        self.model = model
        self.device = SimulatedDevice(model, trace=trace, stalls=stalls)
        self._slowdown = stalls.slowdown if stalls else 1.0

    @property
    def name(self) -> str:
        """The device in words."""
        return "simulated device"

    @property
    def expected_build_hash(self) -> int | None:
        """The hash of the design that the model was built from."""
        return self.model.build_hash

    def read_register(self, index: int) -> int:
        """A 32-bit register."""
        return self.device.read_register(index)

    def write_register(self, index: int, value: int) -> None:
        """Write a 32-bit register."""
        self.device.write_register(index, value)

    def send_config(self, words: npt.NDArray[np.uint32]) -> None:
        """Send all words down the configuration stream."""
        moved = self.device.exchange(config=words, max_cycles=self._budget(words.size))
        if not moved.complete:
            raise DeviceTimeout(
                f"{self.name}: waited {moved.cycles} cycles for room on the configuration stream: "
                f"it took {moved.config} of {words.size} words"
            )

    def exchange(
        self,
        pixels: npt.NDArray[np.uint8],
        n_results: int,
        timeout: float | None = None,
        *,
        expected_cycles: int | None = None,
    ) -> npt.NDArray[np.int32]:
        """Send one block's pixel bytes while taking its result words."""
        end = None if timeout is None else time.monotonic() + timeout
        moved = self.device.exchange(
            pixels=pixels,
            n_results=n_results,
            max_cycles=self._budget(pixels.size + n_results + (expected_cycles or 0)),
            keep_going=lambda: end is None or time.monotonic() < end,
        )
        if moved.complete:
            return moved.results
        last = n_results - 1 if n_results and moved.results.size == n_results else None
        if moved.first_last != last:
            raise DeviceFault(f"{self.name}: {_frame_error(moved, n_results)}")
        raise DeviceTimeout(
            f"{self.name}: waited {moved.cycles} cycles for {_missing(moved, pixels.size)}: "
            f"{moved.pixels} of {pixels.size} pixel bytes sent, "
            f"{moved.results.size} of {n_results} result words received"
        )

    def _budget(self, cycles: int) -> int:
        return int(PATIENCE * self._slowdown * cycles) + MARGIN_CYCLES

    def start_recording(self) -> None:
        """Record every write into the activation banks from here on."""
        self.device.start_recording()

    def take_record(self) -> npt.NDArray[Any]:
        """Stop recording; the rows, in order."""
        return self.device.take_record()

    def close(self) -> None:
        """Free the model and complete its trace."""
        self.device.close()


def _missing(moved: Moved, n_pixels: int) -> str:
    return "room on the pixel stream" if moved.pixels < n_pixels else "result words"


def _frame_error(moved: Moved, n_results: int) -> str:
    if moved.first_last is None:
        return f"result word {n_results} of {n_results} is not marked as the last of its block"
    return f"result word {moved.first_last + 1} of {n_results} is marked as the last of its block"


def open_simulation(
    address: str = "",
    *,
    geometry: Geometry | None,
    trace: Path | str | None = None,
    stalls: Stalls | None = None,
) -> SimulatedTransport:
    """The simulated array of ``geometry``, built first if need be: the device ``"sim"``.

    Parameters
    ----------
    address : str
        Must be empty.
    geometry : Geometry
        What to simulate.
    trace : Path, str or None
        Write a VCD file there.
    stalls : Stalls or None
        Random pauses on the streams.
    """
    if address:
        raise ValueError(f"The device 'sim' has no address, but {address!r} was given")
    if geometry is None:
        raise ValueError("The device 'sim' needs a geometry, as in geometry='3x3x8x32'")
    model = build_model(geometry, trace=trace is not None)
    return SimulatedTransport(model, trace=None if trace is None else Path(trace), stalls=stalls)
