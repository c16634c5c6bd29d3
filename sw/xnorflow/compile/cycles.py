# SPDX-License-Identifier: Apache-2.0
"""The exact cycle count: what the device's ``cycles`` register says after a block."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from xnorflow.compile.flat import flat_row_cycles
from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.rows import Row
from xnorflow.core.flat import is_flat
from xnorflow.core.geometry import PIXEL_BITS, Geometry
from xnorflow.core.program import row_words

__all__ = ["LOSSES", "row_cycles", "row_losses", "skip_cycles"]

# The gateware's own constants; its tests compare them with the classes that they belong to.
TURNAROUND_CYCLES = 4
"""Between two uses of one accumulator."""
READ_CYCLES = 3
"""Between two positions that are read out, at least."""
FETCH_CYCLES = 7
WEIGHT_BANK_CYCLES = 3
FOOT_SUM_CYCLES = 4
COLLECT_CYCLES = 5
"""From a position's last codes to the last write of a result of one write."""
START_CYCLES = 13
"""From a row's start to its first load's first beat."""
CONTROL_CYCLES = 5
"""Of a row, beside running it: the next one is read meanwhile."""

LOSSES = (
    "input", "control", "weights", "shortest", "drain", "results",
    "pace", "tiles", "rows", "words", "border",
)  # fmt: skip
"""Reasons for which XNORs of the array are lost; :func:`row_losses` says what each is."""


def array_cycles(geometry: Geometry) -> int:
    """Cycles from a word at the first row to the column's sum."""
    return geometry.rows + geometry.popcount_cycles


def sum_cycles(geometry: Geometry) -> int:
    """Cycles from a beat to column 0's foot."""
    return FETCH_CYCLES + array_cycles(geometry)


def record_offset(geometry: Geometry) -> int:
    """Cycles into a load at which thresholds are sent for."""
    way = array_cycles(geometry) - geometry.rows + FOOT_SUM_CYCLES + geometry.max_lanes - 1
    return max(0, geometry.weight_load_cycles - 1 - way)


def load_cycles(geometry: Geometry, records: bool) -> int:
    """Cycles in which no beats can be issued because weights are loaded."""
    load = max(2, geometry.weight_load_cycles)
    if not records:
        return load
    return max(load, record_offset(geometry) + geometry.record_words + geometry.max_lanes - 1)


def spacing_cycles(geometry: Geometry, records: bool) -> int:
    """Fewest cycles from the start of a load to the start of the next."""
    weights = max(geometry.weight_load_cycles + geometry.rows - 1, TURNAROUND_CYCLES + 1)
    if not records:
        return weights
    way = array_cycles(geometry) + FOOT_SUM_CYCLES + geometry.max_lanes
    return max(weights, record_offset(geometry) + geometry.record_words + way)


def _line_beats(plan: LayerPlan, units: int, *, final: bool) -> int:
    """Cycles of one line of one lane; ``final``: its sums are complete."""
    outputs = units if plan.flat else plan.map_width
    pace = plan.pace if final else 1
    return max(outputs * pace, TURNAROUND_CYCLES if plan.lanes > 1 else 1)


def _pass_beats(plan: LayerPlan, map_lines: int, units: int, *, final: bool) -> int:
    """Cycles of the beats of one pass."""
    lines = 1 if plan.flat else units * map_lines
    others = (plan.lanes - 1) * _line_beats(plan, units, final=False)
    return lines * (others + _line_beats(plan, units, final=final))


@lru_cache(maxsize=1024)
def skip_cycles(geometry: Geometry) -> int:
    """Cycles of a row that has no unit in the block."""
    return CONTROL_CYCLES + row_words(geometry) + 2  # the next one must be read


def _streaming(plan: LayerPlan, map_lines: int, units: int) -> tuple[int, int, int]:
    """Cycles from the first load to the last beat; of these, loads; waits after short passes."""
    geometry = plan.geometry
    total = loads = waits = last_wait = 0
    for final, count in ((False, plan.passes - 1), (True, 1)):
        records = final and not plan.raw
        load = load_cycles(geometry, records)
        beats = _pass_beats(plan, map_lines, units, final=final)
        wait = max(0, spacing_cycles(geometry, records) - load - beats)
        if final and plan.raw:
            wait = 0  # the read-out comes between
        total += plan.tiles * count * (load + beats + wait)
        loads += plan.tiles * count * load
        waits += plan.tiles * count * wait
        last_wait = wait
    if not plan.raw:  # nothing is loaded after the last pass
        total -= last_wait
        waits -= last_wait
    return total, loads, waits


def _read_cycles(plan: LayerPlan, map_lines: int, units: int) -> int:
    """Cycles of the read-out of all tiles: a position's words leave before the next one's."""
    if not plan.raw:
        return 0
    geometry = plan.geometry
    positions = units if plan.flat else units * plan.map_width * map_lines
    streamed, _, _ = _streaming(plan, map_lines, units)
    tile = streamed // plan.tiles
    last_pass = load_cycles(geometry, False) + _pass_beats(plan, map_lines, units, final=True)
    idle = _idle_end(plan, units)
    total = left = 0
    for index in range(plan.tiles):
        channels = min(geometry.columns, plan.spec.out_channels - index * geometry.columns)
        words = max(channels * geometry.pixels, READ_CYCLES)
        wait = max(0, TURNAROUND_CYCLES - 1 - idle, left - tile)
        cycles = wait + (positions - 1) * words + 1
        spare = 0  # until the next load may begin
        if index + 1 < plan.tiles:
            spare = max(0, spacing_cycles(geometry, False) - last_pass - cycles)
        total += cycles + spare
        left = words - 1 - spare
    return total


def _idle_end(plan: LayerPlan, units: int) -> int:
    """Cycles of a pass's last line after its last beat."""
    outputs = units if plan.flat else plan.map_width
    return _line_beats(plan, units, final=True) - ((outputs - 1) * plan.pace + 1)


def _drain_cycles(plan: LayerPlan, units: int) -> int:
    """Cycles from the last beat to the end of the row."""
    geometry = plan.geometry
    foot = sum_cycles(geometry) + geometry.hops - 1 + FOOT_SUM_CYCLES
    if plan.raw:
        return 0
    writes = plan.write_cycles(plan.tiles - 1)
    return foot + geometry.max_lanes + COLLECT_CYCLES + writes - _idle_end(plan, units) - 1


@lru_cache(maxsize=65536)
def _run_cycles(plan: LayerPlan, map_lines: int, units: int) -> int:
    """Cycles of a row that computes ``map_lines`` lines of its layer for ``units`` units."""
    streaming, _, _ = _streaming(plan, map_lines, units)
    fixed = CONTROL_CYCLES + START_CYCLES
    return fixed + streaming + _read_cycles(plan, map_lines, units) + _drain_cycles(plan, units)


def row_cycles(row: Row, units: int) -> int:
    """Cycles of one row for ``units`` units, from reading it to its last write."""
    if is_flat(row.plan.geometry):
        return row.plan.tiles * row.plan.passes * units + sum(flat_row_cycles(row, units).values())
    if units == 0:
        return skip_cycles(row.plan.geometry)
    return _run_cycles(row.plan, row.map_lines, units)


def row_losses(row: Row, units: int) -> dict[str, float]:
    """Cycles that a row loses, by reason; with its useful ones they are ``row_cycles``.

    input : the block's images arrive and nothing else happens: the flat accelerator's.
    control : starting the row.
    weights : loading weights and thresholds.
    shortest : beats that wait because a pass or a line is too short for the pipeline.
    drain : waiting for the last results.
    results : reading accumulators out.
    pace : waiting for results to be written.
    tiles : columns without a channel, in the last tile.
    rows : rows of the window without a word.
    words : bits of words without a channel.
    border : positions that contribute 0, and sums that pooling's parts compute twice.

    The last four are XNORs that the array does for nothing, in cycles of the whole array.
    """
    plan, geometry = row.plan, row.plan.geometry
    if is_flat(geometry):
        lost = dict.fromkeys(LOSSES, 0.0) | flat_row_cycles(row, units)
        return lost | _idle_xnors(row, units)
    if units == 0:
        return dict.fromkeys(LOSSES, 0.0) | {"control": float(skip_cycles(geometry))}
    _, loads, _ = _streaming(plan, row.map_lines, units)
    outputs = units * row.map_lines * plan.map_width  # of one lane of one pass of one tile
    beats = plan.tiles * plan.passes * plan.lanes * outputs
    cycles = {
        "input": 0,
        "control": CONTROL_CYCLES + START_CYCLES,
        "weights": loads,
        "drain": _drain_cycles(plan, units),
        "results": _read_cycles(plan, row.map_lines, units),
        "pace": plan.tiles * outputs * (plan.pace - 1),
    }
    cycles["shortest"] = row_cycles(row, units) - beats - sum(cycles.values())
    return {name: float(value) for name, value in cycles.items()} | _idle_xnors(row, units)


def _idle_xnors(row: Row, units: int) -> dict[str, float]:
    """XNORs that beats do for nothing, by reason, in cycles of the whole array."""
    plan, geometry, spec = row.plan, row.plan.geometry, row.plan.spec
    outputs = units * row.map_lines * plan.map_width  # of one lane of one pass of one tile
    beats = plan.tiles * plan.passes * plan.lanes * outputs
    # XNORs of all beats; of those, in columns with a channel; there, in rows with a word; there,
    # on bits with an input; there, on inputs inside the map, once.
    height, width = spec.kernel
    words = height * width * plan.words * spec.planes * plan.lanes  # of all passes and lanes
    if plan.planes:
        words = PIXEL_BITS * plan.passes
    results = outputs * geometry.pixels * spec.out_channels
    done = (
        beats * geometry.xnors_per_cycle,
        results * plan.passes * plan.lanes * geometry.rows * geometry.word_width,
        results * words * geometry.word_width,
        results * spec.planes * spec.in_lanes * spec.reduction,
        units * geometry.pixels * spec.xnors * row.lines / spec.out_shape[0],
    )
    return {
        name: (more - less) / geometry.xnors_per_cycle
        for name, (more, less) in zip(
            ("tiles", "rows", "words", "border"), pairwise(done), strict=True
        )
    }
