# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "ArtifactArgument",
    "DataOption",
    "DeviceOption",
    "GeometryOption",
    "ImagesOption",
    "JobsOption",
    "JsonOption",
    "LanesOption",
    "MinutesOption",
    "NetOption",
    "ThreadsOption",
    "TrainDeviceOption",
    "use_threads",
]

ArtifactArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT",
        help="An artifact's file, a shipped one's name, or a network's, untrained: cnv, "
        "nin-cifar10, vgg11-cifar10 (-w1a2 for two lanes).",
    ),
]
GeometryOption = Annotated[
    str,
    typer.Option(
        help="Streams x taps x columns x word width; memory sizes may follow, as in "
        "3x3x8x32,weight_depth=16384."
    ),
]
ImagesOption = Annotated[
    int | None,
    typer.Option(
        help="How many test images; 256, or as many as there are, unless given.",
        show_default=False,
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        help="Simulator processes that share the images; one a core unless given.",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where to run: sim is the simulated array, uart:PATH or uart:PATH?baud=N a board on "
        "a serial port, spi:PATH or spi:PATH?hz=N one on an SPI bus of Linux."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data set's standard files; the default is what ships or downloads."
    ),
]
LanesOption = Annotated[
    int | None,
    typer.Option(
        help="Most lanes of an activation: fewer than the network has are quicker and less exact.",
        show_default=False,
    ),
]
NetOption = Annotated[
    str | None,
    typer.Option(
        metavar="ARTIFACT",
        help="A network that the design holds from the start, so that it needs no host.",
        show_default=False,
    ),
]
MinutesOption = Annotated[
    float | None, typer.Option(min=0, help="Stop after the last epoch that fits.")
]
TrainDeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="cpu or cuda; cuda where there is some by default."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads; all cores by default.")]


def use_threads(threads: int | None) -> None:
    """Let PyTorch use that many threads; None: as many as it likes."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
