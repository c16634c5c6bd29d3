# SPDX-License-Identifier: Apache-2.0
"""``xnorflow run``: an artifact on a device, compared with the golden model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xnorflow.cli.console import output, print_error, print_json
from xnorflow.cli.options import (
    ArtifactArgument,
    DataOption,
    DeviceOption,
    GeometryOption,
    ImagesOption,
    JobsOption,
    JsonOption,
    LanesOption,
)

__all__ = ["run"]


def run(
    artifact: ArtifactArgument,
    device: DeviceOption = "sim",
    geometry: GeometryOption = "3x3x8x32",
    lanes: LanesOption = None,
    images: ImagesOption = None,
    jobs: JobsOption = None,
    data: DataOption = None,
    random: Annotated[
        bool, typer.Option("--random", help="Random pixels, for an artifact without a data set.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write the simulation's waveforms to this VCD file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images on a device.

    The logits are compared with the golden model, in the simulator every layer's codes too. Ends
    with status 1 if a single bit differs, and says where. Simulators in several processes share
    the images.
    """
    from xnorflow.cli.images import load_images, open_artifact
    from xnorflow.cli.job import run_job
    from xnorflow.cli.tables import figures
    from xnorflow.core.geometry import Geometry

    shape = Geometry.parse(geometry)
    network = open_artifact(artifact, lanes)
    test = load_images(network, images, data, random=random)
    report = run_job(network, test, device=device, geometry=shape, jobs=jobs, trace=trace)
    if as_json:
        print_json(report.to_json())
    else:
        console = output()
        console.print(f"{report.network} on {device} {report.geometry}, {test.source}")
        if report.untrained:
            console.print(f"untrained: {report.untrained}")
        console.print(figures([report]))
        if report.identical:
            console.print(str(report.comparison))
    if not report.identical:
        print_error(f"{report.network} {report.comparison}")
        raise typer.Exit(1)
