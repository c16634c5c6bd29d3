# SPDX-License-Identifier: Apache-2.0
"""A run's log for TensorBoard, where that is installed: ``pip install xnorflow[board]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["BOARD", "board"]

BOARD = "board"
"""Folder of the event files, in the run's."""


@contextmanager
def board(run_dir: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that takes an epoch's log entry; it does nothing without TensorBoard."""
    try:
        writer: Any = import_module("torch.utils.tensorboard").SummaryWriter(str(run_dir / BOARD))
    except ImportError:
        yield lambda entry: None
        return

    def write(entry: Mapping[str, Any]) -> None:
        for key, value in entry.items():
            if key != "epoch":
                tag = key.replace("sign_changes ", "sign_changes/")
                writer.add_scalar(tag, value, entry["epoch"])
        writer.flush()

    try:
        yield write
    finally:
        writer.close()
