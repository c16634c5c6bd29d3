# SPDX-License-Identifier: Apache-2.0
"""``xnorflow train``, ``plot`` and ``export``: from a recipe to an artifact."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from xnorflow.cli.console import output
from xnorflow.cli.options import (
    DataOption,
    MinutesOption,
    ThreadsOption,
    TrainDeviceOption,
    use_threads,
)

__all__ = ["export", "plot", "train"]


def train(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="Its name; none lists them.")
    ] = None,
    data: DataOption = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/RECIPE by default.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs instead of the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of the recipe's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value of the recipe, as lr=1e-3, augmentation.flip=false, "
            "layers.8.head=scale, layers.*.lanes=2; may be repeated.",
        ),
    ] = None,
    minutes: MinutesOption = None,
    device: TrainDeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Train a network, or go on training.

    A run that was cut off goes on where its last epoch ended.
    """
    from xnorflow.train import recipes

    if recipe is None:
        _list_recipes(recipes.RECIPES)
        return
    from xnorflow.train import trainer
    from xnorflow.train.overrides import override

    use_threads(threads)
    chosen = recipes.recipe(recipe)
    chosen = override(chosen, settings or [])
    chosen = chosen if epochs is None else replace(chosen, epochs=epochs)
    chosen = chosen if seed is None else replace(chosen, seed=seed)
    folder = run or Path("runs") / chosen.name
    done = trainer.train(chosen, data, folder, minutes=minutes, device=device)
    if int(os.environ.get("RANK", "0")) > 0:  # one of torchrun's processes speaks for all
        return
    if not done.finished:
        output().print(
            f"{folder}: {len(done.log)} of {chosen.epochs} epochs; the same command goes on",
            soft_wrap=True,
        )
        return
    last = done.log[-1]
    output().print(
        f"{folder}: {len(done.log)} epochs, {100 * last['test_accuracy']:.2f} % of the test images;"
        f" next: xnorflow export {folder} -o {chosen.name}.safetensors",
        soft_wrap=True,
    )


def _list_recipes(recipes: dict[str, Any]) -> None:
    from xnorflow.cli.tables import table

    rows = [
        (name, entry.dataset, len(entry.layers), entry.pixel_lanes, entry.epochs)
        for name, entry in recipes.items()
    ]
    output().print(table(("recipe", "data", "layers", "pixel bits", "epochs"), rows))


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that train wrote.")],
    to: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    data: DataOption = None,
) -> None:
    """Turn a finished run into an artifact.

    Its accuracy is measured on all test images.
    """
    from xnorflow.train.export import export as export_run

    artifact = export_run(run, data)
    artifact.save(to)
    test = artifact.provenance["test"]
    output().print(
        f"{to}: {to.stat().st_size:,} bytes, {100 * test['accuracy']:.2f} % of {test['images']:,} "
        f"test images; the float model puts {test['argmax_changes']} in another class",
        soft_wrap=True,
    )


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The picture to write, .png, .svg or .pdf; RUN/run.png by default.",
        ),
    ] = None,
) -> None:
    """Draw a run.

    Learning curves, sign changes, alphas and thresholds; of several runs, their curves.
    """
    from xnorflow.cli.plots import check_picture, save_picture
    from xnorflow.cli.run_plots import distinct_names, plot_run, plot_runs
    from xnorflow.train.runs import load_run

    path = to or runs[0] / "run.png"
    check_picture(path)
    loaded = dict(zip(distinct_names(runs), map(load_run, runs), strict=True))
    if len(runs) == 1:
        (run,) = loaded.values()
        figure = plot_run(run, f"{run.recipe.name}, {len(run.log)} epochs")
    else:
        figure = plot_runs(loaded, ", ".join(sorted({r.recipe.name for r in loaded.values()})))
    save_picture(figure, path)
    output().print(f"{path} written", soft_wrap=True)
