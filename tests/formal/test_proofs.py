# SPDX-License-Identifier: Apache-2.0
"""Proofs hold, and none of them holds with its fault in the gateware."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert
from amaranth.lib import wiring

from xnorflow.formal.proof import Edit, Proof, edited
from xnorflow.formal.registry import PROOFS, select
from xnorflow.formal.runner import describe, run_proof

QUICK = ("queue-4", "element-8-ecp5", "registers")


def named(name: str) -> Proof:
    return next(proof for proof in PROOFS if proof.name == name)


def test_names_are_unique() -> None:
    names = [proof.name for proof in PROOFS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_the_fault_changes_what_is_proved(proof: Proof) -> None:
    """The text of the fault is there, once, and matters to the component."""
    if proof.name.split("-")[0] in ("element", "resting", "threshold", "results") and (
        "8" not in proof.name and "stream" not in proof.name
    ):
        pytest.skip("its subject's smallest case has the same fault")
    assert describe(proof, faulty=True) != describe(proof)


@pytest.mark.parametrize("name", QUICK)
def test_a_proof(name: str, tmp_path: Path) -> None:
    assert run_proof(named(name), tmp_path).status == "proved"


@pytest.mark.parametrize("name", QUICK)
def test_its_fault_has_a_counterexample(name: str, tmp_path: Path) -> None:
    outcome = run_proof(named(name), tmp_path, faulty=True)
    assert outcome.status == "fails" and not outcome.good
    assert outcome.step is not None and outcome.step < named(name).fault_depth
    assert outcome.trace is not None and Path(outcome.trace).stat().st_size > 0


class Decade(wiring.Component):
    """A counter of 0 to 9, of which induction alone does not know that it is never 14."""

    def __init__(self) -> None:
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(4)
        m.d.sync += count.eq(Mux(count == 9, 0, count + 1))
        m.d.comb += Assert(count != 15)
        return m


def test_what_induction_cannot_show_is_open(tmp_path: Path) -> None:
    proof = Proof("decade", "", Decade, depth=3, fault=named("queue-4").fault)
    outcome = run_proof(proof, tmp_path)
    assert outcome.status == "open" and not outcome.good


@pytest.mark.slow
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_every_fault_has_a_counterexample(proof: Proof, tmp_path: Path) -> None:
    assert run_proof(proof, tmp_path, faulty=True).status == "fails"


def test_an_edit_is_undone() -> None:
    proof = named("queue-4")
    before = describe(proof)
    with edited(proof.fault):
        assert describe(proof) != before
    assert describe(proof) == before


def test_an_edit_of_text_that_is_not_there() -> None:
    with (
        pytest.raises(ValueError, match="stands 0 times"),
        edited(Edit("gateware.queue", "?!", "")),
    ):
        pass


def test_a_name_that_fits_none() -> None:
    with pytest.raises(ValueError, match="no proof's name begins with 'nothing'"):
        select(["nothing"])
    assert [proof.name for proof in select(["queue-"])] == ["queue-2", "queue-4", "queue-16"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xnorflow.formal", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command(tmp_path: Path) -> None:
    done = run("registers", "--faults", "--json", "--keep", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)
    assert outcome["status"] == "fails" and Path(outcome["trace"]).exists()


@pytest.mark.parametrize("arguments", [("nothing",), ("--solver", "none")])
def test_bad_arguments_are_one_line(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
