# SPDX-License-Identifier: Apache-2.0
"""Two processes of torchrun train what one process trains on the joint batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xnorflow.train.models import Layer
from xnorflow.train.recipes import recipe
from xnorflow.train.runs import load_run
from xnorflow.train.trainer import train

torch.set_num_threads(1)

SMALL = replace(
    recipe("digits-cnn-w1a2"),
    layers=(Layer(6, kernel=3, pool=2, lanes=2), Layer(16), Layer(10, head="scale")),
    epochs=1,
    batch_size=720,  # two steps: later ones part, as a sum on a threshold falls to either side
    augmentation=replace(recipe("digits-cnn-w1a2").augmentation, shift=1, rotate=0),
)

SCRIPT = """
import json, sys, torch
from xnorflow.train.recipes import Recipe
from xnorflow.train.trainer import train
torch.set_num_threads(1)
train(Recipe.from_json(json.load(open(sys.argv[1]))), None, sys.argv[2], show=False)
"""


def torchrun(folder: Path, settings, processes: int = 2) -> subprocess.CompletedProcess[str]:
    import json

    (folder / "recipe.json").write_text(json.dumps(settings.to_json()))
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone",
            f"--nproc-per-node={processes}", str(folder / "script.py"),
            str(folder / "recipe.json"), str(folder / "run"),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip


def test_two_processes_are_one_with_the_joint_batch(tmp_path) -> None:
    alone = train(SMALL, None, tmp_path / "alone", show=False)
    done = torchrun(tmp_path, SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    together = load_run(tmp_path / "run")
    first, second = alone.log[0], together.log[0]
    assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-5)
    assert second["train_accuracy"] == pytest.approx(first["train_accuracy"], abs=2 / 1440)
    assert second["test_accuracy"] == pytest.approx(first["test_accuracy"], abs=4 / 355)
    ours, theirs = alone.model.state_dict(), together.model.state_dict()
    for name, tensor in ours.items():
        close = torch.isclose(tensor.float(), theirs[name].float(), rtol=1e-3, atol=1e-4)
        # Adam divides by the gradient's size, so where that is near 0 rounding decides.
        assert close.float().mean() > 0.9, name
        if "running" in name:
            assert close.all(), name


@pytest.mark.slow
def test_batches_that_cannot_be_shared_are_an_error(tmp_path) -> None:
    done = torchrun(tmp_path, replace(SMALL, batch_size=721))
    assert done.returncode != 0
    assert "2 processes cannot share batches of 721 images equally" in done.stderr
