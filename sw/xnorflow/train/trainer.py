# SPDX-License-Identifier: Apache-2.0
"""The training loop: one recipe, one run directory, resumable after every epoch.

The network that comes out is the last epoch's: test images are looked at for the log, never to
choose.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
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
from xnorflow.train.runs import Run, open_run, save_epoch

__all__ = ["accuracy", "train"]


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
        What :mod:`xnorflow.train.runs` describes; made if it is not there.
    show : bool
        Whether to draw a progress bar.
    stop_after : int or None
        Stop when that many epochs are done in all; None for the recipe's.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe or a damaged one, or the images have
        another shape.
    """
    data = load(recipe.dataset, data_dir)
    if data.train_images.shape[1:] != recipe.image_shape:
        raise ValueError(
            f"recipe {recipe.name!r} is for images {recipe.image_shape}, but {data.name} has "
            f"{data.train_images.shape[1:]}"
        )
    # Images come with the channel last, and convolutions on a CPU are a quarter faster so.
    model = recipe.build()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    log = open_run(run_dir, recipe, model, optimizer)
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
            save_epoch(run_dir, model, optimizer, log)
    model.eval()
    return Run(recipe, model, tuple(log))


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
    advance: Callable[[], None],
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


def _progress(show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
