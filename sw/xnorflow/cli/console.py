# SPDX-License-Identifier: Apache-2.0
"""What the commands print: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Advance", "output", "print_error", "print_json", "progress", "steps", "write_text"]


class Advance(Protocol):
    """Reports how much of a job is done."""

    def __call__(self, done: int, total: int) -> None: ...


def output() -> Console:
    """Standard output; text from files is shown as it is, never taken for markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False)


def print_error(message: str) -> None:
    """One red line on standard error."""
    from rich.console import Console
    from rich.text import Text

    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True).print(Text(f"error: {line}", style="bold red"))


def print_json(value: Any) -> None:
    """One JSON value on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """A progress bar on standard error; drawn on a terminal only, gone when done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield advance


@contextmanager
def steps(title: str, names: Sequence[str]) -> Iterator[Callable[[str], None]]:
    """A line on standard error that says which of a job's long steps runs, and for how long."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(title)

        def tell(name: str) -> None:
            number = names.index(name) + 1
            bars.update(task, description=f"{title}: {name} ({number} of {len(names)})")

        yield tell
