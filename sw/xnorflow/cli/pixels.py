# SPDX-License-Identifier: Apache-2.0
"""``xnorflow pixels``: images as the bytes that a board without a host takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xnorflow.cli.console import output, print_json
from xnorflow.cli.options import ArtifactArgument, DataOption, JsonOption

__all__ = ["pixels"]


def pixels(
    artifact: ArtifactArgument,
    to: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    images: Annotated[int, typer.Option(min=1, help="How many test images.")] = 1,
    skip: Annotated[int, typer.Option(min=0, help="Test images before the first one.")] = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write test images as plain bytes, for a board that was built with --net.

    Each is row by row, position by position, channel by channel; nothing lies between two. Prints
    the class that the golden model gives each, which is what the board must answer.
    """
    from xnorflow.cli.images import load_images, open_artifact
    from xnorflow.golden.model import GoldenNetwork

    loaded = open_artifact(artifact)
    chosen = load_images(loaded, skip + images, data)
    wanted = chosen.images[skip:]
    classes = GoldenNetwork(loaded)(wanted).logits.argmax(axis=1).tolist()
    named = loaded.network.classes
    answers = [named[each] if named else str(each) for each in classes]
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(wanted.tobytes())
    if as_json:
        print_json(
            {
                "file": str(to),
                "image_bytes": wanted[0].size,
                "source": chosen.source,
                "answers": answers,
                "labels": None if chosen.labels is None else chosen.labels[skip:].tolist(),
            }
        )
        return
    output().print(
        f"{to}: {images} of {chosen.source}, {wanted[0].size:,} bytes each", soft_wrap=True
    )
    output().print(f"answers: {' '.join(answers)}", soft_wrap=True)
