# SPDX-License-Identifier: Apache-2.0
"""The program store: rows, scales and constants come back as they were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, bus_write, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import ROW_WORD_BITS, Target, pack_row, row_fields, row_words
from xnorflow.gateware.store import ProgramStore

PORTS = ("row", "first_row", "first_row_valid", "scale", "rows", "block")
QUIET = {"bus": {"valid": 0}, "rewind": 0, "fetch": 0, "take": 0}


def random_rows(geometry: Geometry, rng: np.random.Generator) -> list[dict[str, int]]:
    return [
        {field.name: int(rng.integers(1 << field.width)) for field in row_fields(geometry)}
        for _ in range(geometry.layer_depth)
    ]


def row_writes(geometry: Geometry, rows: list[dict[str, int]]) -> list[dict[str, Any]]:
    """Cycles that write a program's rows."""
    words = row_words(geometry)
    return [
        {
            **QUIET,
            "bus": bus_write(
                Target.LAYER,
                0,
                index * words + word,
                pack_row(geometry, row) >> word * ROW_WORD_BITS & ((1 << ROW_WORD_BITS) - 1),
            ),
        }
        for index, row in enumerate(rows)
        for word in range(words)
    ]


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_come_one_after_another(shape: str, gap: int) -> None:
    """Taken ``fetch_cycles`` after they were asked for, or later; row 0 again after a rewind."""
    geometry = geometry_of(shape)
    rows = random_rows(geometry, np.random.default_rng(230))
    late = ProgramStore.fetch_cycles(geometry)
    stimulus = row_writes(geometry, rows)
    expected: list[tuple[int, int]] = []  # cycles in which a row is there, row
    for _ in range(2):
        stimulus.append({**QUIET, "rewind": 1})
        for index in range(len(rows)):
            stimulus += [{**QUIET, "fetch": 1}, *[QUIET] * (late + gap - 1)]
            stimulus.append({**QUIET, "take": 1})
            # It stays while the next one is fetched.
            expected += [(len(stimulus) + step, index) for step in range(late + 1)]
        stimulus += [QUIET] * late
    seen = trace(ProgramStore(geometry), [*stimulus, QUIET], *PORTS)
    for cycle, index in expected:
        assert seen[cycle]["row"] == rows[index], f"cycle {cycle}"
    first = expected[0][0] - 1 - gap
    valid = [out["first_row_valid"] for out in seen]
    assert valid[first:] == [1] * len(valid[first:]) and not any(valid[: first - 1])
    assert all(out["first_row"] == rows[0] for out in seen[first:])


def test_a_new_program_has_a_new_first_row() -> None:
    geometry = geometry_of("2x1x2x8")
    rng = np.random.default_rng(231)
    late = ProgramStore.fetch_cycles(geometry)
    store = ProgramStore(geometry)
    stimulus, ends, programs = [], [], []
    for _ in range(2):
        programs.append(random_rows(geometry, rng))
        stimulus += [*row_writes(geometry, programs[-1]), {**QUIET, "rewind": 1}]
        stimulus += [{**QUIET, "fetch": 1}, *[QUIET] * (late - 1), {**QUIET, "take": 1}, QUIET]
        ends.append(len(stimulus) - 1)
    seen = trace(store, stimulus, *PORTS)
    for end, program in zip(ends, programs, strict=True):
        assert (seen[end]["first_row_valid"], seen[end]["first_row"]) == (1, program[0])
    assert not any(out["first_row_valid"] for out in seen[ends[0] + 3 : ends[1] - 2])


def test_an_aborted_fetch_leaves_no_half_of_a_first_row() -> None:
    """A rewind in the middle of a fetch, then a whole one."""
    geometry = geometry_of("2x1x2x8")
    rows = random_rows(geometry, np.random.default_rng(232))
    late = ProgramStore.fetch_cycles(geometry)
    for cut in range(1, late):
        stimulus = [*row_writes(geometry, rows), {**QUIET, "rewind": 1}, {**QUIET, "fetch": 1}]
        stimulus += [*[QUIET] * (cut - 1), *[{**QUIET, "rewind": 1}] * late]
        stimulus += [{**QUIET, "fetch": 1}, *[QUIET] * (late - 1), {**QUIET, "take": 1}, QUIET]
        seen = trace(ProgramStore(geometry), stimulus, *PORTS)
        assert seen[-1]["row"] == rows[0], f"cut after {cut}"
        assert (seen[-1]["first_row_valid"], seen[-1]["first_row"]) == (1, rows[0])


def test_scales_and_constants() -> None:
    """A scale comes some cycles after its index; foreign writes do nothing."""
    geometry = geometry_of("2x2x3x8")
    rng = np.random.default_rng(233)
    scales = rng.integers(1 << geometry.scale_width, size=geometry.scale_depth).tolist()
    stimulus = [
        {**QUIET, "bus": bus_write(Target.SCALE, 0, index, scale)}
        for index, scale in enumerate(scales)
    ]
    stimulus += [
        {**QUIET, "bus": bus_write(Target.CONTROL, 0, 0, 3)},
        {**QUIET, "bus": bus_write(Target.CONTROL, 0, 1, 0x1234)},
    ]
    foreign = set(range(16)) - {Target.CONTROL, Target.SCALE}
    stimulus += [{**QUIET, "bus": bus_write(target, 0, 0, 7)} for target in foreign]
    indices = rng.integers(len(scales), size=100).tolist()
    start, late = len(stimulus), ProgramStore.SCALE_CYCLES
    stimulus += [{**QUIET, "scale_index": index} for index in indices]
    seen = trace(ProgramStore(geometry), [*stimulus, *[QUIET] * late], *PORTS)[start + late :]
    for index, out in zip(indices, seen, strict=True):
        assert out["scale"] == scales[index]
        assert (out["rows"], out["block"]) == (3, 0x1234)


def test_reset_forgets_that_there_is_a_program() -> None:
    geometry = geometry_of("2x1x2x8")
    stimulus = [
        {**QUIET, "bus": bus_write(Target.CONTROL, 0, 0, 2)},
        {**QUIET, "bus": bus_write(Target.CONTROL, 0, 1, 9)},
        *[QUIET] * 2, {**QUIET, "rst": 1}, {**QUIET, "rst": 0},
    ]  # fmt: skip
    seen = trace(ProgramStore(geometry), stimulus, "rows", "block")
    assert seen[3] == {"rows": 2, "block": 9}
    assert seen[-1] == {"rows": 0, "block": 0}
