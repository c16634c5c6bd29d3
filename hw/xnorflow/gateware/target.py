# SPDX-License-Identifier: Apache-2.0
"""The kind of FPGA that a design is made for; it chooses the form of some components."""

from dataclasses import dataclass

__all__ = ["FAMILIES", "PORTABLE", "Target", "device_family", "family_of"]

PORTABLE = "portable"
CELLS = (PORTABLE, "ecp5", "xc7")
"""Families whose own cells the arithmetic uses; the others take the portable form."""
FAMILIES = (*CELLS, "ice40", "gowin")

_SAME_AS = {"series7": "xc7"}  # Amaranth's name of the family


@dataclass(frozen=True)
class Target:
    """What the gateware gets as Amaranth's ``platform``.

    Parameters
    ----------
    family : str
        ``"portable"`` (plain Verilog for any tool and for simulation), ``"ecp5"`` or ``"xc7"``
        (with cells of that family), ``"ice40"`` or ``"gowin"`` (portable arithmetic, and what else
        suits that family's memories and LUTs).

    Raises
    ------
    ValueError
        If the family is not one of these.
    """

    family: str = PORTABLE

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"Target: family must be one of {FAMILIES}, not {self.family!r}")


def device_family(platform: object) -> str:
    """The family that a platform names: a :class:`Target`, a board of Amaranth's, or None."""
    family = getattr(platform, "family", PORTABLE)
    family = _SAME_AS.get(family, family)
    return family if family in FAMILIES else PORTABLE


def family_of(platform: object) -> str:
    """The same, or ``"portable"`` where arithmetic has no form of its own."""
    family = device_family(platform)
    return family if family in CELLS else PORTABLE
