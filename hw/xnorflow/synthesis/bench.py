# SPDX-License-Identifier: Apache-2.0
"""The figures of ``xnorflow bench array``: what an accelerator takes, and how fast it may run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.target import Target
from xnorflow.synthesis.netlist import synthesise
from xnorflow.synthesis.peers import PEERS
from xnorflow.synthesis.route import DEFAULT_OPTIONS, place_and_route
from xnorflow.synthesis.tops import BareArray, Chip

__all__ = ["PARTS", "Measurement", "PeerMeasurement", "measure", "measure_peer"]

PARTS = ("accelerator", "array")


@dataclass(frozen=True)
class Measurement:
    """One geometry in one family.

    Parameters
    ----------
    geometry, family, part : str
        What was synthesised; part is ``"accelerator"``, or ``"array"`` for the elements alone
        between block RAMs.
    lut, ff, memory_blocks, dsp : int
        As in :class:`~xnorflow.synthesis.netlist.Resources`.
    ops_per_cycle : int
        XNORs and additions: 2 * streams * taps * columns * word_width * pixels.
    fmax_mhz : float or None
        After routing.
    """

    geometry: str
    family: str
    part: str
    lut: int
    ff: int
    memory_blocks: int
    dsp: int
    ops_per_cycle: int
    fmax_mhz: float | None = None

    @property
    def lut_per_op(self) -> float:
        """LUTs for each operation a cycle."""
        return self.lut / self.ops_per_cycle

    @property
    def tops(self) -> float | None:
        """Binary tera-operations a second at ``fmax_mhz``."""
        return None if self.fmax_mhz is None else self.ops_per_cycle * self.fmax_mhz * 1e-6

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return {
            **asdict(self),
            "fmax_mhz": None if self.fmax_mhz is None else round(self.fmax_mhz, 2),
            "lut_per_op": round(self.lut_per_op, 4),
            "ff_per_op": round(self.ff / self.ops_per_cycle, 4),
            "tops": None if self.tops is None else round(self.tops, 3),
        }


@dataclass(frozen=True)
class PeerMeasurement:
    """A peer's product of one word: one operation is half of an XNOR and addition here too."""

    peer: str
    family: str
    word_width: int
    lut: int
    ff: int

    @property
    def lut_per_op(self) -> float:
        """LUTs for each operation a cycle."""
        return self.lut / (2 * self.word_width)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return {**asdict(self), "lut_per_op": round(self.lut_per_op, 4)}


def describe(component: wiring.Component, family: str) -> str:
    """RTLIL of a component for a family; memories without initial values."""
    from xnorflow.gateware.verilog import uninitialised_memories

    with uninitialised_memories():
        return str(rtlil.convert(component, name="top", platform=Target(family), emit_src=False))


def measure(
    geometry: Geometry,
    family: str,
    *,
    part: str = "accelerator",
    route: bool = False,
    options: Sequence[str] = DEFAULT_OPTIONS,
    seed: int = 1,
    keep: Path | None = None,
) -> Measurement:
    """Synthesise one geometry, and place and route it if asked to.

    Parameters
    ----------
    geometry : Geometry
    family : str
        ``"ecp5"`` or ``"xc7"``.
    part : str
        ``"accelerator"`` or ``"array"``.
    route : bool
        Place and route for an ECP5-85F of speed grade 6; ECP5 only, minutes.
    options : sequence of str
        For nextpnr.
    seed : int
        For nextpnr.
    keep : Path or None
        Folder for the netlist, the logs and the reports; a temporary one if None.

    Raises
    ------
    ValueError
        If a part is unknown, or xc7 is to be routed.
    SynthesisError
        If a tool is missing or fails.
    """
    if part not in PARTS:
        raise ValueError(f"measure: part must be one of {PARTS}, not {part!r}")
    if route and family != "ecp5":
        raise ValueError(f"measure: only ecp5 can be routed with the tools from pip, not {family}")
    component = BareArray(geometry) if part == "array" else Chip(geometry)
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        text = describe(component, family)
        resources = synthesise(text, "top", family, folder, language="rtlil")
        fmax = None
        if route:
            fmax = place_and_route(folder, options=options, seed=seed).fmax_mhz
    return Measurement(
        geometry=str(geometry),
        family=family,
        part=part,
        **asdict(resources),
        ops_per_cycle=2 * geometry.xnors_per_cycle,
        fmax_mhz=fmax,
    )


def measure_peer(peer: str, word_width: int, family: str) -> PeerMeasurement:
    """Synthesise a peer's product of one word.

    Raises
    ------
    SynthesisError
        If the peer or a tool is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        text = PEERS[peer](word_width)
        found = synthesise(text, "peer", family, Path(folder), language="verilog")
    return PeerMeasurement(peer, family, word_width, found.lut, found.ff)
