# SPDX-License-Identifier: Apache-2.0
"""``xnorflow sim``: every shipped network on the simulated array, with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xnorflow.cli.console import output, print_error, print_json
from xnorflow.cli.options import GeometryOption, JobsOption, JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from xnorflow.cli.job import Report

__all__ = ["sim"]

SHOWN = 5
"""Images drawn for each network, if they fit the terminal."""


def sim(
    geometry: GeometryOption = "3x3x8x32",
    images: Annotated[
        int,
        typer.Option(help="Test images for each network; fewer if its sample has fewer.", min=1),
    ] = 256,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images with the shipped networks.

    They run on the simulated array, with real test images; a network that does not fit the
    geometry is named and left out. Every layer's codes and the logits are compared with the golden
    model. Ends with status 1 if a single bit differs, and says where.
    """
    from xnorflow.cli.images import load_images
    from xnorflow.cli.job import run_job
    from xnorflow.cli.tables import figures
    from xnorflow.compile.errors import CompileError
    from xnorflow.core.artifact import Artifact
    from xnorflow.core.geometry import Geometry
    from xnorflow.zoo.catalog import artifact_path, names

    shape = Geometry.parse(geometry)
    console = output()
    reports = []
    misfits = {}
    for name in names():
        network = Artifact.load(artifact_path(name))
        test = load_images(network, images, fewer=True)
        try:
            report = run_job(network, test, device="sim", geometry=shape, jobs=jobs)
        except CompileError as error:
            misfits[name] = error
            continue
        reports.append(report)
        if not as_json:
            _show(console, report, network.network.classes)
    if not reports:
        raise next(iter(misfits.values()))
    if as_json:
        print_json({report.network: report.to_json() for report in reports})
    else:
        console.print(figures(reports))
        for name, why in misfits.items():
            console.print(f"{name} is left out: {why}", style="dim", soft_wrap=True)
        for report in reports:
            if report.identical:
                console.print(f"{report.network}: {report.comparison}", style="green")
    wrong = [report for report in reports if not report.identical]
    for report in wrong:
        print_error(f"{report.network} {report.comparison}")
    if wrong:
        raise typer.Exit(1)


def _show(console: Console, report: Report, classes: tuple[str, ...]) -> None:
    """Draw a few images, the first that the network takes for something else among them."""
    import numpy as np

    from xnorflow.cli.pictures import draw, side_by_side

    predicted, labels = report.result.classes, report.test.labels
    assert labels is not None  # for mypy: shipped networks have labelled samples
    wrong = np.flatnonzero(predicted != labels)[:1].tolist()
    right = np.flatnonzero(predicted == labels)[:SHOWN].tolist()
    chosen = [*right[:2], *wrong, *right[2:]]
    captions = [
        f"says {_word(classes, predicted[i])}, is {_word(classes, labels[i])}" for i in chosen
    ]
    console.print(f"\n{report.network} on the simulated array {report.geometry}\n", style="bold")
    pictures = draw(report.test.images[chosen], colours=console.color_system is not None)
    for line in side_by_side(pictures, captions, console.width):
        console.print(line, no_wrap=True, overflow="crop")


def _word(classes: tuple[str, ...], index: int) -> str:
    return classes[index] if classes else str(index)
