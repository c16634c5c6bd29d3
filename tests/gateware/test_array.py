# SPDX-License-Identifier: Apache-2.0
"""Row skew and systolic array, cycle by cycle, and convolutions on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from tests.gateware.helpers import SHAPES, bus_write, geometry_of, popcount, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.array import RowSkew, SystolicArray
from xnorflow.gateware.weightbank import WeightBank

# 2x2x4x16 loads a word in two beats, 3x3x4x16 in four.
ARRAYS = (*SHAPES, "2x2x4x16", "2x2x4x8,pixels=2", "3x1x2x64,weight_bus=72")
PLANES = ("3x1x4x32", "3x3x2x32", "2x2x4x32,pixels=2")


def number(rng: np.random.Generator, bits: int) -> int:
    return int.from_bytes(rng.bytes(-(-bits // 8)), "little") % (1 << bits)


def random_words(
    geometry: Geometry, rng: np.random.Generator, bits: int | None = None
) -> list[list[int]]:
    """A word for each row, for each pixel stream."""
    bits = geometry.word_width if bits is None else bits
    return [[number(rng, bits) for _ in range(geometry.rows)] for _ in range(geometry.pixels)]


@pytest.mark.parametrize("shape", [*SHAPES, "2x2x4x8,pixels=2"])
def test_skew_delays_each_row_by_its_number(shape: str) -> None:
    geometry = geometry_of(shape)
    rng = np.random.default_rng(11)
    inputs = [
        {
            "words": random_words(geometry, rng),
            "masks": number(rng, geometry.rows),
            "shift": int(rng.integers(2)),
        }
        for _ in range(80)
    ]
    seen = trace(RowSkew(geometry), inputs, "skewed_words", "skewed_masks", "skewed_shifts")
    for row in range(geometry.rows):
        for cycle in range(row, 80):
            then, out = inputs[cycle - row], seen[cycle]
            for pixel in range(geometry.pixels):
                assert out["skewed_words"][pixel][row] == then["words"][pixel][row]
            assert out["skewed_masks"] >> row & 1 == then["masks"] >> row & 1
            assert out["skewed_shifts"] >> row & 1 == then["shift"]


def fill_banks(
    geometry: Geometry, rng: np.random.Generator, bits: int
) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Cycles that write every bank, with foreign writes after them, and what the banks then hold.

    The first load's words give every row a weight below ``1 << bits``.
    """
    beat = geometry.weight_beat

    def item(address: int) -> int:
        first = address < geometry.weight_load_cycles
        size = min(max(bits - address * beat, 0), beat) if first else beat
        return sum(number(rng, size) << row * beat for row in range(geometry.rows))

    banks = [
        [item(address) for address in range(geometry.weight_depth)] for _ in range(geometry.columns)
    ]
    writes = [
        {"bus": bus_write(Target.WEIGHT, column, address, item)}
        for column, bank in enumerate(banks)
        for address, item in enumerate(bank)
    ]
    writes = [writes[index] for index in rng.permutation(len(writes))]
    foreign = [
        {"bus": bus_write(target, column, 3, 0)}
        for target, column in ((Target.SCALE, 0), (Target.LAYER, 1), (Target.WEIGHT, 200))
    ]
    foreign.append({"bus": {**bus_write(Target.WEIGHT, 0, 3, 0), "valid": 0}})
    settle = [{"bus": {"valid": 0}}] * (geometry.hops + 4)
    return [*writes, *foreign, *settle], banks


class ColumnModel:
    """One column: what rests in its rows, and the count of each row in one cycle."""

    def __init__(self, geometry: Geometry, bank: list[int]) -> None:
        self.geometry, self.bank = geometry, bank
        self.weights = [0] * geometry.rows
        self.reads = [0] * WeightBank.latency_cycles  # what the bank will give

    def step(self, now: dict[str, Any]) -> tuple[int, list[list[int]]]:
        """What the bank gives, and each row's count for each pixel stream."""
        geometry = self.geometry
        given = self.reads.pop(0)
        record = now["record"]
        address = record["address"] if record["valid"] else now["load"]["address"]
        self.reads.append(self.bank[address])
        counts = [
            [
                popcount(now["words"][pixel][row] ^ self.weights[row])
                if now["masks"] >> row & 1
                else 0
                for pixel in range(geometry.pixels)
            ]
            for row in range(geometry.rows)
        ]
        beat, width = geometry.weight_beat, geometry.word_width
        for row in range(geometry.rows):
            if now["shifts"] >> row & 1:
                bits = given >> row * beat & ((1 << beat) - 1)
                self.weights[row] = self.weights[row] >> beat | bits << (width - beat)
        return given, counts


def random_cycles(
    geometry: Geometry, rng: np.random.Generator, cycles: int, *, bits: int, rows: int
) -> list[dict[str, Any]]:
    """Words, shifts, bank reads, all at any time; only ``rows`` rows count."""
    depth = geometry.weight_depth
    return [
        {
            "words": random_words(geometry, rng, bits),
            "masks": number(rng, geometry.rows) & ((1 << rows) - 1),
            "shifts": number(rng, geometry.rows) & number(rng, geometry.rows),
            "load": {"valid": 1, "address": int(rng.integers(depth))},
            "record": {"valid": int(rng.random() < 0.2), "address": int(rng.integers(depth))},
        }
        for _ in range(cycles)
    ]


@pytest.mark.parametrize(
    ("shape", "double"), [*((shape, 0) for shape in ARRAYS), *((shape, 1) for shape in PLANES)]
)
def test_array_equals_its_columns(shape: str, double: int) -> None:
    """Every column sees the same words and loads, a cycle later from hop to hop.

    With ``double``, words are windows of pixels: a plane in each row, and sums double.
    """
    geometry = geometry_of(shape)
    rng = np.random.default_rng([30, double])
    rows = geometry.planes_per_pass if double else geometry.rows
    assert rows
    bits = min(geometry.word_width, 3 * geometry.rows) if double else geometry.word_width
    fill, banks = fill_banks(geometry, rng, bits)
    stimulus = random_cycles(geometry, rng, 150, bits=bits, rows=rows)
    # The banks have nothing to give at first. In planes one load must do: windows' bits meet
    # weights that are 0 beyond them.
    late, load = WeightBank.latency_cycles, geometry.weight_load_cycles
    for cycle, now in enumerate(stimulus[: None if double else late]):
        now["shifts"] = ((1 << geometry.rows) - 1) * int(late <= cycle < late + load)
        if cycle < load:
            now["load"]["address"] = cycle
        if cycle < late + load:
            now |= {"masks": 0, "record": {"valid": 0, "address": 0}}
    array = SystolicArray(geometry)
    assert array.latency_cycles == SystolicArray.cycles(geometry)
    seen = trace(array, [*fill, {"double": double}, *stimulus], "sums", "weights")
    seen = seen[len(fill) + 1 :]

    columns, pixels = geometry.columns_per_hop, geometry.pixels
    for column, bank in enumerate(banks):
        hop = column // columns
        model = ColumnModel(geometry, bank)
        counts = []
        for cycle in range(hop, len(stimulus)):
            given, count = model.step(stimulus[cycle - hop])
            if cycle >= hop + WeightBank.latency_cycles:
                assert seen[cycle]["weights"][column] == given, f"cycle {cycle}"
            counts.append(count)
        checked = 0
        for start in range(len(counts) - geometry.rows):
            at = start + hop + array.latency_cycles
            if at >= len(seen) or start < WeightBank.latency_cycles:
                continue
            for pixel in range(pixels):
                total = 0
                for row in range(geometry.rows):
                    total <<= int(double and geometry.doubles(row))
                    total += counts[start + row][row][pixel]
                found = seen[at]["sums"][column * pixels + pixel]
                assert found == total, f"column {column}, beat {start}"
                checked += total > 0
        assert checked > 50  # sums that are not 0 by masks alone


class SkewedArray(wiring.Component):
    """The array behind its skew, as in the accelerator: row 0 shifts as its bank gives."""

    def __init__(self, geometry: Geometry) -> None:
        self.array, self.skew = SystolicArray(geometry), RowSkew(geometry)
        kept = ("words", "masks", "load", "double", "bus", "record", "sums")
        super().__init__({name: self.array.signature.members[name] for name in kept})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array, m.submodules.skew = array, skew = self.array, self.skew
        shift = self.load.shift
        for _ in range(WeightBank.latency_cycles):
            later = Signal()
            m.d.sync += later.eq(shift)
            shift = later
        m.d.comb += [
            skew.words.eq(self.words),
            skew.masks.eq(self.masks),
            skew.shift.eq(shift),
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.shifts.eq(skew.skewed_shifts),
            array.load.eq(self.load),
            array.double.eq(self.double),
            array.record.eq(self.record),
            array.bus.eq(self.bus),
            self.sums.eq(array.sums),
        ]
        return m


def weight_writes(geometry: Geometry, weights: np.ndarray, first: int) -> list[dict[str, Any]]:
    """Cycles that write a pass's weights (column, row), skewed, into the banks from ``first`` on.

    Rows that fall out of the pass's words hold 0.
    """
    beat, load = geometry.weight_beat, geometry.weight_load_cycles
    cycles = []
    for column in range(geometry.columns):
        for step in range(load + geometry.rows - 1):
            item = 0
            for row in range(geometry.rows):
                if 0 <= step - row < load:
                    part = int(weights[column, row]) >> (step - row) * beat & ((1 << beat) - 1)
                    item |= part << row * beat
            cycles.append({"bus": bus_write(Target.WEIGHT, column, first + step, item)})
    return [*cycles, *[{"bus": {"valid": 0}}] * (geometry.hops + 3)]


def loads(geometry: Geometry, first: int) -> list[dict[str, Any]]:
    """Cycles of a load: reads for all rows, shifts for row 0."""
    load = geometry.weight_load_cycles
    return [
        {"load": {"valid": 1, "shift": int(step < load), "address": first + step}}
        for step in range(load + geometry.rows - 1)
    ]


@pytest.mark.parametrize("shape", ["2x1x2x8", "3x3x4x16", "2x2x3x8", "2x2x4x8,pixels=2"])
def test_words_on_the_heels_of_a_load(shape: str) -> None:
    """Two passes: words stream while weights fall row by row, and each meets its pass's.

    A beat's word in row r passes r cycles after row 0's, as its weights do. So the first beat
    after a load's shifts meets the new weights, the one before its first shift the old ones.
    """
    geometry = geometry_of(shape, weight_depth=64)
    rng = np.random.default_rng(40)
    passes = [
        np.array([[number(rng, geometry.word_width) for _ in range(geometry.rows)]
                  for _ in range(geometry.columns)], object)
        for _ in range(2)
    ]  # fmt: skip
    size = geometry.weight_load_cycles + geometry.rows - 1
    setup = [
        now
        for index, weights in enumerate(passes)
        for now in weight_writes(geometry, weights, index * size)
    ]
    everything = (1 << geometry.rows) - 1
    stimulus, beats = list(setup), []
    for index in range(2):
        reads = loads(geometry, index * size)
        # Beats of the pass before stream until row 0's first shift, two cycles into the reads.
        for step in range(geometry.weight_load_cycles + WeightBank.latency_cycles):
            now = dict(reads[step]) if step < len(reads) else {"load": {"valid": 0, "shift": 0}}
            now["masks"] = 0
            if index and step < WeightBank.latency_cycles:
                now |= {"masks": everything, "words": random_words(geometry, rng)}
                beats.append((len(stimulus), index - 1, now["words"]))
            stimulus.append(now)
        for step in range(geometry.weight_load_cycles + WeightBank.latency_cycles, 30):
            now = dict(reads[step]) if step < len(reads) else {"load": {"valid": 0, "shift": 0}}
            now |= {"masks": everything, "words": random_words(geometry, rng)}
            beats.append((len(stimulus), index, now["words"]))
            stimulus.append(now)
    dut = SkewedArray(geometry)
    seen = trace(dut, [*stimulus, *[{"masks": 0}] * 40], "sums")
    for cycle, index, words in beats:
        for column in range(geometry.columns):
            for pixel in range(geometry.pixels):
                total = sum(
                    popcount(words[pixel][row] ^ int(passes[index][column, row]))
                    for row in range(geometry.rows)
                )
                late = dut.array.latency_cycles + column // geometry.columns_per_hop
                found = seen[cycle + late]["sums"][column * geometry.pixels + pixel]
                assert found == total, f"beat {cycle}, pass {index}, column {column}"
    assert {index for _, index, _ in beats} == {0, 1}


def test_reset_empties_the_pipeline_but_not_the_banks() -> None:
    geometry = geometry_of("2x2x3x8", weight_depth=64)
    weights = np.full((geometry.columns, geometry.rows), 0x0F)
    setup = weight_writes(geometry, weights, 0)
    load = [*loads(geometry, 0), {"load": {"valid": 0, "shift": 0}}]
    stream = {"words": [[255] * geometry.rows], "masks": 15}
    quiet = {"rst": 0, "masks": 0}
    inputs = [*setup, *load, *[stream] * 30, {"rst": 1}, *[quiet] * 30, *load, *[stream] * 30]
    sums = [out["sums"] for out in trace(SkewedArray(geometry), inputs, "sums")]
    start = len(setup) + len(load) + 31
    assert sums[start - 2] == [4 * geometry.rows] * geometry.columns
    # What has no reset passes masked.
    assert sums[start + 15 : start + 30] == [[0] * geometry.columns] * 15
    assert sums[-1] == [4 * geometry.rows] * geometry.columns
