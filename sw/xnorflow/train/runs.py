# SPDX-License-Identifier: Apache-2.0
"""A run's directory: what a training run leaves behind and what it goes on from.

It holds ``run.json`` (recipe and torch's version), ``checkpoint.pt`` (everything that the next
epoch needs) and ``log.csv`` (a line an epoch).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from xnorflow.train.models import BinaryNetwork
from xnorflow.train.recipes import Recipe

__all__ = ["Run", "load_run", "open_run", "save_epoch"]

Log = list[dict[str, Any]]

RUN, CHECKPOINT, LOG = "run.json", "checkpoint.pt", "log.csv"


@dataclass(frozen=True)
class Run:
    """A run read back: its recipe, its network in ``eval()``, its log (a mapping an epoch)."""

    recipe: Recipe
    model: BinaryNetwork
    log: tuple[Mapping[str, Any], ...]

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe was trained."""
        return len(self.log) == self.recipe.epochs


def load_run(run_dir: str | Path) -> Run:
    """Read a run directory back.

    Raises
    ------
    FileNotFoundError
        If it holds no run, or none with an epoch done.
    ValueError
        If its files are damaged.
    """
    directory = Path(run_dir)
    for file in (RUN, CHECKPOINT):
        if not (directory / file).is_file():
            raise FileNotFoundError(
                f"{directory}: no {file}; make a run with `xnorflow train RECIPE --run DIR`"
            )
    recipe = _recipe(directory)
    model = recipe.build()
    checkpoint = _checkpoint(directory)
    model.load_state_dict(checkpoint["model"])
    model.eval()
    return Run(recipe, model, tuple(checkpoint["log"]))


def open_run(run_dir: str | Path, recipe: Recipe, model: nn.Module, optimizer: Optimizer) -> Log:
    """Start a run directory, or bring model and optimiser to where its last epoch ended.

    Returns
    -------
    list of dict
        The log so far, a mapping an epoch.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe, or a damaged one.
    """
    directory = Path(run_dir)
    if not (directory / RUN).is_file():
        directory.mkdir(parents=True, exist_ok=True)
        description = {"recipe": recipe.to_json(), "torch": torch.__version__}
        part = directory / f"{RUN}.part"
        part.write_text(json.dumps(description, indent=2) + "\n")
        part.replace(directory / RUN)
        return []
    found = _recipe(directory)
    if found != recipe:
        raise ValueError(
            f"{directory} holds a run of recipe {found.name!r} with other settings; name another "
            "directory, or remove this one"
        )
    if not (directory / CHECKPOINT).is_file():
        return []
    checkpoint = _checkpoint(directory)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    return list(checkpoint["log"])


def save_epoch(run_dir: str | Path, model: nn.Module, optimizer: Optimizer, log: Log) -> None:
    """Write checkpoint and log, the checkpoint whole or not at all."""
    directory = Path(run_dir)
    part = directory / f"{CHECKPOINT}.part"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "log": log}, part)
    part.replace(directory / CHECKPOINT)
    with (directory / LOG).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(log[0]))
        writer.writeheader()
        writer.writerows(log)


def _recipe(directory: Path) -> Recipe:
    try:
        return Recipe.from_json(json.loads((directory / RUN).read_text())["recipe"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{directory / RUN} is damaged ({error}); train again") from error


def _checkpoint(directory: Path) -> dict[str, Any]:
    path = directory / CHECKPOINT
    try:
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        raise ValueError(f"{path} is damaged; train again") from error
    return checkpoint
