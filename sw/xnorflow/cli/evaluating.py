# SPDX-License-Identifier: Apache-2.0
"""``xnorflow eval``: an artifact's accuracy on a whole test set, by the golden model."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from xnorflow.cli.console import output, print_json, progress
from xnorflow.cli.options import (
    ArtifactArgument,
    DataOption,
    JsonOption,
    LanesOption,
    ThreadsOption,
    use_threads,
)

__all__ = ["evaluate"]

BATCH = 500
"""Images between two moves of the progress bar."""


def evaluate(
    artifact: ArtifactArgument,
    data: DataOption = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many; all of them by default.")
    ] = None,
    lanes: LanesOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure accuracy.

    The golden model classifies the whole test set; the array gives the same classes, bit for bit.
    """
    import numpy as np

    from xnorflow.cli.images import open_artifact
    from xnorflow.cli.tables import percent
    from xnorflow.golden.model import GoldenNetwork
    from xnorflow.train.data import load

    use_threads(threads)
    loaded = open_artifact(artifact, lanes)
    name = loaded.provenance.get("data")
    if not isinstance(name, str):
        raise ValueError(f"{loaded.network.name}: its provenance names no data set")
    test = load(name, data)
    pictures, labels = test.test_images[:images], test.test_labels[:images]
    golden = GoldenNetwork(loaded)
    started = time.monotonic()
    right = 0
    with progress(loaded.network.name) as advance:
        for first in range(0, len(labels), BATCH):
            part = slice(first, first + BATCH)
            right += int(np.sum(golden.classify(pictures[part]) == labels[part]))
            advance(min(first + BATCH, len(labels)), len(labels))
    seconds = time.monotonic() - started
    accuracy = right / len(labels)
    if as_json:
        print_json(
            {
                "network": loaded.network.name,
                "data": name,
                "accuracy": accuracy,
                "images": len(labels),
                "seconds": round(seconds, 3),
            }
        )
        return
    output().print(
        f"{loaded.network.name}: {percent(accuracy)} of {len(labels):,} test images of {name}, "
        f"{seconds:.1f} s",
        soft_wrap=True,
    )
