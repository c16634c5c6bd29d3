# SPDX-License-Identifier: Apache-2.0
"""The schedule of a block: which layer runs when, over how many images, and where its maps lie.

Large maps are few to a memory, so the first layers run part by part; small maps are many, so the
last layers run over the whole block at once, and their many weight loads are shared by its images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xnorflow.compile.cycles import row_cycles
from xnorflow.compile.errors import CompileError
from xnorflow.compile.layout import MapLayout
from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.rows import Row
from xnorflow.core.geometry import Geometry

__all__ = ["Schedule", "find_schedule", "too_small"]


@dataclass(frozen=True)
class Schedule:
    """A block's rows.

    Parameters
    ----------
    units : int
        Units of a full block.
    rows : tuple of Row
    chunk : int
        Units of input that lie in the banks at once.
    double : bool
        Two such parts lie there, so that one can be received while the other is used.
    addresses : int
        Addresses used in each activation bank.
    """

    units: int
    rows: tuple[Row, ...]
    chunk: int
    double: bool
    addresses: int

    def cycles(self, units: int) -> int:
        """Exact cycles of a block of ``units`` units whose images never keep it waiting."""
        return sum(row_cycles(row, row.units(units)) for row in self.rows)


@dataclass(frozen=True)
class _Shape:
    """What a schedule is made from: layers before ``split`` run over ``part`` units at a time."""

    units: int
    split: int
    part: int

    def held(self, layer: int) -> int:
        """Units that the input map of a layer holds."""
        return self.part if layer < self.split else self.units


def _sizes(limit: int) -> list[int]:
    """Numbers of units worth trying, up to ``limit``."""
    steps = {base << shift for base in (1, 3) for shift in range(16)} | {limit}
    return sorted(size for size in steps if 1 <= size <= limit)


def _shapes(plans: tuple[LayerPlan, ...], max_units: int) -> Iterator[_Shape]:
    """Every way to run the network. Flat maps hold whole blocks."""
    flat = next((i for i, plan in enumerate(plans) if plan.flat), len(plans))
    last_split = min(max(flat - 1, 0), len(plans) - 1)
    for units in _sizes(max_units):
        yield _Shape(units, 0, units)
        for part in _sizes(units - 1):
            for split in range(1, last_split + 1):
                yield _Shape(units, split, part)


def _maps(plans: tuple[LayerPlan, ...], shape: _Shape) -> list[MapLayout]:
    """Input map of every layer, at address 0."""
    maps = []
    for layer, plan in enumerate(plans):
        lanes = 1 if plan.planes else plan.spec.in_lanes
        held = shape.held(layer)
        maps.append(MapLayout(plan.geometry, plan.spec.in_shape, lanes, held, plan.flat))
    return maps


def _place(
    maps: list[MapLayout], shape: _Shape, depth: int, *, double: bool
) -> tuple[list[MapLayout], int]:
    """Bases for the maps, largest first at the lowest free address; and the addresses used.

    The input stays: the next block's images arrive at any time. Another map is alive while its
    layer and the one before it run, the one behind the split while any layer before it runs.
    """
    last = len(maps)
    alive = [(max(layer - 1, 0), layer) for layer in range(last)]
    alive[0] = (0, last)
    if shape.split:
        alive[shape.split] = (0, shape.split)
    sizes = [layout.size for layout in maps]
    sizes[0] *= 2 if double else 1
    bases: dict[int, int] = {}
    for index in sorted(range(last), key=lambda i: -sizes[i]):
        begin, end = alive[index]
        busy = sorted(
            (bases[other], bases[other] + sizes[other])
            for other in bases
            if alive[other][0] <= end and begin <= alive[other][1]
        )
        at = 0
        for low, high in busy:
            if at + sizes[index] <= low:
                break
            at = max(at, high)
        bases[index] = at
    used = max(bases[index] + sizes[index] for index in bases)
    return [replace(layout, base=bases[i]) for i, layout in enumerate(maps)], used


def _layer_rows(
    plans: tuple[LayerPlan, ...],
    maps: list[MapLayout],
    layer: int,
    shape: _Shape,
    begin: int,
    count: int,
) -> list[Row]:
    """Rows of one layer over ``count`` units from ``begin`` on.

    As many units a row as the accumulators hold; where they do not hold one, parts of its lines.
    """
    plan = plans[layer]
    geometry = plan.geometry
    target = (
        maps[layer + 1]
        if layer + 1 < len(maps)
        else MapLayout(geometry, plan.spec.out_shape, 0, shape.units, False)
    )
    height = plan.spec.out_shape[0]
    units = lines = 0
    if plan.flat or not plan.keep:
        lines = height
        fits = geometry.accumulator_depth // (1 if plan.flat else plan.map_width)
        units = (fits if plan.flat else count) if fits else 0
        if plan.flat and not plan.keep and plan.lanes == 1:
            units = count
    elif plan.accumulators <= geometry.accumulator_depth:
        units, lines = geometry.accumulator_depth // plan.accumulators, height
    else:
        units = 1
        while plan.map_lines(lines + 1) * plan.map_width <= geometry.accumulator_depth:
            lines += 1
    if units < count and (plan.flat or target.flat):
        units -= units % geometry.taps  # a row's first unit lies in bank column 0
    if not units or not lines:
        needed = plan.map_lines(1) * plan.map_width
        if plan.flat or target.flat:
            needed = max(needed, geometry.taps * needed)
        raise too_small(
            f"layer {plan.spec.name!r}", geometry, "accumulator_depth", needed,
            "accumulators a column",
        )  # fmt: skip
    source_first = begin if layer < shape.split else 0
    target_first = begin if layer + 1 < shape.split else 0
    return [
        Row(
            plan, layer, maps[layer], target,
            first, min(units, begin + count - first),
            source_first, target_first,
            line, min(lines, height - line),
            from_input=layer == 0,
        )
        for first in range(begin, begin + count, units)
        for line in range(0, height, lines)
    ]  # fmt: skip


def _rows(plans: tuple[LayerPlan, ...], maps: list[MapLayout], shape: _Shape) -> tuple[Row, ...]:
    """All rows of a block, in order."""
    rows: list[Row] = []
    front = range(shape.split)
    back = range(shape.split, len(plans))
    runs = [
        (layer, begin, min(shape.part, shape.units - begin))
        for begin in range(0, shape.units, shape.part)
        for layer in front
    ]
    runs += [(layer, 0, shape.units) for layer in back]
    for layer, begin, count in runs:
        part = _layer_rows(plans, maps, layer, shape, begin, count)
        if layer == 0:
            part[-1] = replace(part[-1], frees_input=True)
        rows += part
    return tuple(rows)


def _within_limits(schedule: Schedule, geometry: Geometry) -> bool:
    """Whether the cutting of the block keeps to the geometry's limits."""
    limits = {name: range(low, high + 1) for name, low, high in geometry.limits}
    values = {
        "chunk_double": {int(schedule.double)},
        "chunk_last": {schedule.chunk - 1},
        "unit_first": {row.first for row in schedule.rows},
        "unit_last": {row.count - 1 for row in schedule.rows},
    }
    return all(value in limits.get(name, (value,)) for name in values for value in values[name])


def find_schedule(plans: tuple[LayerPlan, ...], geometry: Geometry, max_units: int) -> Schedule:
    """The schedule with the fewest cycles a unit that the memories allow.

    Raises
    ------
    CompileError
        If not even one unit fits.
    """
    best: Schedule | None = None
    smallest: int | None = None
    most_rows: int | None = None
    beyond = False
    for shape in _shapes(plans, max_units):
        for double in (True, False):
            maps, used = _place(
                _maps(plans, shape), shape, geometry.activation_depth, double=double
            )
            if used > geometry.activation_depth:
                smallest = min(smallest or used, used)
                continue
            rows = _rows(plans, maps, shape)
            if len(rows) > geometry.layer_depth:
                most_rows = min(most_rows or len(rows), len(rows))
                continue
            found = Schedule(shape.units, rows, maps[0].units, double, used)
            if not _within_limits(found, geometry):
                beyond = True
                continue
            if best is None or found.cycles(found.units) * best.units < (
                best.cycles(best.units) * found.units
            ):
                best = found
            break
    if best is not None:
        return best
    if most_rows is not None:
        raise too_small("the network", geometry, "layer_depth", most_rows, "program rows")
    if beyond:
        raise CompileError(
            f"no schedule of the network keeps to the limits of {geometry}: blocks, or parts of "
            "them, are cut otherwise; use a geometry without limits, or larger memories"
        )
    raise too_small(
        "the network", geometry, "activation_depth", smallest or 0, "words in each bank"
    )


def too_small(owner: str, geometry: Geometry, name: str, needed: int, unit: str) -> CompileError:
    """The error that says what does not fit, by how much, and which geometry would."""
    there = getattr(geometry, name)
    better = needed if name.endswith(("width", "lanes")) else 1 << (needed - 1).bit_length()
    message = f"{owner} does not fit {geometry}: it needs {needed} {unit}, there are {there}"
    try:
        way_out = f"use --geometry {geometry.with_memory(**{name: better})}"
    except ValueError:
        way_out = "no geometry has that many; make the layer smaller"
    return CompileError(f"{message} ({needed - there} too few); {way_out}")
