# SPDX-License-Identifier: Apache-2.0
"""From a finished run to an artifact, measured on the whole test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from xnorflow.core.artifact import Artifact
from xnorflow.golden.model import GoldenNetwork
from xnorflow.train.binarize import unrounded_alphas
from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.data import Dataset, load
from xnorflow.train.folding import to_artifact
from xnorflow.train.runs import Run, load_run

__all__ = ["export", "measure"]


def export(run_dir: str | Path, data_dir: str | Path | None = None) -> Artifact:
    """The artifact of a finished run, with its accuracy measured on all test images.

    Parameters
    ----------
    run_dir : path
        What ``train`` wrote.
    data_dir : path or None
        Folder of the data set's files; None for the cache or a download.

    Raises
    ------
    FileNotFoundError
        If there is no run.
    ValueError
        If the run is not finished, or its network cannot be exported.
    """
    run = load_run(run_dir)
    if not run.finished:
        raise ValueError(
            f"{run_dir}: {len(run.log)} of {run.recipe.epochs} epochs are done; go on with "
            "`xnorflow train` first"
        )
    data = load(run.recipe.dataset, data_dir)
    artifact = to_artifact(run.model, run.recipe.name, classes=data.classes)
    return Artifact(artifact.network, artifact.tensors, _provenance(run, data, artifact))


def measure(model: BinaryNetwork, artifact: Artifact, data: Dataset) -> dict[str, Any]:
    """Golden model against float model on all test images.

    Returns
    -------
    dict
        ``images``; ``accuracy`` of the golden model; ``float_accuracy``; ``argmax_changes``,
        images that the two put in different classes; ``equal_logits``, whether all logits are
        the same bits; ``unrounded_alpha_changes``, images that the float model would put in
        another class if its alphas were not in fixed point.
    """
    images = torch.from_numpy(data.test_images)
    logits = model.infer(images).numpy()
    with unrounded_alphas(model):
        unrounded = model.infer(images).numpy()
    golden = GoldenNetwork(artifact).infer(data.test_images)
    right, wanted = golden.argmax(axis=1), data.test_labels
    return {
        "images": len(wanted),
        "accuracy": float((right == wanted).mean()),
        "float_accuracy": float((logits.argmax(axis=1) == wanted).mean()),
        "argmax_changes": int((right != logits.argmax(axis=1)).sum()),
        "equal_logits": bool(np.array_equal(golden, logits)),
        "unrounded_alpha_changes": int((logits.argmax(1) != unrounded.argmax(1)).sum()),
    }


def _provenance(run: Run, data: Dataset, artifact: Artifact) -> dict[str, Any]:
    return {
        "recipe": run.recipe.to_json(),
        "seed": run.recipe.seed,
        "data": data.name,
        "test": measure(run.model, artifact, data),
        "torch": torch.__version__,
    }
