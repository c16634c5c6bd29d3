# SPDX-License-Identifier: Apache-2.0
"""The exact cycle count: what the device's ``cycles`` register says after a block."""

from __future__ import annotations

from xnorflow.compile.plan import LayerPlan
from xnorflow.core.geometry import Geometry

__all__ = ["input_cycles", "layer_cycles"]

# The gateware's own constants; its tests compare them with the classes that they belong to.
FETCH_CYCLES = 2
FOOT_SUM_CYCLES = 3
POOL_CYCLES = 2
INPUT_OVERHEAD = 3
FIRST_SEGMENT_CYCLES = 4
"""From a layer's start to its first segment's first beat."""


def pipeline_cycles(geometry: Geometry) -> int:
    """Cycles from a beat to the last hop's sum."""
    popcount = geometry.word_width.bit_length() - 1
    return FETCH_CYCLES + geometry.rows + popcount + geometry.hops - 1


def input_cycles(plan: LayerPlan, images: int) -> int:
    """Cycles to receive ``images`` images, if the host never waits."""
    height, width, channels = plan.spec.in_shape
    phases = -(-plan.spec.in_lanes // plan.geometry.streams)
    # A word's bytes come one a cycle; all its writes but the last hold up the next word's first.
    position = channels + plan.source.words * (phases - 1)
    return images * height * width * position + INPUT_OVERHEAD


def layer_cycles(plan: LayerPlan, images: int) -> int:
    """Cycles of one layer for a block of ``images`` images."""
    segments = FIRST_SEGMENT_CYCLES + sum(
        _group_cycles(plan, group) for group in plan.groups(images)
    )
    if plan.raw:
        return segments + 1
    last_result = segments - _idle_end(plan, plan.groups(images)[-1])
    return max(segments, last_result + _drain_cycles(plan) + 1) + 2


def _segment_beats(plan: LayerPlan, images: int) -> list[int]:
    """Beats of a segment in each pass over kernel columns."""
    outputs = images if plan.flat else plan.map_shape[1]
    columns = plan.passes_shape[1]
    return [plan.beats(outputs, tail=False)] * (columns - 1) + [plan.beats(outputs, tail=True)]


def _group_cycles(plan: LayerPlan, images: int) -> int:
    """Cycles of all segments of a group of images."""
    geometry = plan.geometry
    lines, _, words = plan.passes_shape
    load = (geometry.streams - 1) * geometry.taps + geometry.weight_load_cycles
    beats = _segment_beats(plan, images)
    segments = 1 if plan.flat else images * plan.map_shape[0]  # of one lane of one pass
    streamed = plan.spec.planes * lines * words * plan.spec.in_lanes * segments * sum(beats)
    again = (plan.repeats - 1) * segments * beats[-1]
    total = plan.tiles * (plan.passes * load + streamed + again)
    if plan.raw:
        # One output position at a time: through the pipeline, then a word a cycle.
        positions = images * plan.accumulators
        wait = pipeline_cycles(geometry) + FOOT_SUM_CYCLES + 2
        total += positions * (plan.tiles * wait + plan.spec.out_channels)
    return total


def _idle_end(plan: LayerPlan, images: int) -> int:
    """Beats from the layer's last result to the end of its last segment."""
    outputs = images if plan.flat else plan.map_shape[1]
    beats = _segment_beats(plan, images)[-1]
    windows = outputs // plan.spec.pool
    repeat = min(plan.repeats, windows) - 1  # the last one that has a result
    window = repeat + (windows - 1 - repeat) // plan.repeats * plan.repeats
    start = ((window + 1) * plan.spec.pool - 1) * plan.stride
    return (plan.repeats - 1 - repeat) * beats + beats - 1 - start


def _drain_cycles(plan: LayerPlan) -> int:
    """Cycles from a beat that starts a result to the end of the result's write."""
    geometry = plan.geometry
    foot = FOOT_SUM_CYCLES + 2 * geometry.max_lanes
    return pipeline_cycles(geometry) + foot + POOL_CYCLES + plan.write_cycles(plan.tiles - 1)
