# SPDX-License-Identifier: Apache-2.0
"""A run's log for TensorBoard, where that is installed: ``pip install xnorflow[board]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["BOARD", "board"]

BOARD = "board"
"""Folder of the event files, in the run's."""


@contextmanager
def board(run_dir: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that takes an epoch's log entry; it does nothing without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda entry: None
        return
    writer = SummaryWriter(str(run_dir / BOARD))  # type: ignore[no-untyped-call]

    def write(entry: Mapping[str, Any]) -> None:
        for key, value in entry.items():
            if key != "epoch":
                tag = key.replace("sign_changes ", "sign_changes/")
                writer.add_scalar(tag, value, entry["epoch"])  # type: ignore[no-untyped-call]
        writer.flush()  # type: ignore[no-untyped-call]

    try:
        yield write
    finally:
        writer.close()  # type: ignore[no-untyped-call]
