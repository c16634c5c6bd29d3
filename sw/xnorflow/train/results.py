# SPDX-License-Identifier: Apache-2.0
"""Tables of results in Markdown, from what runs logged: ``run.json`` and ``log.csv`` alone.

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

from xnorflow.train.recipes import Recipe
from xnorflow.train.studies import STUDIES, Study

__all__ = ["BEGIN", "END", "Logged", "logged_runs", "tables", "write_between"]

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
"""What a document's generated part stands between."""

SIGN_CHANGES = "sign_changes "


@dataclass(frozen=True)
class Logged:
    """A run as its files tell it: ``path`` below the folder of runs, recipe, a mapping an epoch."""

    path: Path
    recipe: Recipe
    log: tuple[Mapping[str, str], ...]

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


def logged_runs(folder: Path) -> list[Logged]:
    """All runs at or below a folder that have an epoch, by path.

    Raises
    ------
    ValueError
        If there are none, or a file is damaged.
    """
    found = []
    for path in sorted(folder.rglob("run.json")):
        log = path.with_name("log.csv")
        if not log.is_file():
            continue
        try:
            recipe = Recipe.from_json(json.loads(path.read_text())["recipe"])
            with log.open(newline="") as file:
                rows = tuple(csv.DictReader(file))
            logged = Logged(path.parent.relative_to(folder), recipe, rows)
            if rows:
                _ = logged.accuracy, logged.sign_changes
                found.append(logged)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.parent}: run.json or log.csv is damaged ({error})") from error
    if not found:
        raise ValueError(f"{folder}: no runs in it; make some with `xnorflow train` or `study`")
    return found


def tables(runs: Sequence[Logged]) -> str:
    """A table of single runs, then one for each study that has runs, in Markdown."""
    parts = []
    studied = {
        run.path for run in runs if len(run.path.parts) == 3 and run.path.parts[0] in STUDIES
    }
    single = [run for run in runs if run.path not in studied]
    if single:
        parts.append("## Networks\n\n" + _networks(single))
    for name, study in STUDIES.items():
        own = [run for run in runs if run.path in studied and run.path.parts[0] == name]
        if own:
            parts.append(_study(name, study, own))
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
