# SPDX-License-Identifier: Apache-2.0
"""Tables of results in Markdown, from what runs logged: ``run.json``, ``log.csv`` and, where
filters were pruned, ``pruning.json``.

What counts is the last epoch, so no figure was chosen by the test images.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnorflow.train.pruned_runs import DESCRIPTION
from xnorflow.train.recipes import Recipe
from xnorflow.train.runs import LOG, RUN
from xnorflow.train.studies import STUDIES, Study

__all__ = ["BEGIN", "END", "Logged", "logged_runs", "save_logs", "tables", "write_between"]

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
"""What a document's generated part stands between."""

SIGN_CHANGES = "sign_changes "


@dataclass(frozen=True)
class Logged:
    """A run as its files tell it.

    Attributes
    ----------
    path : Path
        Below the folder of runs.
    recipe : Recipe
        Of the run.
    log : tuple of Mapping
        One an epoch.
    pruning : Mapping or None
        What ``pruning.json`` holds.
    """

    path: Path
    recipe: Recipe
    log: tuple[Mapping[str, str], ...]
    pruning: Mapping[str, Any] | None = None

    @property
    def accuracy(self) -> float:
        """Percent of test images, after the last epoch."""
        return 100 * float(self.log[-1]["test_accuracy"])

    @property
    def sign_changes(self) -> float:
        """Percent of weights whose sign a step changes: mean over layers and epochs."""
        shares = [
            float(value)
            for entry in self.log
            for key, value in entry.items()
            if key.startswith(SIGN_CHANGES) and value
        ]
        return 100 * statistics.fmean(shares) if shares else math.nan


def logged_runs(source: Path) -> list[Logged]:
    """All runs at or below a folder that have an epoch, by path; or those of a saved file.

    Raises
    ------
    ValueError
        If there are none, or a file is damaged.
    """
    saved = source.is_file()
    parts: list[Any] = source.read_text().splitlines() if saved else sorted(source.rglob(RUN))
    found = []
    for part in parts:
        try:
            run = _read_line(part) if saved else _read_run(source, part.parent)
            if run.log:
                _ = run.accuracy, run.sign_changes, run.pruning and run.pruning["pfr"]
                found.append(run)
        except (ValueError, KeyError, TypeError) as error:
            what = source if saved else f"{part.parent}: one of its files"
            raise ValueError(f"{what} is damaged ({error})") from error
    if not found:
        raise ValueError(f"{source}: no runs in it; make some with `xnorflow train` or `study`")
    return found


def _read_line(line: str) -> Logged:
    values = json.loads(line)
    recipe = Recipe.from_json(values["recipe"])
    return Logged(Path(values["path"]), recipe, tuple(values["log"]), values["pruning"])


def _read_run(folder: Path, directory: Path) -> Logged:
    recipe = Recipe.from_json(json.loads((directory / RUN).read_text())["recipe"])
    rows: tuple[Mapping[str, str], ...] = ()
    if (log := directory / LOG).is_file():
        with log.open(newline="") as file:
            rows = tuple(csv.DictReader(file))
    pruning = directory / DESCRIPTION
    pruned = json.loads(pruning.read_text()) if pruning.is_file() else None
    return Logged(directory.relative_to(folder), recipe, rows, pruned)


def save_logs(runs: Sequence[Logged], to: Path) -> None:
    """Write a file that :func:`logged_runs` reads as it reads their folder: a line each."""
    lines = [
        json.dumps(
            {
                "path": run.path.as_posix(),
                "recipe": run.recipe.to_json(),
                "log": run.log,
                "pruning": run.pruning,
            }
        )
        for run in runs
    ]
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("\n".join(lines) + "\n")


def tables(runs: Sequence[Logged]) -> str:
    """Tables of single runs, of each study that has runs, and of what was pruned, in Markdown."""
    parts = []
    studied = {
        run.path for run in runs if len(run.path.parts) == 3 and run.path.parts[0] in STUDIES
    }
    pruned = [run for run in runs if run.pruning is not None]
    single = [run for run in runs if run.path not in studied and run.pruning is None]
    if single:
        parts.append("## Networks\n\n" + _networks(single))
    for name, study in STUDIES.items():
        own = [run for run in runs if run.path in studied and run.path.parts[0] == name]
        if own:
            parts.append(_study(name, study, own))
    if pruned:
        parts.append(_pruned(pruned))
    return "\n\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _epochs(run: Logged) -> str:
    done, wanted = len(run.log), run.recipe.epochs
    return str(done) if done == wanted else f"{done} of {wanted}"


def _networks(runs: Sequence[Logged]) -> str:
    rows = [
        (
            f"`{run.recipe.name}`",
            run.recipe.dataset,
            _epochs(run),
            run.recipe.seed,
            f"{run.accuracy:.2f}",
            f"{float(run.log[-1]['train_loss']):.3f}",
            f"{sum(float(entry['seconds']) for entry in run.log) / 3600:.1f}",
        )
        for run in runs
    ]
    header = ("recipe", "data", "epochs", "seed", "test, %", "training loss", "hours")
    return _table(header, rows)


def _study(name: str, study: Study, runs: Sequence[Logged]) -> str:
    rows = []
    for variant in study.variants:
        own = [run for run in runs if run.path.parts[1] == variant.name]
        if not own:
            continue
        accuracies = [run.accuracy for run in own]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(own) > 1 else ""
        rows.append(
            (
                variant.name,
                f"{statistics.fmean(accuracies):.2f}{spread}",
                len(own),
                ", ".join(sorted({_epochs(run) for run in own})),
                f"{statistics.fmean(float(run.log[-1]['train_loss']) for run in own):.3f}",
                f"{statistics.fmean(run.sign_changes for run in own):.3g}",
                variant.paper or "",
            )
        )
    header = (
        "variant", "test, %", "seeds", "epochs", "training loss", "sign changes a step, %", "paper",
    )  # fmt: skip
    intro = f"## {study.title}\n\n`xnorflow study {name}`. Paper: {study.source}."
    return f"{intro}\n\n{_table(header, rows)}"


PRUNING_PAPER = {
    "subsidiary": "16.1 to 18.0",
    "msf-cascade": "16.1 to 18.8",
    "msf-layerwise": "16.1 to 19.6",
    "smaller": "16.1 to 18.0",
}
"""Error of VGG-11 on CIFAR-10 before and after, %, at PFR 39.7 % (table 1)."""


def _pruned(runs: Sequence[Logged]) -> str:
    """A line for each pruned run, those of one network and one size together."""
    rows = []
    for run in runs:
        assert run.pruning is not None  # for mypy: chosen by it
        method = run.pruning["settings"]["method"]
        before, after = (100 * run.pruning[key] for key in ("accuracy_before", "accuracy"))
        rows.append(
            (
                f"`{Path(run.pruning['source']).name}`",
                method,
                f"{100 * run.pruning['pfr']:.1f}",
                f"{100 - before:.2f} to {100 - after:.2f}",
                len(run.log),
                PRUNING_PAPER.get(method, ""),
            )
        )
    rows.sort(key=lambda row: (row[0], row[2], list(PRUNING_PAPER).index(row[1])))
    header = ("network", "method", "PFR, %", "test error, %", "epochs", "paper, VGG-11")
    intro = (
        "## Filters pruned\n\n`xnorflow prune`. Paper: Y. Xu and others, CVPR 2019, table 1, error "
        "before and after at PFR 39.7 %. Epochs are all that were trained after the network was."
    )
    return f"{intro}\n\n{_table(header, rows)}"


def write_between(document: Path, generated: str) -> None:
    """Put the text between the document's marks; make the document if there is none.

    Raises
    ------
    ValueError
        If the document has no marks.
    """
    text = document.read_text() if document.is_file() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document}: has no lines {BEGIN} and {END} to write between")
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(f"{before}{BEGIN}\n\n{generated}\n{END}{after}")
