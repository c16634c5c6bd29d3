# SPDX-License-Identifier: Apache-2.0
"""A line to a device, as the link sees it: bytes out, bytes in, and a clock."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Port"]


class Port(Protocol):
    """A line that carries bytes both ways, and may lose or damage them."""

    @property
    def name(self) -> str:
        """The line in words."""
        ...

    @property
    def advice(self) -> str:
        """What to check where nobody answers: "that the cable is plugged in"."""
        ...

    @property
    def byte_seconds(self) -> float:
        """Time of a byte on the line."""
        ...

    def now(self) -> float:
        """Seconds on the clock that timeouts are counted by."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def read(self, timeout: float) -> bytes:
        """What has come; waits up to ``timeout`` seconds for the first byte."""
        ...

    def close(self) -> None:
        """Give the line up; a second call does nothing."""
        ...
