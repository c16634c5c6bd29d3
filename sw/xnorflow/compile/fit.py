# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a geometry: where its maps lie, and how much of each memory it uses."""

from __future__ import annotations

from itertools import pairwise

from xnorflow.compile.errors import CompileError
from xnorflow.compile.layout import MapLayout
from xnorflow.compile.plan import LayerPlan
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec

__all__ = ["allocate", "check_fit"]


def _layouts(network: NetworkSpec, geometry: Geometry, block: int) -> list[MapLayout]:
    """Every layer's input map, at address 0."""
    return [MapLayout(geometry, layer.in_shape, layer.in_lanes, block) for layer in network.layers]


def _activation_words(layouts: list[MapLayout]) -> int:
    """Addresses that the largest two maps in a row need."""
    sizes = [layout.size for layout in layouts] + [0]
    return max(a + b for a, b in pairwise(sizes))


def allocate(network: NetworkSpec, geometry: Geometry, max_block: int) -> tuple[LayerPlan, ...]:
    """Plan every layer, with the largest block of images that the memories hold.

    Maps lie at the banks' two ends in turn: what a layer reads never meets what it writes.

    Raises
    ------
    CompileError
        If not even one image fits; ValueError if ``max_block`` is not positive.
    """
    if max_block < 1:
        raise ValueError(f"max_block must be at least 1, not {max_block}")
    block = min(max_block, geometry.accumulator_depth)
    while block > 1 and (
        _activation_words(_layouts(network, geometry, block)) > geometry.activation_depth
    ):
        block -= 1
    layouts = _layouts(network, geometry, block)
    needed = _activation_words(layouts)
    if needed > geometry.activation_depth:
        raise _too_small(network.name, geometry, "activation_depth", needed, "words in each bank")
    placed = []
    for index, layout in enumerate(layouts):
        base = geometry.activation_depth - layout.size if index % 2 else 0
        placed.append(MapLayout(geometry, layout.shape, layout.lanes, block, base))
    results = MapLayout(geometry, network.layers[-1].out_shape, 0, block)
    return tuple(
        LayerPlan(geometry, layer, source, target)
        for layer, source, target in zip(
            network.layers, placed, [*placed[1:], results], strict=True
        )
    )


def check_fit(plans: tuple[LayerPlan, ...]) -> dict[str, tuple[int, int]]:
    """Words used and words there are, memory by memory.

    Raises
    ------
    CompileError
        If a layer cannot run or a memory is too small.
    """
    geometry = plans[0].geometry
    for plan in plans:
        _check_layer(plan)
    used = {
        "activation_depth": _activation_words([plan.source for plan in plans]),
        "weight_depth": sum(plan.weight_words for plan in plans),
        "accumulator_depth": max(
            plan.source.block if plan.flat else plan.group * plan.accumulators for plan in plans
        ),
        "threshold_depth": sum(plan.tiles for plan in plans if not plan.raw),
        "layer_depth": len(plans),
        "scale_depth": sum(plan.spec.in_lanes * plan.spec.planes for plan in plans),
        "pool_depth": max(
            [plan.spec.out_shape[1] for plan in plans if plan.spec.pool > 1], default=0
        ),
    }
    what = {
        "weight_depth": "weight words a column",
        "threshold_depth": "tiles of thresholds",
        "layer_depth": "layers",
        "scale_depth": "lane scales",
        "pool_depth": "pooling windows a row",
    }
    for name, unit in what.items():
        if used[name] > getattr(geometry, name):
            raise _too_small("the network", geometry, name, used[name], unit)
    return {name: (count, getattr(geometry, name)) for name, count in used.items()}


def _check_layer(plan: LayerPlan) -> None:
    geometry, spec = plan.geometry, plan.spec
    owner = f"layer {spec.name!r}"
    if spec.out_lanes > geometry.max_lanes:
        raise _too_small(owner, geometry, "max_lanes", spec.out_lanes, "lanes in its codes")
    if spec.accumulator_bound > geometry.accumulator_limit:
        width = (spec.accumulator_bound + 2).bit_length() + 1
        raise _too_small(owner, geometry, "accumulator_width", width, "bits in its accumulators")
    scale = spec.in_scales[0] * spec.weight_scales[0]
    if scale.bit_length() > geometry.scale_width:
        raise _too_small(owner, geometry, "scale_width", scale.bit_length(), "bits in lane scales")
    if plan.accumulators > geometry.accumulator_depth:
        raise _too_small(
            owner, geometry, "accumulator_depth", plan.accumulators, "accumulators a column"
        )


def _too_small(owner: str, geometry: Geometry, name: str, needed: int, unit: str) -> CompileError:
    """The error that says what does not fit, by how much, and which geometry would."""
    there = getattr(geometry, name)
    better = needed if name.endswith(("width", "lanes")) else 1 << (needed - 1).bit_length()
    message = f"{owner} does not fit {geometry}: it needs {needed} {unit}, there are {there}"
    try:
        way_out = f"use --geometry {geometry.with_memory(**{name: better})}"
    except ValueError:
        way_out = "no geometry has that many; make the layer smaller"
    return CompileError(f"{message} ({needed - there} too few); {way_out}")
