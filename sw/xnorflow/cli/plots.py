# SPDX-License-Identifier: Apache-2.0
"""Pictures of a compiled network: where its cycles go, and its roofline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xnorflow.compile.explore import Candidate
    from xnorflow.compile.report import CycleReport, Layer

__all__ = ["PICTURES", "check_picture", "plot_candidates", "plot_report", "save_picture"]

PICTURES = (".png", ".svg", ".pdf")

USEFUL = "#2b8a5a"
COLOURS = {
    "input": "#2b8a3e",
    "control": "#495057",
    "weights": "#d9480f",
    "shortest": "#f08c00",
    "drain": "#868e96",
    "results": "#7048e8",
    "pace": "#e64980",
    "tiles": "#1971c2",
    "rows": "#4dabf7",
    "words": "#a5d8ff",
    "border": "#ced4da",
}


def check_picture(path: Path) -> None:
    """ValueError if no picture can be written under that name."""
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"--plot {path}: the name must end in {', '.join(PICTURES)}")


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure; its name's ending says in which form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=144)


def plot_report(report: CycleReport, title: str) -> Figure:
    """Cycles of every layer, stacked by what they are used or lost for, beside the roofline."""
    from matplotlib.figure import Figure

    height = 1.8 + 0.42 * max(len(report.layers), 8)
    figure = Figure(figsize=(13, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    bars, roof = figure.subplots(1, 2, width_ratios=(3, 2))
    _bars(bars, report)
    _roofline(roof, report)
    return figure


def _bars(axes: Axes, report: CycleReport) -> None:
    layers = report.layers
    at = np.arange(len(layers))
    left = np.zeros(len(layers))
    parts = [("useful", USEFUL, [layer.useful_cycles for layer in layers])]
    parts += [
        (reason, COLOURS[reason], [layer.lost[reason] for layer in layers])
        for reason in report.reasons
    ]
    for name, colour, cycles in parts:
        width = np.array(cycles) / report.block
        share = sum(cycles) / report.total.cycles
        axes.barh(at, width, left=left, color=colour, label=f"{name} {100 * share:.1f} %")
        left += width
    for index, layer in enumerate(layers):
        axes.text(left[index], index, f" {100 * layer.utilisation:.0f} %", va="center", fontsize=8)
    axes.set_yticks(at, [layer.name for layer in layers])
    axes.invert_yaxis()
    axes.set_xlim(0, left.max() * 1.09)
    total = f"{report.total.cycles_per_image:,.0f} in all"
    axes.set_xlabel(f"cycles an image, {total}; at each bar its useful share")
    axes.legend(fontsize=8, loc="best", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _roofline(axes: Axes, report: CycleReport) -> None:
    """The roof where weights load beside the work, and the lower one of an array that waits."""
    points = [report.point(layer) for layer in report.layers]
    total = report.point(report.total)
    reach = [x for x, _ in (*points, total)]
    x = np.geomspace(min(*reach, report.peak / report.weight_bus) / 3, max(reach) * 3, 200)
    slope = x * report.weight_bus
    axes.plot(x, np.minimum(slope, report.peak), color="black", lw=1.2, label="array, weight bus")
    waiting = 1 / (1 / slope + 1 / report.peak)
    axes.plot(x, waiting, color="black", lw=1, ls="--", label="loads and work in turn")
    floor = min(y for _, y in (*points, total)) / 2
    for place, (layer, (intensity, speed)) in enumerate(zip(report.layers, points, strict=True)):
        size = 20 + 400 * layer.cycles / report.total.cycles
        axes.scatter(intensity, speed, s=size, color=USEFUL, alpha=0.6, lw=0)
        _label(axes, layer, points, place)
    axes.scatter(*total, marker="*", s=120, color="#c92a2a", label="whole network", zorder=3)
    axes.set(xscale="log", yscale="log", ylim=(floor, report.peak * 1.6))
    axes.set_xlabel("useful XNORs for each weight bit loaded")
    axes.set_ylabel("useful XNORs a cycle")
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    axes.grid(which="major", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _label(axes: Axes, layer: Layer, points: Sequence[Any], place: int) -> None:
    """A layer's name below its point, moved down where earlier ones lie close."""
    intensity, speed = points[place]
    crowd = sum(
        abs(np.log(intensity / x)) < 0.5 and abs(np.log(speed / y)) < 0.25
        for x, y in points[:place]
    )
    axes.annotate(
        layer.name,
        (intensity, speed),
        xytext=(6, -9 - 9 * crowd),
        textcoords="offset points",
        fontsize=8,
    )


def plot_candidates(found: Sequence[Candidate], title: str) -> Figure:
    """Images a second of geometries over their LUTs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for each in found:
        shape = str(each.geometry).split(",", maxsplit=1)[0]
        label = f"{shape}{' x' + str(each.geometry.pixels) if each.geometry.pixels > 1 else ''}"
        axes.scatter(each.resources.lut, each.images_per_second, color=USEFUL)
        axes.annotate(
            label, (each.resources.lut, each.images_per_second),
            xytext=(4, 4), textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set(xlabel="LUTs, estimated", ylabel="images a second", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
