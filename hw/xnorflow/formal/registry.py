# SPDX-License-Identifier: Apache-2.0
"""All proofs."""

from __future__ import annotations

from collections.abc import Sequence

from xnorflow.formal import (
    cobs,
    control,
    crc,
    elements,
    frames,
    inbox,
    loader,
    outbox,
    pooling,
    queues,
    registers,
    resting,
    results,
    selection,
    thresholds,
    uart,
)
from xnorflow.formal.proof import Proof

__all__ = ["PROOFS", "select"]

PROOFS: tuple[Proof, ...] = tuple(
    proof
    for subject in (
        elements, resting, thresholds, selection, queues, results, registers,
        pooling, loader, control,
        crc, frames, cobs, inbox, outbox, uart,
    )
    for proof in subject.PROOFS
)  # fmt: skip


def select(names: Sequence[str]) -> list[Proof]:
    """The proofs whose names begin with one of these; all of them for none.

    Raises
    ------
    ValueError
        If a name fits none.
    """
    for name in names:
        if not any(proof.name.startswith(name) for proof in PROOFS):
            subjects = sorted({proof.name.split("-")[0] for proof in PROOFS})
            raise ValueError(f"no proof's name begins with {name!r}; there are {subjects}")
    return [p for p in PROOFS if not names or any(p.name.startswith(name) for name in names)]
