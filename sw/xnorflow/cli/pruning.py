# SPDX-License-Identifier: Apache-2.0
"""``xnorflow prune``: a trained network without the filters that it can do without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from xnorflow.cli.console import output, print_json
from xnorflow.cli.options import (
    DataOption,
    JsonOption,
    ThreadsOption,
    TrainDeviceOption,
    use_threads,
)

__all__ = ["prune"]


def prune(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that train wrote.")],
    to: Annotated[Path, typer.Option("--run", help="Folder of the pruned run.")],
    method: Annotated[
        str,
        typer.Option(help="subsidiary learns masks; msf-cascade, msf-layerwise and smaller are "
                     "its baselines."),
    ] = "subsidiary",
    like: Annotated[
        Path | None,
        typer.Option(help="A pruned run: keep as many filters a layer. For the baselines."),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="alpha: what a kept weight costs. More prunes more.")
    ] = 1e-7,
    distillation: Annotated[float, typer.Option(help="beta: the distillation loss's.")] = 1.0,
    mask_epochs: Annotated[int, typer.Option(help="Epochs of each layer's mask.")] = 2,
    retrain_epochs: Annotated[int, typer.Option(help="Epochs of retraining after each.")] = 4,
    retrain_rate: Annotated[float, typer.Option(help="Learning rate of retraining.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Of masks and of the order of images.")] = 1,
    data: DataOption = None,
    device: TrainDeviceOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Remove filters between the first and the last layer, and retrain.

    A pruning that was cut off goes on behind its last layer. docs/pruning.md.
    """
    from xnorflow.train import pruned_runs
    from xnorflow.train.pruning_steps import METHODS, Pruning

    use_threads(threads)
    if method != "subsidiary" and method in (*METHODS, "smaller") and like is None:
        raise ValueError(
            f"{method} needs to be told how many filters each layer keeps: name a pruned run with "
            "--like"
        )
    filters = None if like is None else pruned_runs.kept_like(like)
    if method == "smaller":
        assert filters is not None  # for mypy: refused above
        result = pruned_runs.train_smaller(run, to, filters, data, device=device)
    else:
        settings = Pruning(
            method=method, strength=strength, distillation=distillation, mask_epochs=mask_epochs,
            retrain_epochs=retrain_epochs, retrain_rate=retrain_rate, seed=seed,
        )  # fmt: skip
        result = pruned_runs.prune_run(
            run, to, settings, data, filters=filters, device=device,
            report=None if as_json else _report,
        )  # fmt: skip
    if as_json:
        print_json(result)
    else:
        _show(to, result)


def _report(entry: Mapping[str, Any]) -> None:
    output().print(
        f"{entry['epoch']:3} {entry['stage']:<8} {entry['layer']:<8} loss {entry['train_loss']:.4f}"
        f"  test {100 * entry['test_accuracy']:.2f} %  {entry['kept']} filters",
        soft_wrap=True,
    )


def _show(folder: Path, result: dict[str, Any]) -> None:
    from xnorflow.cli.tables import percent, table

    rows = [
        (name, layer["filters"], layer["kept"], percent(1 - layer["kept"] / layer["filters"]))
        for name, layer in result["layers"].items()
    ]
    output().print(table(("layer", "filters", "kept", "pruned"), rows))
    output().print(
        f"{folder}: {percent(result['pfr'])} of the filters pruned; "
        f"{percent(result['accuracy'])} of the test images, {percent(result['accuracy_before'])} "
        f"before; next: xnorflow export {folder} -o pruned.safetensors",
        soft_wrap=True,
    )
