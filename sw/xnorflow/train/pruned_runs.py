# SPDX-License-Identifier: Apache-2.0
"""From a run's directory to that of a smaller network: a run like any other, to be exported.

Beside what :mod:`xnorflow.train.runs` describes it holds ``pruning.json``: the run that it came
from, how it was pruned, how many filters each layer had and kept, PFR, and the accuracy before and
after. While it works, ``pruning.pt`` is what it goes on from if it is cut off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from xnorflow.train.data import load
from xnorflow.train.masks import prunable
from xnorflow.train.pruning import prune
from xnorflow.train.pruning_steps import Pruning
from xnorflow.train.removal import pruned_filters, remove_filters, smaller
from xnorflow.train.runs import Run, load_run, open_run, save_epoch
from xnorflow.train.trainer import accuracy, make_optimizer, train

__all__ = ["kept_like", "prune_run", "train_smaller"]

DESCRIPTION, STATE = "pruning.json", "pruning.pt"


def prune_run(
    source: str | Path,
    target: str | Path,
    settings: Pruning,
    data_dir: str | Path | None = None,
    *,
    filters: Mapping[str, int] | None = None,
    device: str | None = None,
    report: Callable[[Mapping[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Prune a run's network; ``target`` becomes a finished run of the smaller one.

    Parameters
    ----------
    source : path
        A run, which stays as it is.
    target : path
        A directory that is not there, or one in which the same pruning was cut off.
    settings, filters, report
        As of :func:`xnorflow.train.pruning.prune`.
    data_dir : path or None
        Folder of the data set's files; None for the cache or a download.
    device : str or None
        ``"cpu"`` or ``"cuda"``; None for CUDA where there is some.

    Returns
    -------
    dict
        What ``pruning.json`` holds.

    Raises
    ------
    FileNotFoundError, ValueError
        If ``source`` holds no run or ``target`` something else.
    """
    run, directory = load_run(source), Path(target)
    data = load(run.recipe.dataset, data_dir)
    whole = {name: len(block.linear.weight) for name, block in prunable(run.model).items()}
    model = run.model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    task = {"source": str(source), "settings": asdict(settings), "filters": filters and {**filters}}
    saved = _begin(directory, task)
    before = accuracy(model, data.test_images, data.test_labels)
    masks, log = prune(
        run.recipe, model, data, settings,
        filters=filters, report=report, saved=saved,
        save=lambda state: _write(directory / STATE, lambda part: torch.save(dict(state), part)),
    )  # fmt: skip
    kept = {name: mask.kept().cpu() for name, mask in masks.items()}
    recipe, pruned = remove_filters(run.recipe, model.cpu(), kept)
    recipe = replace(
        recipe, name=f"{recipe.name}-pruned", epochs=len(log), schedule="cosine", decay_epochs=0
    )
    optimizer = make_optimizer(recipe, pruned)
    open_run(directory, recipe, pruned, optimizer)
    save_epoch(directory, recipe, pruned, optimizer, log)
    after = accuracy(pruned, data.test_images, data.test_labels)
    result = task | _figures(whole, {name: int(mask.sum()) for name, mask in kept.items()})
    result |= {"accuracy_before": before, "accuracy": after}
    _describe(directory, result)
    (directory / STATE).unlink(missing_ok=True)
    return result


def train_smaller(
    source: str | Path,
    target: str | Path,
    filters: Mapping[str, int],
    data_dir: str | Path | None = None,
    *,
    device: str | None = None,
    epochs: int | None = None,
) -> dict[str, Any]:
    """The baseline "smaller network": the same shape from random weights, by the source's recipe.

    Parameters
    ----------
    source, target, data_dir, device
        As of :func:`prune_run`.
    filters : dict of str to int
        How many filters each layer has.
    epochs : int or None
        Instead of the recipe's.
    """
    run: Run = load_run(source)
    whole = {name: len(block.linear.weight) for name, block in prunable(run.model).items()}
    recipe = smaller(run.recipe, filters)
    recipe = replace(recipe, name=f"{recipe.name}-smaller", epochs=epochs or recipe.epochs)
    trained = train(recipe, data_dir, target, device=device)
    result = {"source": str(source), "settings": {"method": "smaller"}, "filters": dict(filters)}
    result |= _figures(whole, filters)
    result |= {
        "accuracy_before": run.log[-1]["test_accuracy"],
        "accuracy": trained.log[-1]["test_accuracy"],
    }
    _describe(Path(target), result)
    return result


def kept_like(directory: str | Path) -> dict[str, int]:
    """How many filters each layer of a pruned run kept.

    Raises
    ------
    FileNotFoundError
        If the directory holds no pruned run.
    """
    path = Path(directory) / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"{directory}: no {DESCRIPTION}; make one with `xnorflow prune`")
    described = json.loads(path.read_text())
    if "layers" not in described:
        raise ValueError(f"{directory}: its pruning is not finished; run its command again")
    return {name: int(layer["kept"]) for name, layer in described["layers"].items()}


def _figures(whole: Mapping[str, int], kept: Mapping[str, int]) -> dict[str, Any]:
    return {
        "layers": {name: {"filters": whole[name], "kept": kept[name]} for name in whole},
        "pfr": pruned_filters(whole, kept),
    }


def _begin(directory: Path, task: dict[str, Any]) -> dict[str, Any] | None:
    """The state to go on from; None at the beginning."""
    path = directory / DESCRIPTION
    if not path.is_file():
        if directory.exists() and any(directory.iterdir()):
            raise ValueError(f"{directory} is not empty; name another directory")
        directory.mkdir(parents=True, exist_ok=True)
        _describe(directory, task)
        return None
    if json.loads(path.read_text()) != json.loads(json.dumps(task)):
        raise ValueError(
            f"{directory} holds a finished pruning or one of other settings; name another directory"
        )
    state = directory / STATE
    return torch.load(state, weights_only=True) if state.is_file() else None


def _describe(directory: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=2) + "\n"
    _write(directory / DESCRIPTION, lambda part: part.write_text(text))


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    write(part)
    part.replace(path)
