# SPDX-License-Identifier: Apache-2.0
"""Figures as text, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from xnorflow.cli.job import Report

__all__ = ["figures", "percent", "table"]


def percent(share: float | None) -> str:
    """0.98765 -> 98.77 %."""
    return "unknown" if share is None else f"{100 * share:.2f} %"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
    """A plain table: the first column of text, the others of numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def figures(reports: Sequence[Report]) -> Table:
    """The main figures of runs, one column each."""
    rows = {
        "images": [f"{r.result.images:,}" for r in reports],
        "accuracy": [percent(r.accuracy) for r in reports],
        "cycles": [f"{r.result.cycles:,}" for r in reports],
        "cycles, as compiled": [f"{r.predicted_cycles:,}" for r in reports],
        "cycles per image": [f"{r.result.cycles_per_image:,.0f}" for r in reports],
        "array doing useful work": [percent(r.result.utilisation) for r in reports],
        "images per second": [f"{r.result.images_per_second:,.0f}" for r in reports],
        "cycles per second": [f"{r.result.cycles_per_second:,.0f}" for r in reports],
    }
    # Long names in two lines: four networks fit a terminal of 80 columns.
    columns = ["", *(r.network.replace("-", "-\n", 1) for r in reports)]
    return table(columns, [(name, *cells) for name, cells in rows.items()])
