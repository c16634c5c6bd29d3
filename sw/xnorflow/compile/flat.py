# SPDX-License-Identifier: Apache-2.0
"""The exact cycle count of the flat accelerator: nothing overlaps, so parts add up."""

from __future__ import annotations

from math import prod

from xnorflow.compile.rows import Row
from xnorflow.core.flat import FlatTiming

__all__ = ["flat_row_cycles"]


def flat_row_cycles(row: Row, images: int) -> dict[str, int]:
    """Cycles of a row, beside those in which a beat is issued, by reason.

    ``input`` is a block's images that arrive before its first row runs: a byte a cycle, and two
    cycles behind a word; the other reasons are those of :func:`xnorflow.compile.cycles.row_losses`.
    """
    plan, timing = row.plan, FlatTiming(row.plan.geometry)
    first = row.layer == 0
    passes = plan.tiles * plan.passes
    control = timing.row + (6 if first else 3) + 2 * plan.tiles + passes
    inputs = prod(plan.spec.in_shape)
    words = -(-inputs // plan.geometry.word_width)
    drain, results = timing.drain + 1, 0
    if plan.raw:
        drain = plan.tiles * (timing.drain + 2)
        results = images * (5 * plan.tiles + plan.spec.out_channels)
    return {
        "input": images * (inputs + 2 * words) if first else 0,
        "control": control,
        "weights": passes * timing.load,
        "shortest": passes * (max(images, timing.beats) - images),
        "drain": drain,
        "results": results,
    }
