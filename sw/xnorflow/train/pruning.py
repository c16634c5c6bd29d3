# SPDX-License-Identifier: Apache-2.0
"""Removing whole filters of a trained network: the pruning paper's method and its baselines.

| method | which filters go | when |
|---|---|---|
| subsidiary | those whose masks, learnt on the loss, end at 0 | layer by layer, bottom up |
| msf-cascade | those of the smallest alpha = mean abs(W) | layer by layer, retraining after each |
| msf-layerwise | the same | all layers at once, then retraining |

Each layer between the first and the last is pruned, and retraining takes the same epochs in all.
Source: Y. Xu and others, CVPR 2019, sections 3.1 and 4. The smaller network trained from scratch is
a recipe: :func:`xnorflow.train.removal.smaller`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.data import Dataset
from xnorflow.train.masks import FilterMask, masked, prunable
from xnorflow.train.pruning_steps import Log, Pruning, Steps
from xnorflow.train.recipes import Recipe
from xnorflow.train.weights import filter_scale

__all__ = ["prune"]


def prune(
    recipe: Recipe,
    model: BinaryNetwork,
    data: Dataset,
    settings: Pruning,
    *,
    filters: Mapping[str, int] | None = None,
    report: Callable[[Mapping[str, Any]], None] | None = None,
    save: Callable[[Mapping[str, Any]], None] | None = None,
    saved: Mapping[str, Any] | None = None,
) -> tuple[dict[str, FilterMask], Log]:
    """Choose filters and retrain; ``model`` learns in place, and is left in ``eval()``.

    Parameters
    ----------
    recipe : Recipe
        That ``model`` was built from: its batch size, augmentation and type are used.
    model : BinaryNetwork
        Trained.
    data : Dataset
        What it was trained on.
    settings : Pruning
        How.
    filters : dict of str to int or None
        How many filters each layer keeps: of the MSF methods, which need it.
    report : callable or None
        Called with each entry of the log.
    save : callable or None
        Called after each layer with all that is needed to go on from there.
    saved : dict or None
        What ``save`` was called with last, to go on to the same bits.

    Returns
    -------
    dict of str to FilterMask, list of dict
        The masks, fixed, by layer's name; the log, an entry an epoch.

    Raises
    ------
    ValueError
        If the network has no layer to prune, or ``filters`` does not fit the method or the layers.
    TrainingError
        If a loss is not finite.
    """
    inner = prunable(model)
    if (filters is None) != (settings.method == "subsidiary"):
        raise ValueError(
            "the MSF methods need to be told how many filters each layer keeps, and the subsidiary "
            "method finds it out: name a pruned run to be like for those, none for this"
        )
    counts = _check_counts(filters or {}, {n: len(b.linear.weight) for n, b in inner.items()})
    steps = Steps(recipe, model, data, settings, _masks(settings, model), report)
    teacher = _copy(recipe, model)
    done = steps.restore(saved) if saved else 0
    with masked(model, steps.masks):
        for index, name in enumerate(inner, start=1):
            if index <= done:
                continue
            if settings.method == "subsidiary":
                steps.select(name, index, teacher)
                steps.retrain(name, index, settings.retrain_epochs)
            else:
                steps.masks[name].keep(_largest(inner[name].linear.weight, counts[name]))
                if settings.method == "msf-cascade":
                    steps.retrain(name, 0, settings.retrain_epochs)
            if save is not None:
                save(steps.state(index))
        if settings.method == "msf-layerwise":
            steps.retrain("all", 0, settings.retrain_epochs * len(inner))
    model.requires_grad_(True)
    model.eval()
    return steps.masks, steps.log


def _masks(settings: Pruning, model: BinaryNetwork) -> dict[str, FilterMask]:
    """A mask for each layer, not yet selecting."""
    generator = torch.Generator().manual_seed(settings.seed)
    return {
        name: FilterMask(
            len(block.linear.weight), positive=settings.positive, generator=generator
        ).to(block.linear.weight.device)
        for name, block in prunable(model).items()
    }


def _check_counts(filters: Mapping[str, int], have: Mapping[str, int]) -> dict[str, int]:
    if filters and set(filters) != set(have):
        raise ValueError(
            f"filters are given for the layers {sorted(filters)}, but those that can be pruned "
            f"are {sorted(have)}"
        )
    for name, count in filters.items():
        if not 1 <= count <= have[name]:
            raise ValueError(f"layer {name!r} has {have[name]} filters and cannot keep {count}")
    return dict(filters)


def _largest(weight: Tensor, count: int) -> Tensor:
    """Which filters have the ``count`` largest scales alpha = mean |W|, bool (filters,)."""
    kept = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    kept[filter_scale(weight).topk(count).indices] = True
    return kept


def _copy(recipe: Recipe, model: BinaryNetwork) -> BinaryNetwork:
    """The network as it is now, in ``eval()``: the teacher."""
    copy = recipe.build()
    copy.load_state_dict(model.state_dict())
    return copy.to(next(model.parameters()).device).eval()
