# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a geometry, and how much of each memory it uses."""

from __future__ import annotations

from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.rows import Row
from xnorflow.compile.schedule import Schedule, too_small
from xnorflow.core.geometry import Geometry

__all__ = ["check_layers", "memory_usage"]


def check_layers(plans: tuple[LayerPlan, ...]) -> None:
    """Raise CompileError for what no schedule can help: widths, and memories that hold weights."""
    geometry = plans[0].geometry
    for plan in plans:
        _check_layer(plan)
    for name, (needed, unit) in {
        "weight_depth": (weight_depth(plans), "weight words a column"),
        "scale_depth": (sum(p.lanes * p.spec.planes for p in plans), "lane scales"),
        "pool_depth": (_pool_depth(plans), "pooling windows a line"),
    }.items():
        if needed > getattr(geometry, name):
            raise too_small("the network", geometry, name, needed, unit)


def weight_depth(plans: tuple[LayerPlan, ...]) -> int:
    """Words of each column's bank: weights, the tail of the last rows, records of thresholds."""
    weights = sum(plan.weight_words for plan in plans) + plans[0].geometry.rows - 1
    return weights + sum(plan.records for plan in plans)


def _pool_depth(plans: tuple[LayerPlan, ...]) -> int:
    return max([p.spec.out_shape[1] for p in plans if p.spec.pool > 1], default=0)


def memory_usage(plans: tuple[LayerPlan, ...], schedule: Schedule) -> dict[str, tuple[int, int]]:
    """Words used and words there are, memory by memory."""
    geometry = plans[0].geometry
    used = {
        "activation_depth": schedule.addresses,
        "weight_depth": weight_depth(plans),
        "accumulator_depth": max(_accumulators(row) for row in schedule.rows),
        "layer_depth": len(schedule.rows),
        "scale_depth": sum(plan.lanes * plan.spec.planes for plan in plans),
        "pool_depth": _pool_depth(plans),
    }
    return {name: (count, getattr(geometry, name)) for name, count in used.items()}


def _accumulators(row: Row) -> int:
    plan = row.plan
    if plan.flat:
        return row.count
    return row.count * row.map_lines * plan.map_width if plan.keep else plan.map_width


def _check_layer(plan: LayerPlan) -> None:
    geometry, spec = plan.geometry, plan.spec
    owner = f"layer {spec.name!r}"
    _check_lanes(owner, geometry, spec.out_lanes)
    if spec.accumulator_bound > geometry.accumulator_limit:
        width = (spec.accumulator_bound + 2).bit_length() + 1
        raise too_small(owner, geometry, "accumulator_width", width, "bits in its accumulators")
    scale = plan.lane_scales[0] * spec.weight_scales[0]
    if scale.bit_length() > geometry.scale_width:
        raise too_small(owner, geometry, "scale_width", scale.bit_length(), "bits in lane scales")


def _check_lanes(owner: str, geometry: Geometry, lanes: int) -> None:
    if lanes > geometry.max_lanes:
        raise too_small(owner, geometry, "max_lanes", lanes, "lanes in its codes")
