# SPDX-License-Identifier: Apache-2.0
"""The fabric: segments' beats and tokens in, codes and accumulators of a convolution out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, bus_write, geometry_of, popcount, trace
from tests.gateware.records import Record, random_record

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.fabric import Fabric
from xnorflow.gateware.fetch import Fetch
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.pacer import Pacer

PORTS = ("addresses", "codes", "codes_valid", "values", "values_valid")
SCALES = (5, 2)
QUIET = {"beat": {"valid": 0}, "load": {"valid": 0}, "token": {"valid": 0}, "bus": {"valid": 0}}
WIDTH, TAIL = 7, 5


class Convolution:
    """One pass over a line of windows, two lanes: ``streams`` x ``taps`` words, a border of zeros.

    Bank row l * taps ... of the map: line i of lane l lies in the bank row (i + l) mod streams,
    position x in bank column x mod taps, at address lane * slots + x // taps.
    """

    def __init__(self, geometry: Geometry, rng: np.random.Generator) -> None:
        self.geometry = geometry
        streams, taps, pixels = geometry.streams, geometry.taps, geometry.pixels
        real = (1 << TAIL) - 1  # channels beyond the tail hold 0, in map and weights
        self.map = rng.integers(1 << TAIL, size=(pixels, 2, streams, WIDTH)) & real
        shape = (geometry.columns, streams, taps)
        self.weights = rng.integers(1 << TAIL, size=shape) & real
        self.records = [random_record(geometry, rng, 40) for _ in range(geometry.columns)]
        self.outputs = range(-1, WIDTH + 2 - taps)
        self.slots = -(-WIDTH // taps)
        self.record_base = geometry.weight_load_cycles + geometry.rows - 1

    def sum(self, x: int) -> list[int]:
        """Accumulators of the window at ``x``; index column * pixels + pixel."""
        total = np.zeros((self.geometry.columns, self.geometry.pixels), int)
        for (column, line, tap), weight in np.ndenumerate(self.weights):
            if 0 <= x + tap < WIDTH:
                for pixel in range(self.geometry.pixels):
                    for lane, scale in enumerate(SCALES):
                        word = int(self.map[pixel, lane, line, x + tap])
                        matches = TAIL - 2 * popcount(word ^ int(weight))
                        total[column, pixel] += scale * matches
        return total.ravel().tolist()

    def setup(self) -> list[dict[str, Any]]:
        """Weights and thresholds over the bus."""
        geometry, beat = self.geometry, self.geometry.weight_beat
        load, cycles = geometry.weight_load_cycles, []
        for column in range(geometry.columns):
            flat = self.weights[column].ravel()
            items = [0] * self.record_base
            for row, word in enumerate(flat):
                for step in range(load):
                    part = int(word) >> step * beat & ((1 << beat) - 1)
                    items[step + row] |= part << row * beat
            for address, item in enumerate([*items, *self.records[column].words]):
                cycles.append({**QUIET, "bus": bus_write(Target.WEIGHT, column, address, item)})
        return cycles + [QUIET] * (geometry.hops + 5)

    def load(self) -> list[dict[str, Any]]:
        """A load of the weights, with the thresholds' tokens where the issuer has them."""
        geometry = self.geometry
        everything = (1 << geometry.rows) - 1
        window = {"active": everything, "tails": everything, "tail": TAIL}
        window |= {name: 0 for name in ("planes", "border", "fill")}
        offset = Pacer.record_offset(geometry)
        cycles = []
        for step in range(Pacer.spacing_cycles(geometry, records=True)):
            now = {**QUIET, "window": window}
            if step < self.record_base:
                shift = int(step < geometry.weight_load_cycles)
                now["load"] = {"valid": 1, "shift": shift, "address": step}
            if offset <= step < offset + geometry.record_words:
                address = self.record_base + step - offset
                now["token"] = {"valid": 0, "record": 1, "record_address": address}
            cycles.append(now)
        return cycles

    def beats(self) -> list[dict[str, Any]]:
        """Both lanes' lines: a position a cycle."""
        geometry = self.geometry
        streams, taps = geometry.streams, geometry.taps
        cycles = []
        for lane, scale in enumerate(SCALES):
            for x in self.outputs:
                slots = [0] * taps
                for j in range(taps):
                    slots[(x + j) % taps] = (lane * self.slots + (x + j) // taps) % (
                        geometry.activation_depth
                    )
                inside = sum(
                    int(0 <= x + row % taps < WIDTH) << row for row in range(geometry.rows)
                )
                beat = {
                    "valid": 1,
                    "lines": [0] * streams,
                    "slots": slots,
                    "row": lane % streams,
                    "column": x % taps,
                    "inside": inside,
                    "lane": lane,
                }
                token = {"valid": 1, "address": x + 1, "scale": scale}
                token |= {"first": int(lane == 0), "last": int(lane == 1)}
                cycles.append({**QUIET, "beat": beat, "token": token})
        return cycles

    def reads(self) -> list[dict[str, Any]]:
        return [{**QUIET, "token": {"valid": 1, "read": 1, "address": x + 1}} for x in self.outputs]

    def bank_words(self, addresses: list[int]) -> list[list[int]]:
        """What the banks read."""
        geometry = self.geometry
        found = []
        for pixel in range(geometry.pixels):
            words = []
            for bank, address in enumerate(addresses):
                bank_row, bank_column = divmod(bank, geometry.taps)
                lane, slot = divmod(address, self.slots)
                x = slot * geometry.taps + bank_column
                there = lane < 2 and x < WIDTH
                line = (bank_row - lane) % geometry.streams
                words.append(int(self.map[pixel, lane, line, x]) if there else 0xAA)
            found.append(words)
        return found

    def with_banks(
        self, cycles: list[dict[str, Any]]
    ) -> Generator[dict[str, Any], dict[str, Any], None]:
        """The same cycles, with what the banks answer."""
        nothing = self.bank_words([0] * self.geometry.banks)
        under_way = [nothing] * (BlockMemory.latency_cycles - 1)
        words = nothing
        for now in cycles:
            seen = yield {"bank_words": words, **now}
            under_way.append(self.bank_words(seen["addresses"]))
            words = under_way.pop(0)


def codes_of(job: Convolution, x: int) -> list[tuple[int, int]]:
    pixels = job.geometry.pixels
    records = [job.records[index // pixels] for index in range(len(job.records) * pixels)]
    return [(r.code(value), r.pool_min) for r, value in zip(records, job.sum(x), strict=True)]


def shifted(job: Convolution, codes: list[dict[str, int]]) -> list[tuple[int, int]]:
    def record(index: int) -> Record:
        return job.records[index // job.geometry.pixels]

    return [(c["code"] >> record(i).shift, c["pool_min"]) for i, c in enumerate(codes)]


@pytest.mark.parametrize("shape", [*SHAPES, "2x2x4x16,pixels=2"])
def test_convolution(shape: str) -> None:
    """Codes leave together, accumulators hop by hop, each in its cycle, and nothing else does."""
    geometry = geometry_of(shape, weight_depth=64)
    job = Convolution(geometry, np.random.default_rng(240))
    setup, beats, reads = [*job.setup(), *job.load()], job.beats(), job.reads()
    quiet = [QUIET] * SURPLUS_CYCLES
    cycles = [*setup, *beats, *quiet, *reads, *quiet]
    seen = trace(Fabric(geometry), job.with_banks(cycles), *PORTS)

    foot = Fabric.foot_cycles(geometry)
    assert foot == Fetch.latency_cycles + SystolicArray.cycles(geometry)
    late = foot + geometry.hops + Feet.cycles(geometry)
    assert late <= Fabric.flush_cycles(geometry)
    second = len(setup) + len(beats) // 2
    expected = {second + n + late: codes_of(job, x) for n, x in enumerate(job.outputs)}
    found = {c: shifted(job, out["codes"]) for c, out in enumerate(seen) if out["codes_valid"]}
    assert found == expected
    assert len({code for codes in expected.values() for code, _ in codes}) > 1
    begin = len(setup) + len(beats) + len(quiet)
    pixels = geometry.pixels
    values = {
        (begin + n + foot + column // geometry.columns_per_hop + Feet.SUM_CYCLES, column): [
            -value for value in job.sum(x)[column * pixels : (column + 1) * pixels]
        ]
        for n, x in enumerate(job.outputs)
        for column in range(geometry.columns)
    }
    assert values == {
        (cycle, column): out["values"][column * pixels : (column + 1) * pixels]
        for cycle, out in enumerate(seen)
        for column in range(geometry.columns)
        if out["values_valid"] >> column & 1
    }


def test_reset_drops_what_is_under_way() -> None:
    geometry = geometry_of("2x2x3x8", weight_depth=64)
    job = Convolution(geometry, np.random.default_rng(241))
    setup, beats = [*job.setup(), *job.load()], job.beats()
    quiet = [{**QUIET, "rst": 0}] * SURPLUS_CYCLES
    cycles = [*setup, *beats, {**QUIET, "rst": 1}, *quiet, *job.load(), *beats, *quiet]
    seen = trace(Fabric(geometry), job.with_banks(cycles), *PORTS)
    # The second line, which ends the sums, is shorter than the way: no code came before the reset.
    assert len(beats) // 2 < Fabric.foot_cycles(geometry) + Feet.cycles(geometry)
    found = [shifted(job, out["codes"]) for out in seen if out["codes_valid"]]
    assert found == [codes_of(job, x) for x in job.outputs]
