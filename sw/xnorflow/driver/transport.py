# SPDX-License-Identifier: Apache-2.0
"""How bytes reach a device: one interface for the simulator and for boards."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry

__all__ = [
    "RecordingTransport",
    "Transport",
    "open_transport",
    "register_transport",
    "transport_factory",
]


class Transport(Protocol):
    """A link to one device.

    Every method raises ``DeviceTimeout`` if the device does not answer in time.
    """

    @property
    def name(self) -> str:
        """The device in words, for messages."""
        ...

    @property
    def expected_build_hash(self) -> int | None:
        """The build hash that the device must report; None if the transport cannot know."""
        ...

    def read_register(self, index: int) -> int:
        """A 32-bit register by its index (core/registers.py)."""
        ...

    def write_register(self, index: int, value: int) -> None:
        """Write a 32-bit register."""
        ...

    def send_config(self, words: npt.NDArray[np.uint32]) -> None:
        """Send all words down the configuration stream."""
        ...

    def exchange(
        self,
        pixels: npt.NDArray[np.uint8],
        n_results: int,
        timeout: float | None = None,
        *,
        expected_cycles: int | None = None,
    ) -> npt.NDArray[np.int32]:
        """Send one block's pixel bytes while taking its result words.

        Parameters
        ----------
        pixels : uint8 array (n,)
            In the order of the pixel stream.
        n_results : int
            Words in the block; the last one must carry the mark "last", and no other.
        timeout : float or None
            Seconds to wait; None for the transport's own choice.
        expected_cycles : int or None
            Cycles that the program takes; a transport derives its patience from them.

        Returns
        -------
        int32 array (n_results,)

        Raises
        ------
        DeviceTimeout
            If words are missing; the message says how far it came.
        DeviceFault
            If the mark "last" is missing or early.
        """
        ...

    def close(self) -> None:
        """End the link; a second call does nothing."""
        ...


@runtime_checkable
class RecordingTransport(Protocol):
    """A transport whose device shows what it writes into its activation banks."""

    def start_recording(self) -> None:
        """Record from here on."""
        ...

    def take_record(self) -> npt.NDArray[Any]:
        """Stop, and return the rows (``TAP_DTYPE``) in order."""
        ...


_FACTORIES = {
    "sim": "xnorflow.simulation.transport:open_simulation",
    "uart": "xnorflow.driver.uart:open_uart",
    "spi": "xnorflow.driver.spi:open_spi",
}


def register_transport(scheme: str, factory: str) -> None:
    """Make ``Accelerator.open("scheme:address")`` known.

    Parameters
    ----------
    scheme : str
        What comes before the colon.
    factory : str
        ``"module:function"``, imported at the first use and called as
        ``function(address, geometry=geometry, **options)``.
    """
    if not scheme.isidentifier() or factory.count(":") != 1:
        raise ValueError(
            f"A transport needs a plain name and 'module:function', not {scheme!r}, {factory!r}"
        )
    _FACTORIES[scheme] = factory


def transport_factory(device: str) -> tuple[str, str]:
    """Scheme and ``"module:function"`` of a device, as ``register_transport`` takes them.

    Raises
    ------
    ValueError
        If the scheme is unknown; the message lists the known ones.
    """
    if not isinstance(device, str):
        raise TypeError(f"A device is named by text such as 'sim', not {device!r}")
    scheme = device.partition(":")[0]
    if scheme not in _FACTORIES:
        raise ValueError(f"Unknown device {device!r}; known: {', '.join(sorted(_FACTORIES))}")
    return scheme, _FACTORIES[scheme]


def open_transport(device: str, *, geometry: Geometry | None = None, **options: Any) -> Transport:
    """The link that ``device`` names: ``"sim"``, or ``"scheme:address"``.

    Raises
    ------
    ValueError
        If the scheme is unknown; the message lists the known ones.
    """
    _, named = transport_factory(device)
    module, _, function = named.partition(":")
    factory = getattr(importlib.import_module(module), function)
    transport: Transport = factory(device.partition(":")[2], geometry=geometry, **options)
    return transport
