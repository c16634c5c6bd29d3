# SPDX-License-Identifier: Apache-2.0
"""The register table that gateware, driver and documentation share.

Registers are 32 bits wide; ``index`` counts 32-bit words (byte address / 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

__all__ = [
    "INTERFACE_VERSION",
    "MAGIC",
    "REGISTERS",
    "Command",
    "DeviceError",
    "Register",
    "Status",
]

MAGIC = 0x584E4F52
"""ASCII "XNOR", read most significant byte first."""

INTERFACE_VERSION = 3
"""Raised when registers, program rows or streams change their meaning."""


@dataclass(frozen=True)
class Register:
    """One 32-bit register: ``access`` is ``"r"`` (constant or status) or ``"rw"``."""

    name: str
    index: int
    access: str
    description: str


def _table(*rows: tuple[str, str, str]) -> dict[str, Register]:
    return {row[0]: Register(row[0], index, *row[1:]) for index, row in enumerate(rows)}


REGISTERS: dict[str, Register] = _table(
    ("magic", "r", "0x584E4F52, ASCII XNOR"),
    ("version", "r", "interface version"),
    ("build_hash", "r", "first 32 bits of the design's hash"),
    ("shape", "r", "streams, taps, columns, word width: one byte each, streams lowest"),
    ("activation_depth", "r", "words in each activation bank"),
    ("weight_depth", "r", "words in each column's weight bank"),
    ("accumulator_depth", "r", "accumulators a column"),
    ("layer_depth", "r", "rows a program may have"),
    ("scale_depth", "r", "lane scales a program may have"),
    ("pool_depth", "r", "pooling windows that a map's row may have"),
    (
        "widths",
        "r",
        "max_lanes, accumulator width, scale width, popcount_levels: one byte each, lanes lowest",
    ),
    ("pixels_and_bus", "r", "pixels in bits 15:0, weight_bus in bits 31:16"),
    ("command", "rw", "write 1: run one block; write 2: abort; reads 0"),
    ("images", "rw", "images in the block that the next run is for"),
    ("status", "r", "bit 0 busy, bit 1 done, bit 2 error, bit 3 queued: see Status"),
    ("error", "r", "why status.error is set: see DeviceError"),
    ("blocks", "r", "blocks that ended since the last abort or reset"),
    ("cycles", "r", "cycles of all blocks that ended, without those that waited; wraps around"),
    (
        "wait_cycles",
        "r",
        "their cycles that waited for pixels or for room for results; wraps around",
    ),
    ("limits", "r", "CRC-32 of the limits of program rows that it is made for; 0: for any"),
)


class Command(IntEnum):
    """Values for the ``command`` register."""

    RUN = 1
    ABORT = 2


class Status(IntFlag):
    """Bits of the ``status`` register."""

    BUSY = 1
    """A block runs, or waits to."""
    DONE = 2
    """A block ended, and none has begun since."""
    ERROR = 4
    """See ``error``; clears at the next run."""
    QUEUED = 8
    """A run waits for the one before: one more would be ignored."""


class DeviceError(IntEnum):
    """Values of the ``error`` register."""

    NONE = 0
    BAD_PACKET = 1
    """A configuration packet with an unknown target, column or address; drops all until ABORT."""
    NO_PROGRAM = 2
    """A run was asked for before a program was loaded, or for 0 images or too many."""
