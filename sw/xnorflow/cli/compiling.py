# SPDX-License-Identifier: Apache-2.0
"""``xnorflow compile``: how an artifact fits an array, and where its cycles go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xnorflow.cli.console import output, print_json
from xnorflow.cli.options import ArtifactArgument, GeometryOption, JsonOption, LanesOption

if TYPE_CHECKING:
    from rich.console import Console

    from xnorflow.compile.program import Program
    from xnorflow.compile.report import CycleReport, Layer

__all__ = ["compile_artifact"]

MODES = ("throughput", "latency")
WIDE = 160
"""Characters of a line where there is no terminal to fold for."""


def compile_artifact(
    artifact: ArtifactArgument,
    geometry: GeometryOption = "3x3x8x32",
    mode: Annotated[
        str,
        typer.Option(
            help="throughput: blocks of as many images as pay. latency: one image, or as many as "
            "the array computes side by side."
        ),
    ] = "throughput",
    lanes: LanesOption = None,
    report: Annotated[
        bool, typer.Option("--report", help="Where the cycles go, reason by reason.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the report, with a roofline: FILE.png or .svg.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit an artifact to an array.

    Shows tiles, passes and exact cycles of each layer, and how full the memories are. A network
    that does not fit ends with status 2, and the message says what would.
    """
    from xnorflow.cli.images import open_artifact, untrained
    from xnorflow.compile.program import MAX_BLOCK, compile_network
    from xnorflow.compile.report import report as cycle_report
    from xnorflow.core.geometry import Geometry

    if mode not in MODES:
        raise ValueError(f"--mode must be {' or '.join(MODES)}, not {mode!r}")
    if plot is not None:
        from xnorflow.cli.plots import check_picture

        check_picture(plot)
    shape = Geometry.parse(geometry)
    network = open_artifact(artifact, lanes)
    program = compile_network(
        network, shape, max_block=shape.pixels if mode == "latency" else MAX_BLOCK
    )
    found = cycle_report(program.plans, program.schedule)
    title = f"{program.network.name} on {program.geometry}, {mode} mode"
    if plot is not None:
        from xnorflow.cli.plots import plot_report, save_picture

        save_picture(plot_report(found, title), plot)
    if as_json:
        print_json({"untrained": untrained(network) is not None} | _json(program, found, mode))
        return
    console = output()
    console.print(f"{title}: {_summary(found)}", soft_wrap=True)
    if untrained(network):
        console.print(f"untrained: {untrained(network)}")
    _show(console, program, found, reasons=report)


def _summary(found: CycleReport) -> str:
    total = found.total
    count = f"{found.block} images" if found.block > 1 else "one image"
    text = (
        f"{count} a block, {total.cycles:,} cycles, {total.cycles_per_image:,.0f} an image, "
        f"{100 * total.utilisation:.1f} % useful"
    )
    if found.input_bound:
        text += f"; its {found.image_bytes:,} bytes, one a cycle, take longer"
    return text


def _show(console: Console, program: Program, found: CycleReport, *, reasons: bool) -> None:
    from xnorflow.cli.tables import percent, table

    shown = found.reasons if reasons else ()
    columns = ("layer", "tiles", "passes", "cycles an image", "share", "useful", *shown)
    rows = [_row(found, layer, shown) for layer in (*found.layers, found.total)]
    made = table(columns, rows)
    made.rows[-2].end_section = True
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    console.print(made)
    if reasons:
        console.print("the last columns: cycles an image lost, by reason (docs/performance.md)")
    memories = [
        (name, f"{used:,}", f"{available:,}", percent(used / available))
        for name, (used, available) in program.usage.items()
    ]
    console.print(table(("memory", "used", "available", "share"), memories))


def _row(found: CycleReport, layer: Layer, reasons: tuple[str, ...]) -> tuple[str, ...]:
    return (
        layer.name,
        str(layer.tiles or ""),
        str(layer.passes or ""),
        f"{layer.cycles_per_image:,.0f}",
        f"{100 * layer.cycles / found.total.cycles:.1f} %",
        f"{100 * layer.utilisation:.1f} %",
        *(f"{layer.lost[reason] / layer.images:,.0f}" for reason in reasons),
    )


def _json(program: Program, found: CycleReport, mode: str) -> dict[str, Any]:
    return {
        "network": program.network.name,
        "geometry": str(program.geometry),
        "mode": mode,
        "block": found.block,
        "cycles": found.total.cycles,
        "cycles_per_image": found.total.cycles_per_image,
        "utilisation": found.total.utilisation,
        "lost": found.total.lost,
        "image_bytes": found.image_bytes,
        "latency_cycles": found.latency_cycles if mode == "latency" else None,
        "config_words": len(program.config),
        "layers": [layer.to_json() for layer in found.layers],
        "memory": {
            name: {"used": used, "available": available}
            for name, (used, available) in program.usage.items()
        },
    }
