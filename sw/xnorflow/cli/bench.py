# SPDX-License-Identifier: Apache-2.0
"""``xnorflow bench``: what arrays take of an FPGA, how fast training is; each beside others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xnorflow.cli.console import output, print_error, print_json, progress
from xnorflow.cli.options import ThreadsOption, use_threads

if TYPE_CHECKING:
    from xnorflow.synthesis.bench import Measurement, PeerMeasurement

__all__ = ["app", "array", "train"]

app = typer.Typer(no_args_is_help=True, help="Measure hardware and training.")


@app.callback()
def _bench() -> None:
    """Measure hardware and training."""


def array(
    geometry: Annotated[
        list[str] | None,
        typer.Option(
            help="Streams x taps x columns x word width, as in 3x3x32x64; may be repeated."
        ),
    ] = None,
    family: Annotated[str, typer.Option(help="ecp5 or xc7 (7-series).")] = "ecp5",
    route: Annotated[
        bool,
        typer.Option("--route", help="Place and route on an ECP5-85F, speed 6; takes minutes."),
    ] = False,
    part: Annotated[
        str, typer.Option(help="accelerator, or array: the elements alone between block RAMs.")
    ] = "accelerator",
    seed: Annotated[int, typer.Option(help="The placer's seed.")] = 1,
    nextpnr: Annotated[
        str | None,
        typer.Option(
            help="Options for nextpnr instead of the default placer and router.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder for netlists, logs and reports.", show_default=False),
    ] = None,
    peers: Annotated[bool, typer.Option(help="Synthesise peers' units too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Synthesise accelerators with the tools from pip.

    Shows LUTs, flip-flops and block RAMs, LUTs an operation a cycle, and with --route the clock
    and the binary tera-operations a second; then, from the same tools in the same run, what an
    XNOR-popcount as one writes it down and da4ml's constant-weight product take.
    """
    from xnorflow.core.geometry import Geometry
    from xnorflow.synthesis.bench import PARTS, measure, measure_peer
    from xnorflow.synthesis.netlist import FAMILIES
    from xnorflow.synthesis.peers import PEERS
    from xnorflow.synthesis.route import DEFAULT_OPTIONS
    from xnorflow.synthesis.tools import SynthesisError

    for name, value, known in (("--family", family, FAMILIES), ("--part", part, PARTS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    shapes = [Geometry.parse(text) for text in geometry or ["3x3x32x64"]]
    words = sorted({shape.word_width for shape in shapes}) if peers else []
    jobs = [(peer, word) for word in words for peer in PEERS]
    made: list[Measurement] = []
    others: list[PeerMeasurement] = []
    with progress("synthesis") as advance:
        total = len(shapes) + len(jobs)
        advance(0, total)
        for shape in shapes:
            made.append(
                measure(
                    shape,
                    family,
                    part=part,
                    route=route,
                    options=nextpnr.split() if nextpnr else DEFAULT_OPTIONS,
                    seed=seed,
                    keep=keep / str(shape).replace(",", "_") if keep else None,
                )
            )
            advance(len(made), total)
        for peer, word in jobs:
            try:
                others.append(measure_peer(peer, word, family))
            except SynthesisError as error:
                print_error(f"{peer} is left out: {error}")
            advance(len(made) + len(others), total)
    if as_json:
        print_json([each.to_json() for each in made] + [each.to_json() for each in others])
    else:
        _show(made, others)


def _show(made: list[Measurement], others: list[PeerMeasurement]) -> None:
    from xnorflow.cli.tables import table

    def number(value: Any, digits: int) -> str:
        return "" if value is None else f"{value:,.{digits}f}"

    columns = (
        f"{made[0].part}, {made[0].family}",
        *("LUT", "FF", "memory blocks", "LUT/op", "FF/op", "MHz", "TOPS"),
    )
    rows = [
        (
            each.geometry,
            f"{each.lut:,}",
            f"{each.ff:,}",
            f"{each.memory_blocks:,}",
            number(each.lut_per_op, 3),
            number(each.ff / each.ops_per_cycle, 3),
            number(each.fmax_mhz, 1),
            number(each.tops, 2),
        )
        for each in made
    ]
    rows += [
        (
            f"{each.peer}, {each.word_width} bit",
            f"{each.lut:,}",
            f"{each.ff:,}",
            "",
            number(each.lut_per_op, 3),
            number(each.ff / (2 * each.word_width), 3),
            "",
            "",
        )
        for each in others
    ]
    output().print(table(columns, rows))


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE")] = "cifar10-cnv-w1a1",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As for train; may be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps, of which the best counts.")] = 20,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time training steps.

    Beside the same network in plain PyTorch: same shapes, type, memory layout, optimiser, batch.
    """
    from dataclasses import asdict

    from xnorflow.cli.tables import percent
    from xnorflow.train.overrides import override
    from xnorflow.train.recipes import recipe as find
    from xnorflow.train.throughput import measure as measure_training

    use_threads(threads)
    found = measure_training(override(find(recipe), settings or []), steps=steps, device=device)
    if as_json:
        print_json({"recipe": recipe, **asdict(found), "share": found.share})
        return
    output().print(
        f"{recipe}, batch {found.batch}, {found.dtype}, {found.device}, {found.threads} threads: "
        f"{found.ours:,.0f} images a second; plain PyTorch {found.plain:,.0f}; "
        f"{percent(found.share)} of it",
        soft_wrap=True,
    )


app.command("array")(array)
app.command("train")(train)
