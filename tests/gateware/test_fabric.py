# SPDX-License-Identifier: Apache-2.0
"""The fabric: beats and tokens in, codes and accumulators of a convolution out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, bus_write, geometry_of, popcount, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.banks import Fetch
from xnorflow.gateware.fabric import Fabric
from xnorflow.gateware.foot import Foot

PORTS = ("addresses", "codes", "codes_valid", "values", "values_valid")
SCALES = (5, 2)
QUIET = {"beat": {"mask": 0}, "load": {"valid": 0}, "token": {"valid": 0}, "bus": {"valid": 0}}
WIDTH, TAIL = 7, 5


class Convolution:
    """One pass over lines of two lanes: a window of streams x taps words, zero padding of one."""

    def __init__(self, geometry: Geometry, rng: np.random.Generator) -> None:
        self.geometry = geometry
        streams = geometry.streams
        real = (1 << TAIL) - 1  # channels beyond the tail hold 0, in map and weights
        # Bank b holds the lines of stream b, lane after lane.
        self.map = rng.integers(1 << geometry.word_width, size=(streams, 2, WIDTH)) & real
        shape = (geometry.columns, streams, geometry.taps)
        self.weights = rng.integers(1 << geometry.word_width, size=shape) & real
        self.thresholds = rng.integers(-30, 30, size=geometry.columns)
        self.outputs = range(-1, WIDTH + 2 - geometry.taps)

    def sum(self, x: int) -> np.ndarray:
        """Accumulators of the window at ``x``, one a column."""
        geometry = self.geometry
        total = np.zeros(geometry.columns, int)
        for (column, stream, tap), weight in np.ndenumerate(self.weights):
            if 0 <= x + tap < WIDTH:
                for lane, scale in enumerate(SCALES):
                    word = int(self.map[stream, lane, x + tap])
                    total[column] += scale * (TAIL - 2 * popcount(word ^ int(weight)))
        return total

    def setup(self) -> list[dict[str, Any]]:
        """Weights and thresholds over the bus, then the weight load."""
        geometry, beat = self.geometry, self.geometry.weight_beat
        cycles = []
        for column in range(geometry.columns):
            flat = self.weights[column].ravel()
            for step in range(geometry.weight_load_cycles):
                item = sum((int(word) >> step * beat & ((1 << beat) - 1)) << row * beat
                           for row, word in enumerate(flat))  # fmt: skip
                cycles.append({**QUIET, "bus": bus_write(Target.WEIGHT, column, step, item)})
            item = int(self.thresholds[column]) & ((1 << geometry.accumulator_width) - 1)
            write = bus_write(Target.THRESHOLD, column, 1, item)
            cycles.append({**QUIET, "bus": write})
        cycles += [QUIET] * 5
        for step in range(geometry.weight_load_cycles):
            load = {"valid": 1, "address": step, "taps": (1 << geometry.taps) - 1}
            cycles.append({**QUIET, "load": load, "tails": (1 << geometry.streams) - 1})
        return cycles

    def beats(self) -> list[dict[str, Any]]:
        """Both lanes' lines; a token where a window begins."""
        geometry = self.geometry
        every = (1 << geometry.streams) - 1
        cycles = []
        for lane, scale in enumerate(SCALES):
            for x in range(-1, WIDTH + 1):
                inside = every if 0 <= x < WIDTH else 0
                address = (lane * WIDTH + x) % geometry.activation_depth
                beat = {
                    "addresses": [address] * geometry.streams,
                    "mask": inside,
                    "inside": inside,
                    "tails": every,
                }
                token = {"valid": int(x in self.outputs), "address": x + 1, "scale": scale}
                token |= {"first": int(lane == 0), "last": int(lane == 1)}
                cycles.append({**QUIET, "beat": beat, "token": token})
        return cycles

    def reads(self) -> list[dict[str, Any]]:
        return [{**QUIET, "token": {"valid": 1, "read": 1, "address": x + 1}} for x in self.outputs]

    def with_banks(
        self, cycles: list[dict[str, Any]]
    ) -> Generator[dict[str, Any], dict[str, Any], None]:
        """The same cycles, with what the banks answer to the addresses of the cycle before."""
        words = [0] * self.geometry.streams
        flat = self.map.reshape(self.geometry.streams, -1)
        for now in cycles:
            seen = yield {"tail": TAIL, "bank_words": words, **now}
            words = [
                int(flat[bank, address]) if address < flat.shape[1] else 0
                for bank, address in enumerate(seen["addresses"])
            ]


@pytest.mark.parametrize("shape", [*SHAPES, "2x2x4x16"])
def test_convolution(shape: str) -> None:
    """Codes leave together, accumulators hop by hop, each in its cycle, and nothing else does."""
    geometry = geometry_of(shape)
    job = Convolution(geometry, np.random.default_rng(240))
    setup, beats, reads = job.setup(), job.beats(), job.reads()
    quiet = [QUIET] * SURPLUS_CYCLES
    cycles = [*setup, *beats, *quiet, *reads, *quiet]
    seen = trace(Fabric(geometry), job.with_banks(cycles), *PORTS)

    foot = Fabric.foot_cycles(geometry)
    assert foot == Fetch.latency_cycles + SystolicArray.cycles(geometry)
    late = foot + geometry.hops - 1 + Foot.cycles(geometry)
    assert late <= Fabric.flush_cycles(geometry)
    second = len(setup) + len(beats) // 2
    expected = {
        second + number + late: (job.sum(x) >= job.thresholds).astype(int).tolist()
        for number, x in enumerate(job.outputs)
    }
    shift = geometry.max_lanes - 1
    assert expected == {
        cycle: [out["code"] >> shift for out in seen[cycle]["codes"]]
        for cycle in range(len(seen))
        if seen[cycle]["codes_valid"]
    }
    begin = len(setup) + len(beats) + len(quiet)
    values = {
        (begin + number + foot + column // geometry.columns_per_hop + Foot.SUM_CYCLES, column): int(
            job.sum(x)[column]
        )
        for number, x in enumerate(job.outputs)
        for column in range(geometry.columns)
    }
    assert values == {
        (cycle, column): out["values"][column]
        for cycle, out in enumerate(seen)
        for column in range(geometry.columns)
        if out["values_valid"] >> column & 1
    }


def test_reset_drops_what_is_under_way() -> None:
    geometry = geometry_of("2x2x3x8")
    job = Convolution(geometry, np.random.default_rng(241))
    setup, beats = job.setup(), job.beats()
    quiet = [{**QUIET, "rst": 0}] * SURPLUS_CYCLES
    load = setup[-geometry.weight_load_cycles :]
    cycles = [*setup, *beats, {**QUIET, "rst": 1}, *quiet, *load, *beats, *quiet]
    seen = trace(Fabric(geometry), job.with_banks(cycles), *PORTS)
    # The second line, which ends the sums, is shorter than the way: no code came before the reset.
    assert len(beats) // 2 < Fabric.foot_cycles(geometry) + Foot.cycles(geometry)
    found = [
        [code["code"] >> (geometry.max_lanes - 1) for code in out["codes"]]
        for out in seen[len(setup) + len(beats) :]
        if out["codes_valid"]
    ]
    assert found == [(job.sum(x) >= job.thresholds).astype(int).tolist() for x in job.outputs]
