# SPDX-License-Identifier: Apache-2.0
"""``xnorflow build``: a board's bitstream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xnorflow.cli.console import output, print_json, steps
from xnorflow.cli.options import NetOption

if TYPE_CHECKING:
    from xnorflow.cli.expected import Expected
    from xnorflow.core.baked import Baked
    from xnorflow.synthesis.build import Built

__all__ = ["build"]


def build(
    board: Annotated[str, typer.Option(help="Name of the board; an unknown one lists all.")],
    geometry: Annotated[
        str | None,
        typer.Option(help="Array instead of the board's own.", show_default=False),
    ] = None,
    net: NetOption = None,
    clock: Annotated[
        float | None,
        typer.Option(
            help="MHz that must be met, instead of the board's own clock or the fastest below it.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            help="The placer's, instead of the board's; several are tried until the clock is met.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder; build/BOARD by default.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Make a board's bitstream: synthesis, placement, routing, packing.

    Uses the tools from pip (xnorflow[fpga]); minutes. The clock comes from the board's PLL, at a
    frequency that routing met. Writes the bitstream, manifest.json, nextpnr's report.json, and in
    work/ the logs.
    """
    from xnorflow.boards.catalog import find_board
    from xnorflow.cli.expected import expected
    from xnorflow.cli.images import open_artifact
    from xnorflow.compile.bake import bake
    from xnorflow.core.geometry import Geometry
    from xnorflow.synthesis.build import STEPS, build, write_bitstream

    chosen = find_board(board)
    shape = None if geometry is None else Geometry.parse(geometry)
    artifact = None if net is None else open_artifact(net)
    baked = None if artifact is None else bake(artifact, shape or chosen.geometry)
    folder = to or Path("build") / chosen.name
    with steps(chosen.title, STEPS) as tell:
        built = build(
            chosen,
            folder / "work",
            geometry=shape,
            clock_mhz=clock,
            seeds=seed or (),
            baked=baked,
            progress=tell,
        )
    networks = expected(built.geometry, built.setting.mhz, chosen.baud, artifact)
    manifest = built.manifest() | {
        "images_per_second": {each.network: each.to_json() for each in networks}
    }
    bitstream = write_bitstream(built, manifest, folder)
    if as_json:
        print_json(manifest)
    else:
        _show(built, networks, bitstream)


def _show(built: Built, networks: list[Expected], bitstream: Path) -> None:
    from xnorflow.cli.tables import table

    rows = [
        (kind, f"{used:,}", f"{available:,}", f"{used / available:.0%}")
        for kind, (used, available) in built.routed.utilisation.items()
        if used
    ]
    output().print(table((built.board.title, "used", "available", ""), rows))
    print_ = output().print
    print_(f"array      {built.geometry}", soft_wrap=True)
    print_(
        f"clock      {built.setting.mhz:g} MHz; routing met {built.routed.fmax_mhz:.1f} MHz; "
        f"{built.gops:.1f} binary GOPS"
    )
    for each in networks:
        print_(f"images/s   {each.network}: the array {each.array:,.0f}, the link {each.link:,.0f}")
    if built.baked is not None:
        print_(f"holds      {built.baked.name} from the start", soft_wrap=True)
        print_(f"own input  {_own_input(built.baked)}", soft_wrap=True)
    print_(f"longest    {built.critical}", soft_wrap=True)
    print_(f"bitstream  {bitstream}, {bitstream.stat().st_size:,} bytes", soft_wrap=True)
    print_(f"load it    openFPGALoader -b {built.board.loader} {bitstream}", soft_wrap=True)


def _own_input(baked: Baked) -> str:
    """What the board does without a host."""
    if baked.answer is None:
        return f"none: {baked.why}"
    return f"{baked.answer.image_bytes:,} bytes an image on rx; its class comes back on tx"
