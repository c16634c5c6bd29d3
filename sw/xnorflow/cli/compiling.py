# SPDX-License-Identifier: Apache-2.0
"""``xnorflow compile``: how an artifact fits an array, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xnorflow.cli.console import output, print_json
from xnorflow.cli.options import ArtifactArgument, GeometryOption, JsonOption

if TYPE_CHECKING:
    from xnorflow.compile.program import Program

__all__ = ["compile_artifact"]


def compile_artifact(
    artifact: ArtifactArgument,
    geometry: GeometryOption = "3x3x8x32",
    as_json: JsonOption = False,
) -> None:
    """Fit an artifact to an array.

    Shows tiles, passes and exact cycles of each layer, and how full the memories are. A network
    that does not fit ends with status 2, and the message says what would.
    """
    from xnorflow.cli.images import open_artifact, untrained
    from xnorflow.cli.tables import percent, table
    from xnorflow.compile.program import compile_network
    from xnorflow.core.geometry import Geometry

    network = open_artifact(artifact)
    program = compile_network(network, Geometry.parse(geometry))
    if as_json:
        print_json({"untrained": untrained(network) is not None} | _json(program))
        return
    console = output()
    cycles = program.block_cycles(program.block)
    console.print(
        f"{program.network.name} on {program.geometry}: {program.block} images a block, "
        f"{cycles:,} cycles, {cycles / program.block:,.0f} an image"
    )
    if untrained(network):
        console.print(f"untrained: {untrained(network)}")
    steps = [
        (step.name, step.tiles, step.passes, f"{step.cycles:,}", percent(step.utilisation))
        for step in program.layers
    ]
    pixels = ("pixels in", "", "", f"{_input_cycles(program):,}", "")
    columns = ("layer", "tiles", "passes", "cycles a block", "useful")
    console.print(table(columns, [pixels, *steps]))
    memories = [
        (name, f"{used:,}", f"{available:,}", percent(used / available))
        for name, (used, available) in program.usage.items()
    ]
    console.print(table(("memory", "used", "available", "share"), memories))


def _input_cycles(program: Program) -> int:
    """Cycles of a full block in which only pixels come in."""
    layers = sum(step.cycles for step in program.layers)
    return program.block_cycles(program.block) - layers


def _json(program: Program) -> dict[str, Any]:
    cycles = program.block_cycles(program.block)
    xnors = cycles * program.geometry.xnors_per_cycle
    return {
        "network": program.network.name,
        "geometry": str(program.geometry),
        "block": program.block,
        "cycles": cycles,
        "input_cycles": _input_cycles(program),
        "cycles_per_image": cycles / program.block,
        "utilisation": program.useful_xnors(program.block) / xnors,
        "config_words": len(program.config),
        "layers": [
            {
                "name": step.name,
                "tiles": step.tiles,
                "passes": step.passes,
                "cycles": step.cycles,
                "utilisation": step.utilisation,
            }
            for step in program.layers
        ],
        "memory": {
            name: {"used": used, "available": available}
            for name, (used, available) in program.usage.items()
        },
    }
