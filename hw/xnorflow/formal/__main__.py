# SPDX-License-Identifier: Apache-2.0
"""The proofs from the command line: ``python -m xnorflow.formal``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from xnorflow.cli.console import output, print_error, print_json, progress
from xnorflow.cli.tables import table
from xnorflow.formal.document import document
from xnorflow.formal.registry import PROOFS, select
from xnorflow.formal.runner import SOLVERS, Outcome, run_proof
from xnorflow.synthesis.tools import SynthesisError

__all__ = ["main"]


def main(
    names: Annotated[list[str] | None, typer.Argument(help="first letters of proofs")] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="put each proof's fault in: all must fail")
    ] = False,
    solver: Annotated[str, typer.Option(help=f"one of {', '.join(SOLVERS)}")] = "yices",
    keep: Annotated[
        Path | None, typer.Option(help="folder for the tools' files and counterexamples")
    ] = None,
    as_list: Annotated[bool, typer.Option("--list", help="name the proofs, run none")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="as docs/formal.md")] = False,
) -> None:
    """Prove properties of the gateware's small blocks. Exit status 1 if one does not hold."""
    try:
        if solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, not {solver!r}")
        chosen = select(names or [])
        if as_list:
            output().print(table(("proof", "what"), [(p.name, p.says) for p in chosen]))
            return
        with tempfile.TemporaryDirectory() as temporary, progress("proofs") as advance:
            outcomes = []
            for done, proof in enumerate(chosen):
                advance(done, len(chosen))
                folder = (keep or Path(temporary)) / proof.name
                outcomes.append(run_proof(proof, folder, faulty=faults, solver=solver))
    except (ValueError, SynthesisError) as error:
        print_error(str(error))
        raise typer.Exit(1) from None
    bad = [each for each in outcomes if each.good == faults]
    if as_json:
        print_json([_plain(each, keep) for each in outcomes])
    elif markdown:
        output().print(document(outcomes), end="", soft_wrap=True)
    else:
        _show(outcomes)
    for each in bad:
        print_error(_what_to_do(each, faults, keep))
    if bad:
        raise typer.Exit(1)


def _plain(outcome: Outcome, keep: Path | None) -> dict[str, Any]:
    return outcome.to_json() if keep else {**outcome.to_json(), "trace": None}


def _show(outcomes: Sequence[Outcome]) -> None:
    rows = [
        (each.name, each.status, each.depth or "", "" if each.step is None else each.step,
         f"{each.seconds:.1f}")
        for each in outcomes
    ]  # fmt: skip
    output().print(table(("proof", "status", "depth", "fails in cycle", "s"), rows))
    total = sum(each.seconds for each in outcomes)
    output().print(f"{len(outcomes)} of {len(PROOFS)} proofs, {total:,.0f} s of one core")


def _what_to_do(outcome: Outcome, faults: bool, keep: Path | None) -> str:
    if faults:
        return f"{outcome.name}: its fault is not found; the proof says too little"
    if outcome.status == "open":
        return f"{outcome.name}: neither proved nor refuted; its properties need an invariant"
    if keep is None:
        return f"{outcome.name} fails; run it with --keep FOLDER for the counterexample"
    return f"{outcome.name} fails in cycle {outcome.step}; the counterexample is {outcome.trace}"


if __name__ == "__main__":
    typer.run(main)
