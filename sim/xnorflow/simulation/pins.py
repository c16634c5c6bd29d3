# SPDX-License-Identifier: Apache-2.0
"""Simulations of whole tops behind the pins of a link: Verilog and library, each made once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from xnorflow.core.geometry import Geometry
from xnorflow.simulation.cache import cached_folder
from xnorflow.simulation.design import load_design, sources_key
from xnorflow.simulation.model import LIBRARY, build_library, library_key
from xnorflow.simulation.toolchain import find_toolchain

if TYPE_CHECKING:
    from amaranth.lib import wiring

__all__ = ["build_pins", "pins_verilog"]

SOURCES = ("xnorflow.links", "xnorflow.gateware", "xnorflow.flat", "xnorflow.core")
"""Packages that decide the Verilog."""


def build_pins(link: str, verilog: str, top: str, harness: Path, what: str) -> Path:
    """The shared library of a design and its harness.

    Parameters
    ----------
    link : str
        ``"uart"`` or ``"spi"``; names the cache.
    verilog, top : str
        The design, and its top module.
    harness : Path
        C++ that drives the pins.
    what : str
        The device, for messages.

    Raises
    ------
    ToolchainError
        If a tool is missing or fails.
    """
    toolchain = find_toolchain()

    def build(folder: Path) -> None:
        build_library(folder, verilog, toolchain, top=top, harness=harness)

    folder = cached_folder(
        link,
        library_key(toolchain, verilog, harness.read_text()),
        build,
        message=f"Building the simulation of {what} behind {_A[link]} (once)",
    )
    return folder / LIBRARY


def pins_verilog(
    link: str,
    geometry: Geometry,
    top: str,
    make: Callable[[int], wiring.Component],
    *,
    what: str,
) -> str:
    """Verilog of an accelerator behind a link.

    Parameters
    ----------
    link : str
    geometry : Geometry
    top : str
        Name of the top module.
    make : callable
        ``make(build_hash)`` is the component.
    what : str
        All that decides the component.
    """
    build_hash = load_design(geometry).build_hash

    def emit_into(folder: Path) -> None:
        # Imported here: a warm start loads neither Amaranth nor Yosys.
        from xnorflow.gateware.verilog import convert

        (folder / f"{link}.json").write_text(json.dumps(convert(make(build_hash), top)))

    folder = cached_folder(
        f"{link}-verilog",
        sources_key(*SOURCES, what=what),
        emit_into,
        message=f"Writing the Verilog of {geometry} behind {_A[link]}",
    )
    return str(json.loads((folder / f"{link}.json").read_text()))


_A = {"uart": "a UART", "spi": "an SPI"}
