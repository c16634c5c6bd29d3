# SPDX-License-Identifier: Apache-2.0
"""A row of processing elements against a few lines of Python, in both forms."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth import Module
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from tests.gateware.carry import add_cells, add_two_outputs
from tests.gateware.helpers import popcount, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware import chains, compressor, target
from xnorflow.gateware import element as element_module
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.resting import windowed_loads
from xnorflow.gateware.target import Target

FORMS = ("portable", "ice40", "chained", "compressed")

# Shape and row: every word width; loads of 1, 2, 4, 8 and 16 beats; 1, 2 and 4 columns a hop;
# sums that double; several pixel streams; registers at every level.
CASES = (
    ("2x1x2x8", 1),
    ("3x1x3x8,weight_bus=72", 2),
    ("2x2x4x16,pixels=2", 3),
    ("3x3x4x32", 0),
    ("3x3x2x32,weight_bus=288", 8),
    ("3x3x4x64", 3),
    ("3x3x2x64,weight_bus=72", 7),
    ("3x3x2x64,weight_bus=144", 8),
    ("3x3x3x64,weight_bus=288", 0),
    ("2x2x2x64,weight_bus=256,pixels=2", 2),
    ("3x1x3x8,popcount_levels=1", 2),
    ("3x3x4x16,popcount_levels=1", 3),
    ("3x3x4x32,pixels=2,popcount_levels=1", 8),
    ("3x3x4x64,popcount_levels=1", 7),
    ("3x3x3x64,weight_bus=288,popcount_levels=1", 0),
)


@pytest.fixture(autouse=True)
def _model_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families whose cells can be simulated; other tests prove that they are the real ones."""
    for families in ("FAMILIES", "CELLS"):
        known = getattr(target, families)
        monkeypatch.setattr(target, families, (*known, "chained", "compressed"))
    monkeypatch.setitem(chains._CHAINS, "chained", add_cells)
    monkeypatch.setitem(chains._CHAINS, "compressed", add_cells)
    monkeypatch.setattr(element_module, "TWO_OUTPUTS", ("compressed",))
    monkeypatch.setattr(compressor, "two_outputs", add_two_outputs)
    monkeypatch.setattr(element_module, "carried_out", lambda m, total, platform: total)


class Row(wiring.Component):
    """The row of elements in one form, behind what the array makes of a load."""

    def __init__(self, geometry: Geometry, row: int, form: str) -> None:
        self.row, self.form = ElementRow(geometry, row=row), form
        members = self.row.signature.members
        super().__init__({"load": In(1)} | {name: members[name] for name in members})

    @property
    def latency_cycles(self) -> int:
        return self.row.latency_cycles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        target = Target(self.form)
        row = self.row
        m.submodules.row = Fragment.get(row, target)
        windows = row.load_windows(row.geometry)
        m.d.comb += row.loads.eq(windowed_loads(m, self.load, windows, name="row"))
        for name in ("words", "idle", "weights", "double", "sums_in"):
            m.d.comb += getattr(row, name).eq(getattr(self, name))
        m.d.comb += self.sums_out.eq(row.sums_out)
        return m


class Stimulus:
    """Words without a gap, a third of them idle; now and then a load, its words idle."""

    def __init__(self, geometry: Geometry, row: int, seed: int, *, double: int = 0) -> None:
        self.geometry, self.row, self.double = geometry, row, double
        self.rng = random.Random(seed)
        self.cycles: list[dict[str, Any]] = []
        self.resting = [[0] * geometry.columns_per_hop]
        """Weights that each cycle's words meet."""

    def run(self, cycles: int) -> None:
        for _ in range(cycles):
            self._cycle(load=0)
            self.resting.append(self.resting[-1])

    def load(self, weights: list[int] | None = None) -> None:
        geometry, rng = self.geometry, self.rng
        columns, beat = geometry.columns_per_hop, geometry.weight_beat
        new = weights or [rng.getrandbits(geometry.word_width) for _ in range(columns)]
        for cycle in range(geometry.weight_load_cycles):
            self._cycle(load=1, masked=cycle > 0)
            self.cycles[-1]["weights"] = [
                word >> (beat * cycle) & ((1 << beat) - 1) for word in new
            ]
            self.resting.append(self.resting[-1])
        self.resting[-1] = new

    def _cycle(self, *, load: int, masked: bool = False) -> None:
        geometry, rng = self.geometry, self.rng
        doubles = geometry.doubles(self.row)
        most = geometry.sum_bound if doubles else geometry.count_bound
        bound = most(self.row - 1) if self.row else 0
        if self.double:
            bound = min(bound, (geometry.sum_bound(self.row) - geometry.word_width) // 2)
        lanes = geometry.columns_per_hop * geometry.pixels
        masks = [rng.random() < 0.67 and not masked for _ in range(geometry.pixels)]
        self.cycles.append(
            {
                "words": [rng.getrandbits(geometry.word_width) for _ in range(geometry.pixels)],
                "idle": sum((not mask) << pixel for pixel, mask in enumerate(masks)),
                "load": load,
                "double": self.double,
                "weights": [
                    rng.getrandbits(geometry.weight_beat) for _ in range(geometry.columns_per_hop)
                ],
                "sums_in": [rng.randint(0, bound) for _ in range(lanes)],
            }
        )

    def expected(self, latency: int) -> list[list[int] | None]:
        """``sums_out`` of each cycle; None before the first word can have come through."""
        geometry = self.geometry
        sums: list[list[int] | None] = [None] * latency
        for at in range(latency, len(self.cycles)):
            then, before = self.cycles[at - latency], self.cycles[at - 1]
            row_sums = []
            for column in range(geometry.columns_per_hop):
                for pixel in range(geometry.pixels):
                    differ = then["words"][pixel] ^ self.resting[at - latency][column]
                    count = 0 if then["idle"] >> pixel & 1 else popcount(differ)
                    above = before["sums_in"][column * geometry.pixels + pixel] if self.row else 0
                    row_sums.append((above << self.double) + count)
            sums.append(row_sums)
        return sums


def check(geometry: Geometry, row: int, form: str, stimulus: Stimulus) -> None:
    dut = Row(geometry, row, form)
    seen = trace(dut, stimulus.cycles, "sums_out")
    expected = stimulus.expected(dut.latency_cycles)
    for cycle, (out, sums) in enumerate(zip(seen, expected, strict=True)):
        assert sums is None or out["sums_out"] == sums, f"cycle {cycle}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("shape", "row"), CASES)
def test_counts_mismatches_every_cycle(shape: str, row: int, form: str) -> None:
    """Loads one cycle apart and further, words on both sides of each."""
    geometry = Geometry.parse(shape)
    stimulus = Stimulus(geometry, row, seed=1)
    stimulus.run(5)
    for gap in (20, 1, 2, 9, 20):
        stimulus.load()
        stimulus.run(gap)
    check(geometry, row, form, stimulus)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row", [1, 4, 7])
def test_sums_from_above_count_twice(row: int, form: str) -> None:
    geometry = Geometry.parse("3x3x2x64")
    assert geometry.doubles(row)
    stimulus = Stimulus(geometry, row, seed=2, double=1)
    stimulus.load()
    stimulus.run(40)
    check(geometry, row, form, stimulus)


@pytest.mark.parametrize("form", FORMS)
def test_double_means_nothing_elsewhere(form: str) -> None:
    geometry = Geometry.parse("3x3x2x64")
    assert not geometry.doubles(8)
    stimulus = Stimulus(geometry, 8, seed=3)
    stimulus.run(30)
    for cycle in stimulus.cycles:
        cycle["double"] = 1
    check(geometry, 8, form, stimulus)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("shape", "row"), CASES)
def test_latency_and_largest_sum(shape: str, row: int, form: str) -> None:
    """One word that mismatches in every bit, on top of rows that all do: seen once, in time."""
    geometry = Geometry.parse(shape)
    dut = Row(geometry, row, form)
    lanes = geometry.columns_per_hop * geometry.pixels
    word = geometry.word_width
    most = geometry.sum_bound if geometry.doubles(row) else geometry.count_bound
    above = min(most(row) - word, most(row - 1)) if row else 0
    ones = [(1 << word) - 1] * geometry.pixels
    inputs = [
        {
            "words": ones,
            "idle": (cycle != 5) * ((1 << geometry.pixels) - 1),
            "sums_in": [above] * lanes,
        }
        for cycle in range(140)
    ]
    sums = [out["sums_out"] for out in trace(dut, inputs, "sums_out")]
    assert dut.latency_cycles == geometry.popcount_cycles + 1
    highest = [above + word] * lanes
    assert [at for at, each in enumerate(sums) if each == highest] == [5 + dut.latency_cycles]
    # Registers without a reset start at 0 in simulation.
    assert all(each == [above] * lanes for each in sums[2 : 5 + dut.latency_cycles])
    assert all(each == [above] * lanes for each in sums[6 + dut.latency_cycles :])


@pytest.mark.parametrize("form", FORMS)
def test_doubled_sums_pass_a_row_that_does_not_double(form: str) -> None:
    geometry = Geometry.parse("3x3x2x64")
    assert geometry.sum_bound(8) > 4 * geometry.count_bound(8)
    stimulus = Stimulus(geometry, 8, seed=5)
    stimulus.run(20)
    rng = random.Random(6)
    for cycle in stimulus.cycles:
        cycle["idle"] = 1
        cycle["sums_in"] = [rng.randint(0, geometry.sum_bound(8)) for _ in range(2)]
    check(geometry, 8, form, stimulus)


@pytest.mark.parametrize("form", FORMS)
def test_weights_rest_until_a_whole_load(form: str) -> None:
    geometry = Geometry.parse("3x3x4x16")
    old, new = [0xA5C3, 0x0F69, 0xFFFF, 0x0001], [0x0F69, 0x0000, 0x1234, 0xFFFE]
    stimulus = Stimulus(geometry, 0, seed=4)
    stimulus.load(old)
    stimulus.run(20)
    stimulus.load(new)
    stimulus.run(20)
    for at, cycle in enumerate(stimulus.cycles):
        cycle["words"] = [old[1]]
        cycle["idle"] = cycle["idle"] if cycle["load"] else 0
        cycle["sums_in"] = [0] * 4
        assert at < 100
    dut = Row(geometry, 0, form)
    sums = [out["sums_out"] for out in trace(dut, stimulus.cycles, "sums_out")]
    assert sums[23] == [popcount(weights ^ old[1]) for weights in old]
    assert sums[-1] == [popcount(weights ^ old[1]) for weights in new]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_row_outside_the_array() -> None:
    with pytest.raises(ValueError, match="row must be from 0 to 8, not 9"):
        ElementRow(Geometry.parse("3x3x4x16"), row=9)


def test_unknown_family() -> None:
    with pytest.raises(ValueError, match=r"family must be one of .* not 'spartan'"):
        Target("spartan")
