# SPDX-License-Identifier: Apache-2.0
"""The exact cycle count: what the device's ``cycles`` register says after a block."""

from __future__ import annotations

from functools import lru_cache

from xnorflow.compile.rows import Row
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import row_words

__all__ = ["BLOCK_CYCLES", "LOSSES", "row_cycles", "row_losses", "skip_cycles"]

# The gateware's own constants; its tests compare them with the classes that they belong to.
TURNAROUND_CYCLES = 4
"""Between two uses of one accumulator."""
FETCH_CYCLES = 6
FOOT_SUM_CYCLES = 3
COLLECT_CYCLES = 6
"""From a position's codes to the last write of a result of one write."""
BLOCK_CYCLES = 2
"""Of a block, beside those of its rows."""
START_CYCLES = 7
"""From a row's start to its first load's first beat."""
CONTROL_CYCLES = 3
"""Of a row, beside reading its words and running it."""

LOSSES = (
    "control", "weights", "shortest", "drain", "results",
    "pace", "tiles", "rows", "words", "border",
)  # fmt: skip
"""Reasons for which XNORs of the array are lost; :func:`row_losses` says what each is."""


def array_cycles(geometry: Geometry) -> int:
    """Cycles from a word at the first row to the column's sum."""
    levels = geometry.word_width.bit_length() - 2  # of the popcount: 3 bits, 7, 15, ...
    return geometry.rows + levels


def sum_cycles(geometry: Geometry) -> int:
    """Cycles from a beat to column 0's foot."""
    return FETCH_CYCLES + array_cycles(geometry)


def load_cycles(geometry: Geometry, records: bool) -> int:
    """Cycles in which no beats can be issued because weights are loaded."""
    load = geometry.weight_load_cycles
    return max(load, geometry.record_words + geometry.max_lanes - 1) if records else load


def spacing_cycles(geometry: Geometry, records: bool) -> int:
    """Fewest cycles from the start of a load to the start of the next."""
    weights = max(geometry.weight_load_cycles + geometry.rows - 1, TURNAROUND_CYCLES + 1)
    if not records:
        return weights
    foot = array_cycles(geometry) + geometry.max_lanes - 1
    return max(weights, geometry.record_words + foot + 3)


def _line_beats(row: Row, units: int, *, final: bool) -> int:
    """Cycles of one line of one lane; ``final``: its sums are complete."""
    plan = row.plan
    outputs = units if plan.flat else plan.map_width
    pace = plan.pace if final else 1
    return max(outputs * pace, TURNAROUND_CYCLES if plan.lanes > 1 else 1)


def _pass_beats(row: Row, units: int, *, final: bool) -> int:
    """Cycles of the beats of one pass."""
    lines = 1 if row.plan.flat else units * row.map_lines
    others = (row.plan.lanes - 1) * _line_beats(row, units, final=False)
    return lines * (others + _line_beats(row, units, final=final))


def skip_cycles(geometry: Geometry) -> int:
    """Cycles of a row that has no unit in the block."""
    return row_words(geometry) + CONTROL_CYCLES + 1


@lru_cache(maxsize=65536)
def _streaming(row: Row, units: int) -> tuple[int, int, int]:
    """Cycles from the first load to the last beat; of these, loads; waits after short passes."""
    plan, geometry = row.plan, row.plan.geometry
    beats = {final: _pass_beats(row, units, final=final) for final in (False, True)}
    total = loads = waits = 0
    for final, count in ((False, plan.passes - 1), (True, 1)):
        records = final and not plan.raw
        load = load_cycles(geometry, records)
        wait = max(0, spacing_cycles(geometry, records) - load - beats[final])
        if final and plan.raw:
            wait = 0  # the read-out comes between
        total += plan.tiles * count * (load + beats[final] + wait)
        loads += plan.tiles * count * load
        waits += plan.tiles * count * wait
        last_wait = wait
    if not plan.raw:  # nothing is loaded after the last pass
        total -= last_wait
        waits -= last_wait
    return total, loads, waits


def _read_cycles(row: Row, units: int) -> int:
    """Cycles of the read-out of all tiles: a position's words leave before the next one's."""
    plan, geometry = row.plan, row.plan.geometry
    if not plan.raw:
        return 0
    positions = units if plan.flat else units * plan.map_width * row.map_lines
    streamed, _, _ = _streaming(row, units)
    tile = streamed // plan.tiles
    last_pass = load_cycles(geometry, False) + _pass_beats(row, units, final=True)
    idle = _idle_end(row, units)
    total = left = 0
    for index in range(plan.tiles):
        channels = min(geometry.columns, plan.spec.out_channels - index * geometry.columns)
        words = channels * geometry.pixels
        wait = max(0, TURNAROUND_CYCLES - 1 - idle, left - tile)
        cycles = wait + (positions - 1) * words + 1
        if index + 1 < plan.tiles:
            cycles = max(cycles, spacing_cycles(geometry, False) - last_pass)
        total += cycles
        left = words - 1
    return total


def _idle_end(row: Row, units: int) -> int:
    """Cycles of a pass's last line after its last beat."""
    outputs = units if row.plan.flat else row.plan.map_width
    return _line_beats(row, units, final=True) - ((outputs - 1) * row.plan.pace + 1)


def _drain_cycles(row: Row, units: int) -> int:
    """Cycles from the last beat to the end of the row."""
    plan, geometry = row.plan, row.plan.geometry
    foot = sum_cycles(geometry) + geometry.hops - 1 + FOOT_SUM_CYCLES
    if plan.raw:
        return 0
    writes = plan.write_cycles(plan.tiles - 1)
    return foot + geometry.max_lanes + COLLECT_CYCLES + writes - _idle_end(row, units) - 1


def row_cycles(row: Row, units: int) -> int:
    """Cycles of one row for ``units`` units, from reading it to its last write."""
    geometry = row.plan.geometry
    if units == 0:
        return skip_cycles(geometry)
    streaming, _, _ = _streaming(row, units)
    fixed = row_words(geometry) + CONTROL_CYCLES + START_CYCLES
    return fixed + streaming + _read_cycles(row, units) + _drain_cycles(row, units)


def row_losses(row: Row, units: int) -> dict[str, float]:
    """Cycles that a row loses, by reason; what is left is its useful XNORs.

    control : reading the row, starting.
    weights : loading weights and thresholds.
    shortest : beats that wait because a pass or a line is too short for the pipeline.
    drain : waiting for the last results.
    results : reading accumulators out.
    pace : waiting for results to be written.
    tiles : columns without a channel, in the last tile.
    rows : rows of the window without a word.
    words : bits of words without a channel.
    border : positions that contribute 0, and sums that pooling's parts compute twice.
    """
    plan, geometry = row.plan, row.plan.geometry
    spec = plan.spec
    if units == 0:
        return dict.fromkeys(LOSSES, 0.0) | {"control": float(skip_cycles(geometry))}
    _, loads, waits = _streaming(row, units)
    outputs = units * row.map_lines * plan.map_width  # of one lane of one pass
    total = row_cycles(row, units)
    read, drain = _read_cycles(row, units), _drain_cycles(row, units)
    control = row_words(geometry) + CONTROL_CYCLES + START_CYCLES
    streamed = total - control - loads - waits - read - drain
    beats = plan.tiles * plan.passes * plan.lanes * outputs  # that carry a sum
    paced = plan.tiles * outputs * (plan.pace - 1)
    short = streamed - beats - paced

    # The beats' XNORs, thinned out factor by factor.
    columns = spec.out_channels / (plan.tiles * geometry.columns)
    height, width = spec.kernel
    lines, kernel_columns, words = plan.passes_shape
    window_words = height * width * plan.words
    if plan.planes:
        rows_used = 8 * height * width / (lines * kernel_columns * plan.lanes * geometry.rows)
        # 8 planes in rows; each row's word holds the window's bits
        window = geometry.rows * lines * kernel_columns
        rows_used = 8 / (plan.lanes * geometry.rows)
        bits_used = (
            height * width * spec.in_shape[2] / (lines * kernel_columns * geometry.word_width)
        )
        del window
    else:
        rows_used = window_words / (lines * kernel_columns * words * geometry.rows)
        bits_used = spec.in_shape[2] / (plan.words * geometry.word_width)
    images = units * geometry.pixels
    useful = images * spec.xnors * row.lines / spec.out_shape[0] / geometry.xnors_per_cycle
    left = float(beats)
    losses = {
        "control": float(control),
        "weights": float(loads),
        "shortest": float(waits + short),
        "drain": float(drain),
        "results": float(read),
        "pace": float(paced),
    }
    for name, factor in (("tiles", columns), ("rows", rows_used), ("words", bits_used)):
        losses[name] = left * (1 - factor)
        left *= factor
    losses["border"] = left - useful
    return losses
