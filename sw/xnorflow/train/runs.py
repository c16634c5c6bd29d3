# SPDX-License-Identifier: Apache-2.0
"""A run's directory: what a training run leaves behind and what it goes on from.

It holds ``run.json`` (recipe and torch's version), ``checkpoint.pt`` (everything that the next
epoch needs) and ``log.csv`` (a line an epoch). A run of the schedule ``hold`` has ``held.pt`` too,
the checkpoint before its learning rate fell: from there it can be prolonged. What it had come to
until then stays as ``checkpoint-N-epochs.pt``.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.distributed import barrier
from xnorflow.train.recipes import Recipe

__all__ = ["Run", "load_run", "open_run", "save_epoch"]

Log = list[dict[str, Any]]

RUN, CHECKPOINT, HELD, LOG = "run.json", "checkpoint.pt", "held.pt", "log.csv"


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
    checkpoint = _checkpoint(directory / CHECKPOINT)
    model.load_state_dict(checkpoint["model"])
    model.eval()
    return Run(recipe, model, tuple(checkpoint["log"]))


def open_run(
    run_dir: str | Path,
    recipe: Recipe,
    model: nn.Module,
    optimizer: Optimizer,
    *,
    write: bool = True,
) -> Log:
    """Start a run directory, or bring model and optimiser to where its last epoch ended.

    Of several processes only one may ``write``; the others wait for it.

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
    if write:
        _claim(directory, recipe)
    barrier()
    if not (directory / CHECKPOINT).is_file():
        return []
    checkpoint = _checkpoint(directory / CHECKPOINT)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    return list(checkpoint["log"])


def save_epoch(
    run_dir: str | Path, recipe: Recipe, model: nn.Module, optimizer: Optimizer, log: Log
) -> None:
    """Write checkpoint and log, each whole or not at all."""
    directory = Path(run_dir)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "log": log}
    names = [CHECKPOINT, HELD] if len(log) == recipe.held_epochs else [CHECKPOINT]
    for name in names:
        torch.save(state, directory / f"{name}.part")
        (directory / f"{name}.part").replace(directory / name)
    part = directory / f"{LOG}.part"
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(log[-1]), restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(log)
    part.replace(directory / LOG)


def _claim(directory: Path, recipe: Recipe) -> None:
    """Make the directory one of a run of this recipe, unless it holds another's."""
    if not (directory / RUN).is_file():
        directory.mkdir(parents=True, exist_ok=True)
        _describe(directory, recipe)
        return
    found = _recipe(directory)
    if found != recipe:
        _prolong(directory, found, recipe)


def _describe(directory: Path, recipe: Recipe) -> None:
    part = directory / f"{RUN}.part"
    description = {"recipe": recipe.to_json(), "torch": torch.__version__}
    part.write_text(json.dumps(description, indent=2) + "\n")
    part.replace(directory / RUN)


def _prolong(directory: Path, found: Recipe, wanted: Recipe) -> None:
    """Make the run one of the wanted length, as if it had been so from the start.

    Raises
    ------
    ValueError
        If the recipes differ in more than their length, or no checkpoint serves both.
    """
    same = replace(found, epochs=wanted.epochs, decay_epochs=wanted.decay_epochs)
    if same != wanted or wanted.held_epochs == 0:
        raise ValueError(
            f"{directory} holds a run of recipe {found.name!r} with other settings; name another "
            "directory, or remove this one"
        )
    held = min(found.held_epochs, wanted.held_epochs)
    path = directory / CHECKPOINT
    if path.is_file():
        done = len(_checkpoint(path)["log"])
        if done > held:
            before = directory / HELD
            if not before.is_file() or len(_checkpoint(before)["log"]) > held:
                raise ValueError(
                    f"{directory}: {done} epochs are done, and its learning rate was not to fall "
                    f"before epoch {wanted.held_epochs}; name more epochs"
                )
            path.replace(directory / f"checkpoint-{done}-epochs.pt")
            shutil.copyfile(before, path)
    _describe(directory, wanted)


def _recipe(directory: Path) -> Recipe:
    try:
        return Recipe.from_json(json.loads((directory / RUN).read_text())["recipe"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{directory / RUN} is damaged ({error}); train again") from error


def _checkpoint(path: Path) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        raise ValueError(f"{path} is damaged; train again") from error
    return checkpoint
