# SPDX-License-Identifier: Apache-2.0
"""The training loop: one recipe, one run directory, resumable after every epoch.

The network that comes out is the last epoch's: test images are looked at for the log, never to
choose.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from xnorflow.train import distributed
from xnorflow.train.allocator import keep_freed_memory
from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.board import board
from xnorflow.train.data import Dataset, load
from xnorflow.train.flips import SignChanges
from xnorflow.train.layers import project
from xnorflow.train.losses import objective
from xnorflow.train.recipes import Recipe
from xnorflow.train.runs import CHECKPOINT, Run, load_run, open_run, save_epoch
from xnorflow.train.schedules import factor

__all__ = ["TrainingError", "accuracy", "make_optimizer", "precision", "train", "train_step"]


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says where and what may help."""


def train(
    recipe: Recipe,
    data_dir: str | Path | None,
    run_dir: str | Path,
    *,
    show: bool = True,
    stop_after: int | None = None,
    minutes: float | None = None,
    device: str | None = None,
) -> Run:
    """Train a recipe, or go on with a run that was cut off; alone or among ``torchrun``'s.

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
    minutes : float or None
        Stop before an epoch that would, at the last one's pace, end later than this.
    device : str or None
        ``"cpu"`` or ``"cuda"``; None for CUDA where there is some.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe or a damaged one, the images have another
        shape, processes cannot share batches, or the device is not there.
    TrainingError
        If a loss is not finite; the checkpoint of the epoch before stays.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device}: PyTorch finds no GPU here; take cpu")
    with distributed.processes(device):
        return _train(recipe, data_dir, Path(run_dir), show, stop_after, minutes, device)


def _train(
    recipe: Recipe,
    data_dir: str | Path | None,
    run_dir: Path,
    show: bool,
    stop_after: int | None,
    minutes: float | None,
    device: str,
) -> Run:
    started = time.monotonic()
    keep_freed_memory()
    data = load(recipe.dataset, data_dir)
    if data.train_images.shape[1:] != recipe.image_shape:
        raise ValueError(
            f"recipe {recipe.name!r} is for images {recipe.image_shape}, but {data.name} has "
            f"{data.train_images.shape[1:]}"
        )
    if recipe.batch_size % distributed.world_size():
        raise ValueError(
            f"recipe {recipe.name!r}: {distributed.world_size()} processes cannot share batches of "
            f"{recipe.batch_size} images equally; --set batch_size to a multiple"
        )
    model = recipe.build()
    if not (run_dir / CHECKPOINT).is_file():
        _start(recipe, model)
    # Images come with the channel last, and convolutions on a CPU are a quarter faster so.
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(recipe, model)
    teacher = _teacher(recipe, model)
    first = distributed.rank() == 0
    log = open_run(run_dir, recipe, model, optimizer, write=first)
    through = distributed.wrapped(model)
    epochs = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)
    writing = board(run_dir) if first else contextlib.nullcontext(lambda entry: None)
    with _progress(show and first) as progress, writing as write:
        task = progress.add_task(recipe.name, total=epochs * _steps(recipe, data), note="")
        progress.advance(task, len(log) * _steps(recipe, data))
        pace = 0.0
        while len(log) < epochs:
            late = minutes is not None and time.monotonic() - started + pace > 60 * minutes
            if distributed.agreed(late):
                break
            note = f"epoch {len(log) + 1}/{recipe.epochs}"
            if log:
                note += f", test {log[-1]['test_accuracy']:.2%}"
            progress.update(task, note=note)
            step = partial(train_step, recipe, model, optimizer, teacher=teacher, through=through)
            log.append(_epoch(recipe, data, model, step, log, lambda: progress.advance(task)))
            if first:
                save_epoch(run_dir, recipe, model, optimizer, log)
                write(log[-1])
            pace = log[-1]["seconds"]
    model.eval()
    return Run(recipe, model, tuple(log))


def accuracy(
    model: BinaryNetwork, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]
) -> float:
    """Share of images whose largest logit is their label's."""
    classes = model.infer(torch.from_numpy(images)).argmax(1).cpu().numpy()
    return float((classes == labels).mean())


def _steps(recipe: Recipe, data: Dataset) -> int:
    """Steps an epoch."""
    return max(1, len(data.train_images) // recipe.batch_size)


def _epoch(
    recipe: Recipe,
    data: Dataset,
    model: BinaryNetwork,
    train_batch: Callable[[Tensor, Tensor, float], tuple[float, int]],
    log: Sequence[Mapping[str, Any]],
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Train one epoch and describe it."""
    started = time.monotonic()
    epoch = len(log)
    losses = [entry["train_loss"] for entry in log]
    # Drawn anew from seed and epoch, so that going on needs no generator's state.
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    order = torch.randperm(len(images), generator=generator)
    steps = _steps(recipe, data)
    total_loss, total_hits, total_images = 0.0, 0, 0
    first_rate = 0.0
    flips = SignChanges(model)
    mine = slice(distributed.rank(), None, distributed.world_size())
    model.train()
    for step in range(steps):
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        batch = recipe.augmentation(images[chosen], generator)
        rate = recipe.learning_rate * factor(
            recipe.schedule, epoch + step / steps, recipe.epochs, recipe.decay_epochs, losses
        )
        first_rate = first_rate if step else rate
        with flips.step(step):
            loss, hits = train_batch(batch[mine], labels[chosen[mine]], rate)
        if not (math.isfinite(loss) and _finite(model)):
            raise TrainingError(
                f"epoch {epoch + 1}, step {step + 1} of {steps}: loss {loss}, and a gradient or a "
                f"running mean that is not finite; a lower learning rate than {rate:.3g} may help, "
                f"in a new run with --set lr={rate / 3:.1g}"
            )
        total_loss += loss
        total_hits += hits
        total_images += len(chosen)
        advance()
    trained = time.monotonic() - started
    with precision(recipe, model):
        test = accuracy(model, data.test_images[mine], data.test_labels[mine])
    count = len(data.test_labels[mine])
    loss_sum, hit_sum, right, tested = distributed.total(
        total_loss, total_hits, test * count, count
    )
    return {
        "epoch": epoch + 1,
        "learning_rate": first_rate,
        "train_loss": loss_sum / steps / distributed.world_size(),
        "train_accuracy": hit_sum / total_images,
        "test_accuracy": round(right) / tested,
        "seconds": round(time.monotonic() - started, 2),
        "images_per_second": round(total_images / trained, 1),
        **{f"sign_changes {name}": share for name, share in flips.shares().items()},
    }


def _finite(model: nn.Module) -> bool:
    """Whether all gradients and running means are: signs hide what went wrong from the loss."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    means = [b for b in model.buffers() if b.is_floating_point()]
    sums = torch.stack([tensor.sum() for tensor in (*gradients, *means)])
    return bool(torch.isfinite(sums).all())


def train_step(
    recipe: Recipe,
    model: BinaryNetwork,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    rate: float,
    *,
    teacher: BinaryNetwork | None = None,
    through: nn.Module | None = None,
) -> tuple[float, int]:
    """One step of the optimiser at that rate.

    Parameters
    ----------
    recipe, model, optimizer
        What is trained, and how.
    images, labels : Tensor
        uint8 (N, H, W, C) and int64 (N,).
    rate : float
        Learning rate.
    teacher : BinaryNetwork or None
        Whose answers are learnt too.
    through : Module or None
        Calls ``model`` in its place, and shares gradients between processes.

    Returns
    -------
    (float, int)
        The loss, and the number of images put right.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    device = next(model.parameters()).device
    images, labels = images.to(device), labels.to(device)
    with precision(recipe, model):
        logits = (through or model)(images).float()
        taught = None if teacher is None else teacher.infer(images)
    loss = objective(recipe, model, logits, labels, taught)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    project(model, clip=recipe.clip, rising=recipe.rising)
    return loss.item(), int((logits.argmax(1) == labels).sum())


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser of all parameters."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=recipe.learning_rate, momentum=0.9, fused=True
        )
    return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=True)


def _start(recipe: Recipe, model: BinaryNetwork) -> None:
    """The weights of the recipe's start in place of random ones."""
    if not recipe.start:
        return
    try:
        given, own = load_run(recipe.start).model.state_dict(), model.state_dict()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"recipe {recipe.name!r} takes its first weights from {recipe.start}, but {error}; or "
            "begin with random ones: --set start="
        ) from error
    fitting = {
        name: value
        for name, value in given.items()
        if name in own and value.shape == own[name].shape
    }
    if not any(name.endswith("linear.weight") for name in fitting):
        raise ValueError(f"start {recipe.start}: none of its layers has the shape of one here")
    model.load_state_dict(fitting, strict=False)


def _teacher(recipe: Recipe, model: BinaryNetwork) -> BinaryNetwork | None:
    """The network of the recipe's teacher, where the model is."""
    if not recipe.teacher:
        return None
    teacher = load_run(recipe.teacher).model
    if teacher.image_shape != model.image_shape:
        raise ValueError(
            f"teacher {recipe.teacher} is for images {teacher.image_shape}, not {model.image_shape}"
        )
    teacher.requires_grad_(False)
    teacher.to(next(model.parameters()).device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return teacher


def precision(recipe: Recipe, model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Autocast to the recipe's type."""
    if recipe.dtype == "float32":
        return contextlib.nullcontext()
    device = next(model.parameters()).device.type
    return torch.autocast(device, getattr(torch, recipe.dtype))


def _progress(show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
