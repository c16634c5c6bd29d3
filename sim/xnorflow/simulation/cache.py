# SPDX-License-Identifier: Apache-2.0
"""A folder cache that several processes may fill at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from platformdirs import user_cache_dir

__all__ = ["CACHE_VARIABLE", "cache_dir", "cached_folder"]

CACHE_VARIABLE = "XNORFLOW_CACHE"
"""Environment variable that moves the cache."""

KEPT = 64
"""Entries of one kind that stay; the least recently used ones go first."""


def cache_dir() -> Path:
    """Where built models and emitted Verilog are kept: ``$XNORFLOW_CACHE`` or the user's cache."""
    return Path(os.environ.get(CACHE_VARIABLE) or user_cache_dir("xnorflow")).absolute()


def cached_folder(
    kind: str, key: str, make: Callable[[Path], None], *, message: str | None = None
) -> Path:
    """The folder ``<cache>/<kind>/<key>``, filled by ``make(folder)`` if it is not there yet.

    ``make`` works in a temporary folder that is renamed when it is complete, under a lock: a
    folder is there whole or not at all, and two processes that want it build it once.
    ``message`` is shown on the terminal (standard error) in the meantime.

    Raises
    ------
    OSError
        If the cache cannot be written; the message names the way out.
    """
    folder = cache_dir() / kind / key
    if folder.is_dir():
        with contextlib.suppress(OSError):  # a cache that is only read is good enough
            os.utime(folder)
        return folder
    # Imported here: a warm start needs no lock.
    from filelock import FileLock

    _require_writable(folder.parent)
    with _status(message), FileLock(folder.parent / f"{key}.lock"):
        if not folder.is_dir():
            _fill(folder, make)
            _prune(folder.parent)
    return folder


def _require_writable(parent: Path) -> None:
    reason = "permission denied"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if os.access(parent, os.W_OK):
            return
    except OSError as error:
        reason = str(error)
    raise OSError(
        f"Cannot write the cache {parent} ({reason}); set {CACHE_VARIABLE} to a folder that you "
        "may write"
    )


@contextlib.contextmanager
def _status(message: str | None) -> Iterator[None]:
    if message is None:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(message):
        yield


def _fill(folder: Path, make: Callable[[Path], None]) -> None:
    for left in folder.parent.glob(f"{folder.name}.*.part"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        make(part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _prune(parent: Path) -> None:
    """Drop the entries beyond ``KEPT`` that were used longest ago."""
    entries = sorted(
        (path for path in parent.iterdir() if path.is_dir() and not path.name.endswith(".part")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in entries[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
