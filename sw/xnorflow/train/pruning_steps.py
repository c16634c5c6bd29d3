# SPDX-License-Identifier: Apache-2.0
"""What one layer goes through when a network is pruned: its mask learns, then the network again.

Source: Y. Xu and others, CVPR 2019, section 3.1.2, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xnorflow.train.allocator import keep_freed_memory
from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.data import Dataset
from xnorflow.train.losses import distillation
from xnorflow.train.masks import FilterMask, size_penalty
from xnorflow.train.recipes import Recipe
from xnorflow.train.trainer import (
    TrainingError,
    accuracy,
    make_optimizer,
    precision,
    train_step,
)

__all__ = ["METHODS", "Log", "Pruning", "Steps"]

METHODS = ("subsidiary", "msf-cascade", "msf-layerwise")
Log = list[dict[str, Any]]


@dataclass(frozen=True)
class Pruning:
    """How to prune.

    Parameters
    ----------
    method : str
        One of ``METHODS``.
    strength : float
        alpha of equation 2: what a weight that is kept costs. More prunes more.
    distillation : float
        beta of equation 2: weight of the distillation loss, equation 7 with T = 1.
    positive : float
        Share of the filters that a mask keeps at first (PNR).
    mask_epochs, retrain_epochs : int
        Epochs a layer in which its mask, then the network from it on, learns.
    mask_rate, retrain_rate : float
        Learning rates of Adam; the mask's is constant, the network's falls along half a cosine.
    seed : int
        Of the masks, the order of images and their augmentation.
    """

    method: str = "subsidiary"
    strength: float = 1e-7
    distillation: float = 1.0
    positive: float = 0.5
    mask_epochs: int = 2
    retrain_epochs: int = 4
    mask_rate: float = 1e-3
    retrain_rate: float = 1e-3
    seed: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}; known: {', '.join(METHODS)}")
        for what in ("mask_rate", "retrain_rate"):
            if not getattr(self, what) > 0:
                raise ValueError(f"pruning: {what} must be positive, not {getattr(self, what)}")
        for what in ("strength", "distillation", "mask_epochs", "retrain_epochs"):
            if not getattr(self, what) >= 0:
                raise ValueError(f"pruning: {what} must not be negative: {getattr(self, what)}")


class Steps:
    """The two steps that a layer goes through, and their log.

    Parameters
    ----------
    recipe, model, data, settings
        As of :func:`xnorflow.train.pruning.prune`.
    masks : dict of str to FilterMask
        By layer's name; hooked to the model by who calls.
    report : callable or None
        Called with each entry of the log.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: BinaryNetwork,
        data: Dataset,
        settings: Pruning,
        masks: dict[str, FilterMask],
        report: Callable[[Mapping[str, Any]], None] | None,
    ) -> None:
        keep_freed_memory()
        self.recipe, self.model, self.data, self.settings = recipe, model, data, settings
        self.masks, self.report = masks, report
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.log: Log = []

    def state(self, done: int) -> dict[str, Any]:
        """All that is needed to go on when ``done`` layers are."""
        return {
            "done": done,
            "model": self.model.state_dict(),
            "masks": {name: mask.state_dict() for name, mask in self.masks.items()},
            "generator": self.generator.get_state(),
            "log": self.log,
        }

    def restore(self, state: Mapping[str, Any]) -> int:
        """Be as when ``state`` was taken; the number of layers that were done."""
        done = int(state["done"])
        self.model.load_state_dict(state["model"])
        for index, (name, mask) in enumerate(self.masks.items(), start=1):
            mask.load_state_dict(state["masks"][name])
            if index <= done:
                mask.keep(mask.weight >= 0)
        self.generator.set_state(state["generator"].cpu())
        self.log = list(state["log"])
        return done

    def select(self, name: str, index: int, teacher: BinaryNetwork) -> None:
        """Train the mask of block ``index``; everything else is fixed (section 3.1.2).

        Blocks behind it normalise by their batches' own statistics, as the mask changes them.
        """
        settings, mask = self.settings, self.masks[name]
        block = self.model.named_blocks()[name]
        self.model.requires_grad_(False)
        self._train_from(index + 1)
        mask.selecting = True
        optimizer = torch.optim.Adam(mask.parameters(), lr=settings.mask_rate)
        for _ in range(settings.mask_epochs):
            total = 0.0
            for images, labels in self._batches():
                with precision(self.recipe, self.model):
                    logits = self.model(images).float()
                loss = F.cross_entropy(logits, labels)
                loss = loss + settings.strength * size_penalty(mask, block)
                if settings.distillation:
                    with torch.no_grad(), precision(self.recipe, teacher):
                        taught = teacher(images).float()
                    loss = loss + settings.distillation * distillation(logits, taught)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += loss.item()
            self._note("select", name, settings.mask_rate, total)
        mask.fix()

    def retrain(self, name: str, first: int, epochs: int) -> None:
        """Train all blocks from ``first`` on; those before it, and all masks, are fixed."""
        self.model.requires_grad_(True)
        for block in list(self.model.named_blocks().values())[:first]:
            block.requires_grad_(False)
        optimizer = make_optimizer(self.recipe, self.model)
        for epoch in range(epochs):
            self._train_from(first)
            total, steps = 0.0, self._steps()
            for step, (images, labels) in enumerate(self._batches()):
                done = (epoch + step / steps) / epochs
                rate = self.settings.retrain_rate * (1 + math.cos(math.pi * done)) / 2
                loss, _ = train_step(self.recipe, self.model, optimizer, images, labels, rate)
                total += loss
            self._note("retrain", name, rate, total)

    def _train_from(self, first: int) -> None:
        """Blocks before ``first`` keep their running statistics."""
        self.model.train()
        for block in list(self.model.named_blocks().values())[:first]:
            block.eval()

    def _steps(self) -> int:
        return max(1, len(self.data.train_images) // self.recipe.batch_size)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch of shuffled, augmented images and labels on the model's device."""
        device = next(self.model.parameters()).device
        images = torch.from_numpy(self.data.train_images)
        labels = torch.from_numpy(self.data.train_labels)
        order = torch.randperm(len(images), generator=self.generator)
        size = self.recipe.batch_size
        for step in range(self._steps()):
            chosen = order[step * size : (step + 1) * size]
            batch = self.recipe.augmentation(images[chosen], self.generator)
            yield batch.to(device), labels[chosen].to(device)

    def _note(self, stage: str, layer: str, rate: float, total: float) -> None:
        if not math.isfinite(total):
            raise TrainingError(
                f"{stage} {layer}: the loss is not finite; a lower learning rate than {rate:.3g} "
                "may help"
            )
        with precision(self.recipe, self.model):
            test = accuracy(self.model, self.data.test_images, self.data.test_labels)
        self.log.append(
            {
                "epoch": len(self.log) + 1,
                "stage": stage,
                "layer": layer,
                "learning_rate": rate,
                "train_loss": total / self._steps(),
                "test_accuracy": test,
                "kept": sum(int(mask.kept().sum()) for mask in self.masks.values()),
            }
        )
        if self.report is not None:
            self.report(self.log[-1])
