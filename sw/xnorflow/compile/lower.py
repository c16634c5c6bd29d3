# SPDX-License-Identifier: Apache-2.0
"""Lowering: a planned layer becomes its program row, weight words and threshold heaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.compile.plan import LayerPlan
from xnorflow.core.packing import bits_to_words

__all__ = ["Bases", "layer_row", "scale_items", "threshold_items", "weight_items"]


@dataclass(frozen=True)
class Bases:
    """Where a layer's part of each program memory begins."""

    weight: int
    scale: int
    tile: int


def layer_row(plan: LayerPlan, bases: Bases) -> dict[str, int]:
    """Fields of the layer's program row (core/program.py)."""
    geometry, spec = plan.geometry, plan.spec
    streams = geometry.streams
    source, target = plan.source, plan.target
    lines, columns, words = plan.passes_shape
    outputs = plan.map_shape[1]
    padding_y, padding_x = spec.padding
    addresses = 1 << (geometry.activation_depth - 1).bit_length()  # address arithmetic wraps here
    border = spec.border or 0
    # Flat: beats beyond one an image; the sequencer keeps the shortest segment itself.
    extra = plan.result_cycles - 1
    channels_tail = spec.out_channels - (plan.tiles - 1) * geometry.columns
    return {
        "flat": int(plan.flat),
        "raw": int(plan.raw),
        "by_words": int(plan.by_words),
        "border_enable": int(spec.border is not None),
        "border_bits": sum(
            (border >> (spec.in_lanes - 1 - lane) & 1) << lane for lane in range(spec.in_lanes)
        ),
        "in_base": source.base,
        "start_address": (source.base - -(-padding_y // streams) * source.line_stride) % addresses,
        "start_row": -padding_y % streams,
        "padding_y": padding_y,
        "padding_x": padding_x,
        "row_last": spec.in_shape[0] - 1,
        "column_last": (source.block if plan.flat else spec.in_shape[1]) - 1,
        "word_last": source.words - 1,
        "tail": source.tail,
        "lane_last": spec.in_lanes - 1,
        "lane_stride": source.lane_stride % addresses,
        "word_stride": source.word_stride % addresses,
        "line_stride": source.line_stride % addresses,
        "image_stride": source.image_stride % addresses,
        "stride": plan.stride,
        "step_line": plan.stride // streams * source.line_stride % addresses,
        "step_row": plan.stride % streams,
        "kernel_last": spec.kernel[0] - 1,
        "ky_last": lines - 1,
        "kx_last": columns - 1,
        "cw_last": words - 1,
        "cw_step": source.word_stride * (streams if plan.by_words else 1) % addresses,
        "plane_last": spec.planes - 1,
        "taps_last": plan.taps_tail,
        "beats": extra if plan.flat else plan.beats(outputs, tail=False) - 1,
        "beats_tail": extra if plan.flat else plan.beats(outputs, tail=True) - 1,
        "map_row_last": plan.map_shape[0] - 1,
        "map_width": outputs,
        "repeat_last": plan.repeats - 1,
        "group": plan.group,
        "weight_base": bases.weight,
        "scale_base": bases.scale,
        "tile_last": plan.tiles - 1,
        "tile_base": bases.tile,
        "channels_tail": channels_tail,
        "pool_last": spec.pool - 1,
        "out_base": target.base,
        "out_row_last": target.shape[0] - 1,
        "out_column_last": target.shape[1] - 1,
        "out_word_last": target.words - 1,
        "out_lane_last": max(spec.out_lanes - 1, 0),
        "out_lane_stride": target.lane_stride % addresses,
        "out_word_stride": target.word_stride % addresses,
        "out_line_stride": target.line_stride % addresses,
        "out_image_stride": target.image_stride % addresses,
    }


def scale_items(plan: LayerPlan) -> list[int]:
    """Lane scales s_l * t_j, weight plane by weight plane."""
    return [t * s for t in plan.spec.weight_scales for s in plan.spec.in_scales]


def weight_items(plan: LayerPlan, bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Words of the weight banks, (columns, weight_words).

    ``bits`` are 0/1 of shape (planes, out_channels, kernel height, width, in_channels). Weights of
    rows, columns and channels that do not exist are 0.
    """
    geometry, spec = plan.geometry, plan.spec
    streams, taps, beat = geometry.streams, geometry.taps, geometry.weight_beat
    lines, columns, groups = plan.passes_shape
    words = bits_to_words(bits, geometry.word_width)  # (planes, out, kh, kw, words)

    padded = np.zeros(
        (
            spec.planes,
            plan.tiles * geometry.columns,
            lines * (1 if plan.by_words else streams),
            columns * taps,
            groups * (streams if plan.by_words else 1),
        ),
        np.uint64,
    )
    padded[tuple(slice(size) for size in words.shape)] = words
    shape = (spec.planes, plan.tiles, geometry.columns)
    if plan.by_words:
        split = padded.reshape(*shape, lines, columns, taps, groups, streams)
        order = (2, 1, 0, 3, 4, 6, 7, 5)  # column, tile, plane, ky, kx, cw, stream, tap
    else:
        split = padded.reshape(*shape, lines, streams, columns, taps, groups)
        order = (2, 1, 0, 3, 5, 7, 4, 6)
    rows = split.transpose(order).reshape(geometry.columns, -1, geometry.rows)

    items = np.zeros((*rows.shape[:2], geometry.weight_load_cycles), np.uint64)
    mask = np.uint64((1 << beat) - 1)
    for step in range(geometry.weight_load_cycles):
        for row in range(geometry.rows):
            part = rows[:, :, row] >> np.uint64(step * beat) & mask
            items[:, :, step] |= part << np.uint64(row * beat)
    return items.reshape(geometry.columns, -1)


def threshold_items(
    plan: LayerPlan,
    thresholds: npt.NDArray[np.integer[Any]],
    pool_min: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.uint64]:
    """Threshold heaps, (columns, tiles << max_lanes).

    ``thresholds`` (out_channels, 2^m - 1) rise; ones beyond the accumulators' range are cut to
    it, which changes no code. Channels that do not exist never reach theirs.
    """
    geometry, spec = plan.geometry, plan.spec
    width = geometry.accumulator_width
    top = (1 << (width - 1)) - 1
    nodes = 1 << geometry.max_lanes
    channels = plan.tiles * geometry.columns

    heap = np.zeros((channels, nodes), np.int64)
    for level in range(spec.out_lanes):
        step = 1 << (spec.out_lanes - level)  # thresholds between this level's nodes
        chosen = np.full((channels, 1 << level), top, np.int64)
        chosen[: spec.out_channels] = thresholds[:, step // 2 - 1 :: step]
        heap[:, 1 << level : 2 << level] = np.clip(chosen, -top - 1, top)
    items = (heap & ((1 << width) - 1)).astype(np.uint64)
    items[: spec.out_channels, 1] |= pool_min.astype(np.uint64) << np.uint64(width)
    by_column = items.reshape(plan.tiles, geometry.columns, nodes).transpose(1, 0, 2)
    return by_column.reshape(geometry.columns, -1)
