# SPDX-License-Identifier: Apache-2.0
"""Pictures of training runs: learning curves, sign changes, alphas, thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xnorflow.train.runs import Run

__all__ = ["distinct_names", "plot_run", "plot_runs"]

SIGN_CHANGES = "sign_changes "
"""What the log's columns of sign changes begin with; the layer's name follows."""

BINS = 40


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Folders without the parts of their paths that all of them have in common."""
    parts = [folder.resolve().parts for folder in folders]
    first, last = _common(parts), _common([part[::-1] for part in parts])
    names = ["/".join(part[first : len(part) - last]) for part in parts]
    told_apart = all(names) and len(set(names)) == len(names)
    return names if told_apart else [str(folder) for folder in folders]


def _common(paths: Sequence[tuple[str, ...]]) -> int:
    """How many first parts are the same in all; of the shortest, one at least is left."""
    count = 0
    for names in zip(*(path[:-1] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        count += 1
    return count


def plot_run(run: Run, title: str) -> Figure:
    """One run: learning curves, sign changes a layer, alphas, thresholds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    curves, signs, alphas, thresholds = figure.subplots(2, 2).flat
    _accuracies(curves, run.log)
    _sign_changes(signs, run.log)
    _alphas(alphas, run)
    _thresholds(thresholds, run)
    return figure


def plot_runs(runs: Mapping[str, Run], title: str) -> Figure:
    """Several runs beside each other: test accuracy, loss, sign changes over all layers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    accuracy, loss, signs = figure.subplots(1, 3)
    for name, run in runs.items():
        epochs = [entry["epoch"] for entry in run.log]
        accuracy.plot(epochs, [100 * entry["test_accuracy"] for entry in run.log], label=name)
        loss.plot(epochs, [entry["train_loss"] for entry in run.log])
        logged = [(entry["epoch"], _mean_changes(entry)) for entry in run.log]
        known = [(epoch, share) for epoch, share in logged if share]
        signs.plot([epoch for epoch, _ in known], [share for _, share in known])
    _label(accuracy, "test accuracy", "epoch", "% of images")
    _label(loss, "training loss", "epoch", "mean over the epoch")
    _label(signs, "sign changes", "epoch", "% of weights a step, mean of layers")
    if any(line.get_xydata().size for line in signs.lines):
        signs.set_yscale("log")
    accuracy.legend(fontsize=8)
    return figure


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if x == "epoch":
        axes.locator_params(axis="x", integer=True)


def _accuracies(axes: Axes, log: Sequence[Mapping[str, Any]]) -> None:
    epochs = [entry["epoch"] for entry in log]
    for key, label in (("train_accuracy", "training images"), ("test_accuracy", "test images")):
        axes.plot(epochs, [100 * entry[key] for entry in log], label=label)
    _label(axes, "accuracy, loss and learning rate", "epoch", "% of images")
    others = axes.twinx()
    others.plot(epochs, [entry["train_loss"] for entry in log], "k:", label="training loss")
    first = log[0]["learning_rate"]
    rates = [entry["learning_rate"] / first for entry in log]
    others.plot(epochs, rates, color="0.7", label=f"learning rate / {first:g}")
    others.set_ylim(bottom=0)
    lines = [*axes.lines, *others.lines]
    _legend_below(axes, lines)


def _legend_below(axes: Axes, handles: Sequence[Any] | None = None) -> None:
    """Under the axes, where it hides nothing."""
    axes.legend(
        handles=handles, fontsize=8, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.12)
    )


def _mean_changes(entry: Mapping[str, Any]) -> float:
    shares = [float(v) for k, v in entry.items() if k.startswith(SIGN_CHANGES) and v != ""]
    return 100 * float(np.mean(shares)) if shares else 0.0


def _colours(count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.92, count))


def _sign_changes(axes: Axes, log: Sequence[Mapping[str, Any]]) -> None:
    """As figure 2 of Tang, Hua, Wang 2017, but over epochs."""
    layers = [key for key in log[-1] if key.startswith(SIGN_CHANGES)]
    for key, colour in zip(layers, _colours(len(layers)), strict=True):
        points = [(entry["epoch"], 100 * entry[key]) for entry in log if entry.get(key)]
        axes.plot(
            [epoch for epoch, _ in points],
            [share for _, share in points],
            color=colour,
            label=key.removeprefix(SIGN_CHANGES),
        )
    _label(axes, "weights that change their sign", "epoch", "% of the layer's weights a step")
    if layers:
        axes.set_yscale("log")
        _legend_below(axes)
    else:
        _note(axes, "not in this run's log")


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)


def _alphas(axes: Axes, run: Run) -> None:
    """mean |W| of each filter (XNOR-Net's alpha), and the activations' alphas as lines."""
    from xnorflow.train.binarize import ResidualBinarizer
    from xnorflow.train.weights import filter_scale

    blocks = run.model.named_blocks()
    alphas = {name: filter_scale(block.linear.weight).numpy() for name, block in blocks.items()}
    reach = max(float(each.max()) for each in alphas.values())
    for (name, block), colour in zip(blocks.items(), _colours(len(blocks)), strict=True):
        _histogram(axes, alphas[name], (0, reach), colour, name)
        if isinstance(block.binarizer, ResidualBinarizer):
            for alpha in block.binarizer.running_alpha.tolist():
                axes.axvline(alpha, color=colour, linestyle=":", linewidth=1)
    dotted = any(isinstance(b.binarizer, ResidualBinarizer) for b in blocks.values())
    title = "alpha of weights: mean |W| of each filter"
    _label(axes, title + (" (dotted: of activations)" if dotted else ""), "alpha", "% of filters")
    _legend_below(axes)


def _histogram(axes: Axes, values: Any, ends: tuple[float, float], colour: Any, label: str) -> None:
    """Percent of a layer's values in each bin, as a line."""
    counts, edges = np.histogram(values, BINS, ends)
    axes.stairs(100 * counts / len(values), edges, color=colour, label=label)


def _thresholds(axes: Axes, run: Run) -> None:
    """Integer thresholds as shares of the largest accumulator."""
    from xnorflow.train.folding import to_artifact

    _label(axes, "thresholds / largest accumulator", "share", "% of thresholds")
    try:
        artifact = to_artifact(run.model, run.recipe.name)
    except ValueError as error:
        _note(axes, f"none: {error}")
        return
    layers = [layer for layer in artifact.network.layers if layer.out_lanes]
    found = [artifact.thresholds(s.name).ravel() / s.accumulator_bound for s in layers]
    reach = max(float(np.percentile(np.abs(shares), 99)) for shares in found)
    for layer, shares, colour in zip(layers, found, _colours(len(layers)), strict=True):
        _histogram(axes, shares, (-reach, reach), colour, layer.name)
    _legend_below(axes)
