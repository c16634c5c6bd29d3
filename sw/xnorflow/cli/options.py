# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ArtifactArgument", "DataOption", "DeviceOption", "GeometryOption", "JsonOption"]

ArtifactArgument = Annotated[
    str, typer.Argument(metavar="ARTIFACT", help="An artifact's file, or a shipped one's name.")
]
GeometryOption = Annotated[
    str,
    typer.Option(
        help="Streams x taps x columns x word width; memory sizes may follow, as in "
        "3x3x8x32,weight_depth=16384."
    ),
]
DeviceOption = Annotated[str, typer.Option(help="Where to run: sim is the simulated array.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data set's standard files; the default is what ships or downloads."
    ),
]
