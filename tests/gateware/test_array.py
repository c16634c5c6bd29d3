# SPDX-License-Identifier: Apache-2.0
"""Stream skew, column and systolic array, cycle by cycle, and a convolution on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from tests.gateware.helpers import SHAPES, bus_write, geometry_of, popcount, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits
from xnorflow.gateware.array import Column, StreamSkew, SystolicArray

# 2x2x4x16 loads a word in two beats, 3x3x4x16 in four.
ARRAYS = (*SHAPES, "2x2x4x16")


def random_words(geometry: Geometry, rng: np.random.Generator) -> list[int]:
    return [int(word) for word in rng.integers(1 << geometry.word_width, size=geometry.streams)]


@pytest.mark.parametrize("shape", SHAPES)
def test_skew_delays_each_stream_by_its_rows(shape: str) -> None:
    geometry = geometry_of(shape)
    rng = np.random.default_rng(11)
    inputs = [
        {"words": random_words(geometry, rng), "masks": int(rng.integers(1 << geometry.streams))}
        for _ in range(80)
    ]
    seen = trace(StreamSkew(geometry), inputs, "skewed_words", "skewed_masks")
    for stream in range(geometry.streams):
        late = stream * geometry.taps
        for cycle in range(late, 80):
            then, out = inputs[cycle - late], seen[cycle]
            assert out["skewed_words"][stream] == then["words"][stream]
            assert out["skewed_masks"] >> stream & 1 == then["masks"] >> stream & 1


def random_cycles(geometry: Geometry, seed: int, cycles: int) -> list[dict[str, Any]]:
    """Words, weight loads and configuration writes, foreign ones too, all at any time."""
    rng = np.random.default_rng(seed)
    stimulus = []
    for _ in range(cycles):
        kind = Target.WEIGHT if rng.random() < 0.8 else Target.THRESHOLD
        item = int.from_bytes(rng.bytes(8), "little") % (1 << item_bits(geometry, kind))
        column = int(rng.integers(geometry.columns + 1))
        write = bus_write(kind, column, int(rng.integers(geometry.weight_depth)), item)
        stimulus.append(
            {
                "words": random_words(geometry, rng),
                "masks": int(rng.integers(1 << geometry.streams)),
                "load": {
                    "valid": int(rng.random() < 0.3),
                    "address": int(rng.integers(geometry.weight_depth)),
                    "taps": int(rng.integers(1 << geometry.taps)),
                },
                "bus": {**write, "valid": int(rng.random() < 0.7)},
            }
        )
    return stimulus


class ColumnModel:
    """What one column holds, and the mismatches of each of its rows in one cycle."""

    def __init__(self, geometry: Geometry, index: int) -> None:
        self.geometry, self.index = geometry, index
        self.bank = [0] * geometry.weight_depth
        self.weights = [0] * geometry.rows
        self.taps = self.item = self.shift = 0

    def step(self, now: dict[str, Any]) -> list[int]:
        geometry = self.geometry
        counts = []
        for row in range(geometry.rows):
            stream, tap = divmod(row, geometry.taps)
            counted = now["masks"] >> stream & self.taps >> tap & 1
            counts.append(popcount(now["words"][stream] ^ self.weights[row]) if counted else 0)
        if self.shift:
            beat, width = geometry.weight_beat, geometry.word_width
            for row in range(geometry.rows):
                bits = self.item >> row * beat & ((1 << beat) - 1)
                self.weights[row] = self.weights[row] >> beat | bits << (width - beat)
        self.shift = now["load"]["valid"]
        if self.shift:
            self.taps = now["load"]["taps"]
            self.item = self.bank[now["load"]["address"]]
        bus = now["bus"]
        if bus["valid"] and bus["target"] == Target.WEIGHT and bus["column"] == self.index:
            self.bank[bus["address"]] = bus["data"]
        return counts


def column_sums(geometry: Geometry, index: int, stimulus: list[dict[str, Any]]) -> Iterator[int]:
    """Sums of a column, the first when its row 0's first word has fallen through."""
    model = ColumnModel(geometry, index)
    counts = [model.step(now) for now in stimulus]
    for start in range(len(counts) - geometry.rows):
        yield sum(counts[start + row][row] for row in range(geometry.rows))


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("shape", ARRAYS)
def test_column(shape: str, index: int) -> None:
    geometry = geometry_of(shape)
    stimulus = random_cycles(geometry, 20 + index, 200)
    seen = trace(Column(geometry, index=index), stimulus, "sum")
    latency = geometry.rows + geometry.word_width.bit_length() - 1
    for at, total in enumerate(column_sums(geometry, index, stimulus)):
        if at + latency < len(seen):
            assert seen[at + latency]["sum"] == total, f"cycle {at + latency}"


@pytest.mark.parametrize("shape", ARRAYS)
def test_array_equals_its_columns(shape: str) -> None:
    """Every column sees the same words, loads and writes, a cycle later from hop to hop."""
    geometry = geometry_of(shape)
    stimulus = random_cycles(geometry, 30, 200)
    array = SystolicArray(geometry)
    seen = trace(array, stimulus, "sums")
    assert array.latency_cycles == SystolicArray.cycles(geometry)
    for index in range(geometry.columns):
        late = array.latency_cycles + index // geometry.columns_per_hop
        checked = 0
        for at, total in enumerate(column_sums(geometry, index, stimulus)):
            if at + late < len(seen):
                assert seen[at + late]["sums"][index] == total, f"column {index}, beat {at}"
                checked += total > 0
        assert checked > 50  # sums that are not 0 by masks alone


class SkewedArray(wiring.Component):
    """The array behind its skew, as in the accelerator."""

    def __init__(self, geometry: Geometry) -> None:
        self.array, self.skew = SystolicArray(geometry), StreamSkew(geometry)
        members = dict(self.array.signature.members.items())
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array, m.submodules.skew = array, skew = self.array, self.skew
        m.d.comb += [
            skew.words.eq(self.words),
            skew.masks.eq(self.masks),
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.load.eq(self.load),
            array.bus.eq(self.bus),
            self.sums.eq(array.sums),
        ]
        return m


def load_weights(geometry: Geometry, weights: np.ndarray, taps: int) -> list[dict[str, Any]]:
    """Cycles that write a pass's weights (column, row) into the banks and bring them to rest."""
    beat, cycles = geometry.weight_beat, []
    for column in range(geometry.columns):
        for step in range(geometry.weight_load_cycles):
            item = sum(
                (int(weights[column, row]) >> step * beat & ((1 << beat) - 1)) << row * beat
                for row in range(geometry.rows)
            )
            cycles.append({"bus": bus_write(Target.WEIGHT, column, step, item)})
    cycles.append({"bus": {"valid": 0}})
    for step in range(geometry.weight_load_cycles):
        cycles.append({"load": {"valid": 1, "address": step, "taps": taps}})
    return cycles


@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_with_zero_padding(shape: str) -> None:
    """A kernel of streams x taps slides over a padded map: each sum is one output's mismatches."""
    geometry = geometry_of(shape)
    streams, taps = geometry.streams, geometry.taps
    rng = np.random.default_rng(40)
    height, width, pad = 5, 9, 1
    image = rng.integers(1 << geometry.word_width, size=(height, width))
    weights = rng.integers(1 << geometry.word_width, size=(geometry.columns, geometry.rows))
    setup = load_weights(geometry, weights, (1 << taps) - 1)

    stimulus, outputs = list(setup), []
    for top in range(-pad, height + pad - streams + 1):
        for x in range(-pad, width + pad):
            if x + taps <= width + pad:
                outputs.append((len(stimulus), top, x))
            lines = [top + stream for stream in range(streams)]
            inside = [0 <= y < height and 0 <= x < width for y in lines]
            stimulus.append(
                {
                    "load": {"valid": 0},
                    "words": [int(image[y, x]) if ok else int(rng.integers(8))
                              for y, ok in zip(lines, inside, strict=True)],
                    "masks": sum(ok << stream for stream, ok in enumerate(inside)),
                }
            )  # fmt: skip
    array = SkewedArray(geometry)
    seen = trace(array, [*stimulus, *[{}] * 40], "sums")
    for cycle, top, left in outputs:
        for column in range(geometry.columns):
            total = 0
            for row in range(geometry.rows):
                y, x = top + row // taps, left + row % taps
                if 0 <= y < height and 0 <= x < width:
                    total += popcount(int(image[y, x]) ^ int(weights[column, row]))
            late = array.array.latency_cycles + column // geometry.columns_per_hop
            assert seen[cycle + late]["sums"][column] == total, (top, left, column)


def test_taps_that_a_pass_does_not_use_count_nothing() -> None:
    geometry = geometry_of("2x2x3x8")
    weights = np.zeros((geometry.columns, geometry.rows), int)
    setup = load_weights(geometry, weights, 0b01)
    words = [{"load": {"valid": 0}, "words": [255] * 2, "masks": 3}] * 40
    seen = trace(SkewedArray(geometry), [*setup, *words], "sums")
    assert seen[-1]["sums"] == [8 * geometry.streams] * geometry.columns


def test_reset_empties_the_pipeline_but_not_the_banks() -> None:
    geometry = geometry_of("2x2x3x8")
    weights = np.full((geometry.columns, geometry.rows), 0x0F)
    setup = load_weights(geometry, weights, 0b11)
    stream = {"load": {"valid": 0}, "words": [255] * 2, "masks": 3}
    quiet = {"rst": 0, "masks": 0}
    again = setup[-geometry.weight_load_cycles :]
    inputs = [*setup, *[stream] * 30, {"rst": 1}, *[quiet] * 30, *again, *[stream] * 30]
    sums = [out["sums"] for out in trace(SkewedArray(geometry), inputs, "sums")]
    start = len(setup) + 31
    assert sums[start - 2] == [4 * geometry.rows] * geometry.columns
    assert sums[start : start + 30] == [[0] * geometry.columns] * 30
    assert sums[-1] == [4 * geometry.rows] * geometry.columns
