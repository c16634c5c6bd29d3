# SPDX-License-Identifier: Apache-2.0
"""docs/formal.md, made from the proofs and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from xnorflow.formal.runner import Outcome

__all__ = ["document"]

_HEAD = """# What is proved

This file is made by `python -m xnorflow.formal --markdown > docs/formal.md`; `make formal` runs the same proofs.

Each proof puts properties around a component of the gateware, as it is, with every input free but for what the component's
documentation asks of its user. SymbiYosys and an SMT solver then look for inputs that break a property. *proved* is for every
cycle, by induction over `depth` cycles; *holds* is for the first `depth` cycles after the start, whatever the inputs.
Portable forms are Amaranth's logic; those of a family are its cells with Yosys' own models of them.

A proof that cannot fail says nothing, so each has a fault: a change of one place in the gateware, with which there must be a
counterexample. `python -m xnorflow.formal --faults` runs them all that way.

Seconds are of one core's processor time.

"""

_TAIL = """
## What is not

- Liveness (that something happens at last) only where a row of the table gives a number of cycles.
- The array as a whole, the sequencer, the walks over maps and the formatter, its stream `pixels` among them: their tests compare
  simulated hardware with the golden model, or with a few lines of Python.
- Control: only what its row says; that rows run in their order is for its tests.
- The compressed form (`xc7`) of words of 32 and 64 bits: solvers find the sum of so many bits in another order too hard.
  `tests/gateware` proves its full adders, and simulates it at those widths.
- That `valid` never depends on `ready` in the same cycle.
- The links' engine, which says what its buffers keep: its tests drive it with damaged frames.
"""


def document(outcomes: Sequence[Outcome]) -> str:
    """The text of docs/formal.md."""
    text = _HEAD
    total = sum(outcome.seconds for outcome in outcomes)
    text += f"{len(outcomes)} proofs, {total:,.0f} seconds.\n\n"
    text += "| proof | what it says | status | depth | s |\n|---|---|---|--:|--:|\n"
    for says, group in groupby(outcomes, key=lambda outcome: outcome.says):
        for index, outcome in enumerate(group):
            words = "same" if index else says
            status, depth = outcome.status, outcome.depth or ""
            text += f"| {outcome.name} | {words} | {status} | {depth} | {outcome.seconds:.1f} |\n"
    return text + _TAIL
