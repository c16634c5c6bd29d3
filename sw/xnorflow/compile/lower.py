# SPDX-License-Identifier: Apache-2.0
"""Lowering: a layer's weights and thresholds as words of the columns' banks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.compile.plan import LayerPlan
from xnorflow.core.geometry import PIXEL_CHANNELS, Geometry
from xnorflow.core.packing import bits_to_words
from xnorflow.core.program import Unroll

__all__ = ["record_items", "scale_items", "skewed_words", "weight_beats"]


def scale_items(plan: LayerPlan) -> list[int]:
    """Lane scales s_l * t_j, weight plane by weight plane."""
    return [t * s for t in plan.spec.weight_scales for s in plan.lane_scales]


def _resting_words(plan: LayerPlan, bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Resting word of every row in every pass: (tiles * columns, passes, rows).

    ``bits`` are 0/1 of shape (planes, out_channels, kernel height, width, in_channels). Weights of
    rows, columns and channels that do not exist are 0.
    """
    geometry, spec = plan.geometry, plan.spec
    streams, taps = geometry.streams, geometry.taps
    lines, columns, groups = plan.passes_shape
    channels = plan.tiles * geometry.columns
    if plan.planes:
        shape = (spec.planes, channels, lines * streams, columns * taps, PIXEL_CHANNELS)
        window = np.zeros(shape, np.uint8)
        window[tuple(slice(size) for size in bits.shape)] = bits
        split = window.reshape(
            spec.planes, channels, lines, streams, columns, taps, PIXEL_CHANNELS
        ).transpose(1, 0, 2, 4, 3, 5, 6)
        flat = split.reshape(channels, plan.passes, geometry.rows * PIXEL_CHANNELS)
        resting = np.zeros((channels, plan.passes, geometry.rows), np.uint64)
        resting[..., : geometry.planes_per_pass] = bits_to_words(flat, geometry.word_width)
        return resting
    words = bits_to_words(bits, geometry.word_width)  # (planes, out, kh, kw, words)
    across, down, deep = {
        Unroll.KERNEL: (streams, taps, 1),
        Unroll.LINES: (streams, 1, taps),
        Unroll.WORDS: (1, 1, streams * taps),
    }[plan.unroll]
    padded = np.zeros(
        (spec.planes, channels, lines * across, columns * down, groups * deep), np.uint64
    )
    padded[tuple(slice(size) for size in words.shape)] = words
    ordered = padded.reshape(
        spec.planes, channels, lines, across, columns, down, groups, deep
    ).transpose(1, 0, 2, 4, 6, 3, 5, 7)
    return ordered.reshape(channels, plan.passes, geometry.rows)


def weight_beats(plan: LayerPlan, bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Each row's beats, pass after pass: (columns, tiles * passes * weight_load_cycles, rows)."""
    geometry = plan.geometry
    beat, load = geometry.weight_beat, geometry.weight_load_cycles
    words = _resting_words(plan, bits).reshape(plan.tiles, geometry.columns, plan.passes, -1)
    steps = np.arange(load, dtype=np.uint64) * np.uint64(beat)
    mask = np.uint64((1 << beat) - 1)
    beats = words[..., None, :] >> steps[:, None] & mask  # (tiles, columns, passes, load, rows)
    return beats.transpose(1, 0, 2, 3, 4).reshape(geometry.columns, -1, geometry.rows)


def skewed_words(geometry: Geometry, beats: npt.NDArray[np.uint64]) -> npt.NDArray[np.object_]:
    """Bank words (columns, beats + rows - 1) of all layers' beats (columns, beats, rows).

    Row r's weights fall to it r cycles after row 0's, so its beats lie r words later: one word
    holds what all rows take in one cycle.
    """
    columns, count, rows = beats.shape
    items = np.zeros((columns, count + rows - 1), object)
    for row in range(rows):
        items[:, row : row + count] += beats[..., row].astype(object) << (
            row * geometry.weight_beat
        )
    return items


def record_items(
    plan: LayerPlan,
    thresholds: npt.NDArray[np.integer[Any]],
    pool_min: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.object_]:
    """Records of thresholds, (columns, tiles * record_words).

    ``thresholds`` (out_channels, 2^m - 1) rise; ones beyond the accumulators' range are cut to
    it, which changes no code. Channels that do not exist never reach theirs. The unit finds the
    code's bits from the highest on, and a layer with m < max_lanes uses the upper m of them: so
    its thresholds lie ``2^(max_lanes - m)`` apart.
    """
    geometry, spec = plan.geometry, plan.spec
    width = geometry.accumulator_width
    never = geometry.accumulator_limit + 1
    slots = (1 << geometry.max_lanes) - 1
    channels = plan.tiles * geometry.columns
    apart = 1 << (geometry.max_lanes - spec.out_lanes)
    values = np.full((channels, slots), never, np.int64)
    values[: spec.out_channels, apart - 1 :: apart] = np.clip(thresholds, 1 - never, never)
    values -= 1  # what the threshold unit adds to a negated accumulator

    record = np.zeros(channels, object)
    for slot in range(slots):
        record += (values[:, slot] & ((1 << width) - 1)).astype(object) << (slot * width)
    record[: spec.out_channels] += pool_min.astype(object) << (slots * width)
    bus = geometry.rows * geometry.weight_beat
    words = geometry.record_words
    # The record moves into its register from the top, word by word: its last bit arrives last.
    spare = words * bus - geometry.record_bits
    items = np.zeros((channels, words), object)
    for word in range(words):
        items[:, word] = (record << spare) >> (word * bus) & ((1 << bus) - 1)
    by_column = items.reshape(plan.tiles, geometry.columns, words).transpose(1, 0, 2)
    return by_column.reshape(geometry.columns, -1)
