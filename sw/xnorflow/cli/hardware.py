# SPDX-License-Identifier: Apache-2.0
"""``xnorflow verilog``: the accelerator as one Verilog file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xnorflow.cli.console import output, write_text
from xnorflow.cli.options import GeometryOption

__all__ = ["verilog"]


def verilog(
    to: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    geometry: GeometryOption = "3x3x8x32",
) -> None:
    """Write the accelerator's Verilog.

    One plain Verilog-2001 file; its top module is xnorflow.
    """
    from xnorflow.core.geometry import Geometry
    from xnorflow.gateware.verilog import emit

    shape = Geometry.parse(geometry)
    design = emit(shape)
    write_text(to, design.verilog)
    lines = design.verilog.count("\n")
    output().print(
        f"{to}: {shape}, {shape.xnors_per_cycle:,} XNORs a cycle, {lines:,} lines, "
        f"build hash {design.build_hash:08x}",
        soft_wrap=True,
    )
