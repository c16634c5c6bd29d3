# SPDX-License-Identifier: Apache-2.0
"""``xnorflow study`` and ``xnorflow results``: ablations, and the tables made of logged runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xnorflow.cli.console import output
from xnorflow.cli.options import (
    DataOption,
    MinutesOption,
    ThreadsOption,
    TrainDeviceOption,
    use_threads,
)

if TYPE_CHECKING:
    from xnorflow.train.runs import Run
    from xnorflow.train.studies import Study

__all__ = ["results", "study"]


def study(
    name: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Its name; none lists them.")
    ] = None,
    data: DataOption = None,
    runs: Annotated[Path, typer.Option(help="Folder of all studies' runs.")] = Path("runs"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 1 to N.")] = 3,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As for train: the budget, as epochs=20."),
    ] = None,
    minutes: MinutesOption = None,
    device: TrainDeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Run an ablation.

    Variants of one recipe at one budget, over seeds; what was cut off goes on.
    """
    from xnorflow.train import studies

    if name is None:
        _list(studies.STUDIES)
        return
    use_threads(threads)

    def report(name: str, run: Run) -> None:
        if run.log:
            accuracy = 100 * run.log[-1]["test_accuracy"]
            output().print(f"{name}: {len(run.log)} epochs, {accuracy:.2f} %", soft_wrap=True)

    finished = studies.run_study(
        name, runs, data, seeds=range(1, seeds + 1), settings=settings or [], minutes=minutes,
        device=device, report=report,
    )  # fmt: skip
    end = f"next: xnorflow results {runs}" if finished else "not finished; the same command goes on"
    output().print(f"{runs / name}: {end}", soft_wrap=True)


def _list(known: dict[str, Study]) -> None:
    from xnorflow.cli.tables import table

    rows = [
        (name, entry.title, entry.recipe, ", ".join(v.name for v in entry.variants))
        for name, entry in known.items()
    ]
    output().print(table(("study", "question", "recipe", "variants"), rows))


def results(
    runs: Annotated[
        Path,
        typer.Argument(metavar="RUNS", help="Folder of runs, and of folders; or a file of --logs."),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A Markdown file whose marked part is replaced; else printed."
        ),
    ] = None,
    logs: Annotated[
        Path | None,
        typer.Option(help="A file for all that the tables are made from: RUNS can be it later."),
    ] = None,
) -> None:
    """Write the tables of results.

    From the logs of all runs below a folder.
    """
    from xnorflow.train.results import logged_runs, save_logs, tables, write_between

    logged = logged_runs(runs)
    made = tables(logged)
    if logs is not None:
        save_logs(logged, logs)
    if to is None:
        output().print(made, soft_wrap=True, end="")
        return
    write_between(to, made)
    output().print(f"{to} written", soft_wrap=True)
