# SPDX-License-Identifier: Apache-2.0
"""From a board and a geometry to a bitstream that meets its clock."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from xnorflow.boards.board import Board, BoardError
from xnorflow.boards.pll import Setting
from xnorflow.boards.top import BoardTop
from xnorflow.core.baked import Baked
from xnorflow.core.geometry import Geometry
from xnorflow.flat.choose import make_crossed
from xnorflow.gateware.target import Target
from xnorflow.gateware.verilog import HASH_MARK, uninitialised_memories
from xnorflow.links.uart import UartDevice, uart_divisor
from xnorflow.synthesis.implement import pack, place, versions
from xnorflow.synthesis.netlist import Resources, synthesise
from xnorflow.synthesis.report import REPORT, CriticalPath, Routed
from xnorflow.synthesis.room import check_room
from xnorflow.synthesis.tools import SynthesisError

__all__ = ["STEPS", "Built", "TimingError", "build", "describe", "write_bitstream"]

STEPS = ("describing", "synthesising", "placing and routing", "packing")
ATTEMPTS = 3
SLOWER = 0.98
"""The next clock that is tried, as a share of what routing met."""


class TimingError(SynthesisError):
    """Routing does not meet the clock; the message names the critical path."""


@dataclass(frozen=True)
class Built:
    """A bitstream, and what is known of it.

    Parameters
    ----------
    board : Board
    geometry : Geometry
    setting : Setting
        The PLL's.
    design_hash : str
        SHA-256 of the description that was synthesised, pins and tools' arguments but the placer's
        seed; its first 32 bits are the device's ``build_hash``.
    resources : Resources
    seed : int
        The placer's.
    routed : Routed
    critical : CriticalPath
    bitstream : Path
    baked : Baked or None
        The network that is there from the start.
    """

    board: Board
    geometry: Geometry
    setting: Setting
    design_hash: str
    resources: Resources
    seed: int
    routed: Routed
    critical: CriticalPath
    bitstream: Path
    baked: Baked | None = None

    @property
    def gops(self) -> float:
        """Binary operations a second, in 10^9: XNORs and additions."""
        return 2 * self.geometry.xnors_per_cycle * self.setting.mhz * 1e-3

    @property
    def file_name(self) -> str:
        """The bitstream's, once it is written."""
        return self.board.name + self.bitstream.suffix

    def manifest(self) -> dict[str, Any]:
        """What bitstreams/<board>/manifest.json holds."""
        content = self.bitstream.read_bytes()
        return {
            "board": self.board.name,
            "design_hash": self.design_hash,
            "geometry": str(self.geometry),
            "network": None if self.baked is None else self.baked.facts(),
            "clock_mhz": round(self.setting.mhz, 4),
            "fmax_mhz": round(self.routed.fmax_mhz, 2),
            "baud": self.board.baud,
            "seed": self.seed,
            "lut": self.resources.lut,
            "ff": self.resources.ff,
            "memory_blocks": self.resources.memory_blocks,
            "dsp": self.resources.dsp,
            "gops": round(self.gops, 2),
            "utilisation": {
                kind: list(counts) for kind, counts in self.routed.utilisation.items() if counts[0]
            },
            "critical_path": str(self.critical),
            "bitstream": self.file_name,
            "bitstream_bytes": len(content),
            "bitstream_sha256": hashlib.sha256(content).hexdigest(),
            "tools": versions(self.board.family),
        }


def divisor_of(board: Board, mhz: float) -> int:
    """Clock cycles of a bit on the UART; BoardError if none comes near enough."""
    try:
        return uart_divisor(mhz, board.baud)
    except ValueError as error:
        raise BoardError(f"{board.name}: {error}") from error


def leds_of(board: Board, baked: Baked | None) -> int:
    """LEDs that show the class of an image that came without a host."""
    if baked is None or baked.answer is None:
        return 0
    return min(baked.answer.class_bits, len(board.leds))


def top_of(
    board: Board,
    setting: Setting,
    geometry: Geometry,
    build_hash: int,
    baked: Baked | None = None,
) -> BoardTop:
    """The board's top. The host link has the oscillator's clock, so as not to bound the array's."""
    contents, answer = (None, None) if baked is None else (baked.contents, baked.answer)
    device = make_crossed(geometry, build_hash=build_hash, contents=contents)
    divisor = divisor_of(board, board.oscillator_mhz)
    return BoardTop(board, setting, UartDevice(device, divisor=divisor, answer=answer))


def describe(
    board: Board, setting: Setting, geometry: Geometry, baked: Baked | None = None
) -> tuple[str, str]:
    """RTLIL of a board's top, and the design's hash.

    The same sources, board, geometry and network give the same text, wherever and whenever it is
    made.
    """
    top = top_of(board, setting, geometry, HASH_MARK, baked)
    with uninitialised_memories():
        text = rtlil.convert(top, name="top", platform=Target(board.family), emit_src=False)
    mark = f"32'{HASH_MARK:032b}"
    if mark not in text:
        raise RuntimeError("the build hash has no place in the design")
    arguments = [*board.nextpnr, *board.options]
    arguments += board.pins_of(leds_of(board, baked)).values()
    digest = hashlib.sha256("\n".join([text, *arguments]).encode()).hexdigest()
    return text.replace(mark, f"32'{int(digest[:8], 16):032b}"), digest


def build(
    board: Board,
    folder: Path,
    *,
    geometry: Geometry | None = None,
    clock_mhz: float | None = None,
    seeds: Sequence[int] = (),
    baked: Baked | None = None,
    progress: Callable[[str], None] | None = None,
) -> Built:
    """Synthesise, place, route and pack.

    Parameters
    ----------
    board : Board
    folder : Path
        Gets every file: netlist, logs, reports, bitstream.
    geometry : Geometry or None
        The board's own if None.
    clock_mhz : float or None
        A clock that must be met. If None, the board's own is tried, and where routing does not
        meet it, the fastest one that the PLL makes and routing meets.
    seeds : sequence of int
        The placer's, tried until the clock is met; the board's own if empty.
    baked : Baked or None
        A network, compiled for the geometry, that the board holds from the start.
    progress : callable or None
        Is told each step, one of ``STEPS``.

    Raises
    ------
    TimingError
        If the clock is not met.
    BoardError
        If the PLL or the UART cannot do it.
    SynthesisError
        If a tool is missing or fails, or the design does not fit.
    """
    tell = progress or (lambda step: None)
    geometry = geometry or board.geometry
    seeds = seeds or board.seeds
    if baked is not None:
        check_room(board, geometry, baked)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = clock_mhz or board.clock_mhz
    for _ in range(ATTEMPTS):
        setting = board.setting(wanted)
        tell(STEPS[0])
        text, digest = describe(board, setting, geometry, baked)
        tell(STEPS[1])
        resources = synthesise(text, "top", board.family, folder, language="rtlil")
        best = 0.0
        for seed in seeds:
            tell(STEPS[2])
            aim = board.aim * setting.mhz
            routed, path = place(
                board, folder, target_mhz=aim, seed=seed, leds=leds_of(board, baked)
            )
            if routed.fmax_mhz >= setting.mhz:
                tell(STEPS[3])
                bitstream = pack(board, folder)
                return Built(
                    board,
                    geometry,
                    setting,
                    digest,
                    resources,
                    seed,
                    routed,
                    path,
                    bitstream,
                    baked,
                )
            if routed.fmax_mhz > best:
                best, critical = routed.fmax_mhz, path
        if clock_mhz is not None:
            break
        wanted = SLOWER * best
    raise TimingError(
        f"{board.name}: {geometry} at {setting.mhz:g} MHz is routed for {best:.1f} MHz only. The "
        f"longest path takes {critical}. Ask for a slower clock with --clock, for more attempts "
        "with --seed, or for a smaller array with --geometry"
    )


def write_bitstream(built: Built, manifest: dict[str, Any], folder: Path) -> Path:
    """Write a folder: manifest.json, nextpnr's report.json, the bitstream. Returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    path = folder / built.file_name
    shutil.copyfile(built.bitstream, path)
    shutil.copyfile(built.bitstream.with_name(REPORT), folder / REPORT)
    return path
