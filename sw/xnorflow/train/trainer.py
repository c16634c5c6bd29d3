# SPDX-License-Identifier: Apache-2.0
"""The training loop: one recipe, one run directory, resumable after every epoch.

A run directory holds ``run.json`` (recipe and versions), ``checkpoint.pt`` (everything that the
next epoch needs) and ``log.csv`` (a line an epoch). The network is the last epoch's: test images
are looked at for the log, never to choose.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.data import Dataset, load
from xnorflow.train.layers import project
from xnorflow.train.models import BinaryNetwork
from xnorflow.train.recipes import Recipe

__all__ = ["Run", "accuracy", "load_run", "train"]

_COLUMNS = ("epoch", "learning_rate", "train_loss", "train_accuracy", "test_accuracy", "seconds")


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


def train(
    recipe: Recipe,
    data_dir: str | Path | None,
    run_dir: str | Path,
    *,
    show: bool = True,
    stop_after: int | None = None,
) -> Run:
    """Train a recipe, or go on with a run that was cut off.

    On a CPU with the same versions and number of threads, a run that went on from its checkpoint
    gives the same bits as one in a single piece: order and augmentation are drawn from seed and
    epoch alone.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data_dir : path or None
        Folder of the data set's files; None for the cache or a download.
    run_dir : path
        Where run.json, checkpoint.pt and log.csv go.
    show : bool
        Whether to draw a progress bar.
    stop_after : int or None
        Stop when that many epochs are done in all; None for the recipe's.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe, or the images have another shape.
    """
    directory = Path(run_dir)
    data = load(recipe.dataset, data_dir)
    if data.train_images.shape[1:] != recipe.image_shape:
        raise ValueError(
            f"recipe {recipe.name!r} is for images {recipe.image_shape}, but {data.name} has "
            f"{data.train_images.shape[1:]}"
        )
    model = recipe.build()
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    log: list[dict[str, Any]] = []
    if (directory / "run.json").is_file():
        log = _resume(directory, recipe, model, optimizer)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / "run.json", _description(recipe).encode())
    epochs = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)
    with _progress(show) as progress:
        task = progress.add_task(recipe.name, total=epochs * _steps(recipe, data), note="")
        progress.advance(task, len(log) * _steps(recipe, data))
        for epoch in range(len(log), epochs):
            note = f"epoch {epoch + 1}/{recipe.epochs}"
            if log:
                note += f", test {log[-1]['test_accuracy']:.2%}"
            progress.update(task, note=note)
            log.append(
                _epoch(recipe, data, model, optimizer, epoch, lambda: progress.advance(task))
            )
            _save(directory, model, optimizer, log)
    model.eval()
    return Run(recipe, model, tuple(log))


def load_run(run_dir: str | Path) -> Run:
    """Read a run directory back.

    Raises
    ------
    FileNotFoundError
        If it holds no run, or none with an epoch done.
    """
    directory = Path(run_dir)
    for file in ("run.json", "checkpoint.pt"):
        if not (directory / file).is_file():
            raise FileNotFoundError(
                f"{directory}: no {file}; make a run with `xnorflow train RECIPE --run DIR`"
            )
    recipe = Recipe.from_json(json.loads((directory / "run.json").read_text())["recipe"])
    model = recipe.build()
    checkpoint = torch.load(directory / "checkpoint.pt", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
    return Run(recipe, model, tuple(checkpoint["log"]))


def accuracy(
    model: BinaryNetwork, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]
) -> float:
    """Share of images whose largest logit is their label's."""
    classes = model.infer(torch.from_numpy(images)).argmax(1).numpy()
    return float((classes == labels).mean())


def _steps(recipe: Recipe, data: Dataset) -> int:
    """Steps an epoch."""
    return max(1, len(data.train_images) // recipe.batch_size)


def _epoch(
    recipe: Recipe,
    data: Dataset,
    model: BinaryNetwork,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    advance: Any,
) -> dict[str, Any]:
    """Train one epoch and describe it."""
    started = time.monotonic()
    # Drawn anew from seed and epoch, so that going on needs no generator's state.
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    order = torch.randperm(len(images), generator=generator)
    steps = _steps(recipe, data)
    total_loss, total_hits, total_images = 0.0, 0, 0
    model.train()
    for step in range(steps):
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        batch = recipe.augmentation(images[chosen], generator)
        rate = _learning_rate(recipe, epoch + step / steps)
        loss, hits = _step(model, optimizer, batch, labels[chosen], rate, recipe.label_smoothing)
        total_loss += loss
        total_hits += hits
        total_images += len(chosen)
        advance()
    return {
        "epoch": epoch + 1,
        "learning_rate": _learning_rate(recipe, epoch),
        "train_loss": total_loss / steps,
        "train_accuracy": total_hits / total_images,
        "test_accuracy": accuracy(model, data.test_images, data.test_labels),
        "seconds": round(time.monotonic() - started, 2),
    }


def _learning_rate(recipe: Recipe, epochs: float) -> float:
    """Half a cosine from the recipe's rate to 0; ``epochs`` done so far, a fraction included."""
    return recipe.learning_rate * (1 + math.cos(math.pi * epochs / recipe.epochs)) / 2


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    rate: float,
    smoothing: float,
) -> tuple[float, int]:
    """One step of the optimiser; the loss and the number of images classified right."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    logits = model(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    project(model)
    return loss.item(), int((logits.argmax(1) == labels).sum())


def _description(recipe: Recipe) -> str:
    return json.dumps({"recipe": recipe.to_json(), "torch": torch.__version__}, indent=2) + "\n"


def _resume(
    directory: Path, recipe: Recipe, model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[dict[str, Any]]:
    """Load the checkpoint into model and optimiser; the log so far."""
    found = Recipe.from_json(json.loads((directory / "run.json").read_text())["recipe"])
    if found != recipe:
        raise ValueError(
            f"{directory} holds a run of recipe {found.name!r} with other settings; name another "
            "directory, or remove this one"
        )
    if not (directory / "checkpoint.pt").is_file():
        return []
    checkpoint = torch.load(directory / "checkpoint.pt", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    return list(checkpoint["log"])


def _save(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, log: list[dict[str, Any]]
) -> None:
    part = directory / "checkpoint.pt.part"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "log": log}, part)
    part.replace(directory / "checkpoint.pt")
    with (directory / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(log)


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def _progress(show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
