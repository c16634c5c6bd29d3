# SPDX-License-Identifier: Apache-2.0
"""``xnorflow verilog``: the accelerator as one Verilog file, and what tools need beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xnorflow.cli.console import output, print_json, write_text
from xnorflow.cli.options import GeometryOption, JsonOption, NetOption

__all__ = ["verilog"]


def verilog(
    to: Annotated[Path, typer.Option("--output", "-o", help="The Verilog file to write.")],
    geometry: GeometryOption = "3x3x8x32",
    top: Annotated[
        str | None,
        typer.Option(
            help="core, axi, wishbone, uart or spi; a manifest, clock constraints and scripts for "
            "Vivado and Quartus are then written beside the file. Without it: the core, alone.",
            show_default=False,
        ),
    ] = None,
    net: NetOption = None,
    clock_mhz: Annotated[
        float, typer.Option(help="Clock that constraints, and the UART's divisor, are for.")
    ] = 100.0,
    baud: Annotated[int, typer.Option(help="Bits a second of the UART.")] = 1_000_000,
    as_json: JsonOption = False,
) -> None:
    """Write the accelerator's Verilog.

    One plain Verilog-2001 file; its top module is xnorflow, or xnorflow_axi, xnorflow_wishbone,
    xnorflow_uart, xnorflow_spi.
    """
    from xnorflow.cli.images import open_artifact
    from xnorflow.compile.bake import bake
    from xnorflow.core.geometry import Geometry
    from xnorflow.packaging.files import package_files
    from xnorflow.packaging.tops import Settings, emit_top

    shape = Geometry.parse(geometry)
    baked = None if net is None else bake(open_artifact(net), shape)
    settings = Settings(clock_mhz=clock_mhz, baud=baud, baked=baked)
    name = top or "core"
    design = emit_top(name, shape, settings)
    files = package_files(name, design, settings, to.name)
    texts = list(files.values())
    paths = [to, *(to.with_name(file) for file in list(files)[1:])]
    if top is None:
        paths = paths[:1]
    for path, text in zip(paths, texts, strict=False):
        write_text(path, text)
    lines = design.verilog.count("\n")
    if as_json:
        print_json(
            {
                "files": [str(path) for path in paths],
                "module": design.top,
                "geometry": str(shape),
                "xnors_per_cycle": shape.xnors_per_cycle,
                "network": None if baked is None else baked.facts(),
                "lines": lines,
                "build_hash": f"{design.build_hash:08x}",
                "digest": design.digest,
            }
        )
        return
    output().print(
        f"{to}: {shape}, {shape.xnors_per_cycle:,} XNORs a cycle, {lines:,} lines, "
        f"build hash {design.build_hash:08x}",
        soft_wrap=True,
    )
    if baked is not None:
        output().print(f"holds {baked.name} from the start", soft_wrap=True)
    if top is not None:
        beside = ", ".join(path.name for path in paths[1:])
        output().print(f"top module {design.top}; beside it: {beside}", soft_wrap=True)
