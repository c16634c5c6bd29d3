# SPDX-License-Identifier: Apache-2.0
"""The 4 KB of addresses behind AXI4-Lite and Wishbone: gateware, manifest and documents share it.

The device's registers come first (core/registers.py), then registers of the bus itself, then
windows: ranges in which every address means the same, so that a plain memory copy fills them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from xnorflow.core.registers import REGISTERS

__all__ = ["ADDRESS_BITS", "BUS_MAP", "BusRange", "BusStreams", "register_offset"]

ADDRESS_BITS = 12
"""Of a byte address."""


class BusStreams(IntFlag):
    """Bits of the ``streams`` register of AXI."""

    DROPPING = 1
    """Since an abort, or a CUT_WORD, what comes on ``s_axis`` is dropped. Write 1 when the DMA's
    transfer has ended.
    """
    ENDING = 2
    """An abort's last word, with TLAST and TUSER, has not been taken from ``m_axis`` yet."""
    CUT_WORD = 4
    """A configuration word lacked bytes; it and what follows it is dropped. Write 1: noted."""


@dataclass(frozen=True)
class BusRange:
    """Addresses ``offset`` .. ``offset + size - 1`` (bytes), and the buses that have them.

    ``access`` is ``"r"``, ``"w"`` or ``"rw"``.
    """

    name: str
    offset: int
    size: int
    access: str
    buses: tuple[str, ...]
    description: str


_BOTH = ("axi", "wishbone")

BUS_MAP: dict[str, BusRange] = {
    item.name: item
    for item in (
        BusRange("config_room", 0x400, 4, "r", _BOTH, "words that the window `config` takes now"),
        BusRange(
            "pixels_room", 0x404, 4, "r", ("wishbone",), "words that the window `data` takes now"
        ),
        BusRange(
            "results", 0x408, 4, "r", ("wishbone",),
            "bits 15:0 words that wait in the window `data`; bit 31: the first one ends its block",
        ),
        BusRange("streams", 0x40C, 4, "rw", ("axi",), "state of the streams: see BusStreams"),
        BusRange("config", 0x800, 0x400, "w", _BOTH, "window: a word of the configuration stream"),
        BusRange(
            "data", 0xC00, 0x400, "rw", ("wishbone",),
            "window: written, up to four bytes of images, lowest first, those that `sel` names; "
            "read, a result",
        ),
    )
}  # fmt: skip


def register_offset(name: str) -> int:
    """Byte address of one of the device's registers."""
    return 4 * REGISTERS[name].index
