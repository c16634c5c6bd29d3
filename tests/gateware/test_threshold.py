# SPDX-License-Identifier: Apache-2.0
"""The threshold unit against counting: code = thresholds that the accumulator reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace
from tests.gateware.records import Record, random_record

from xnorflow.gateware.threshold import ThresholdUnit


def values_around(record: Record, rng: np.random.Generator) -> list[int]:
    """Every threshold, its neighbours, the accumulator's extremes, any; in any order."""
    limit = record.geometry.accumulator_limit
    around = {t + step for t in record.thresholds for step in (-1, 0, 1)}
    around |= {-limit, 1 - limit, -1, 0, limit, *rng.integers(-limit, limit, 5).tolist()}
    values = [value for value in around if abs(value) <= limit]
    return [values[index] for index in rng.permutation(len(values))]


# Records of many words, of some, of a part of one.
@pytest.mark.parametrize(
    "shape", ["2x1x4x8", "3x3x4x16", "2x2x2x64,weight_bus=256", "2x2x4x8,pixels=2"]
)
@pytest.mark.parametrize(("max_lanes", "width"), [(1, 12), (2, 24), (3, 32), (3, 17)])
def test_codes_count_the_thresholds_reached(shape: str, max_lanes: int, width: int) -> None:
    """Tile after tile as close as may be, a value a cycle, then gaps in words and values."""
    geometry = geometry_of(f"{shape},max_lanes={max_lanes},accumulator_width={width}")
    rng = np.random.default_rng([60, max_lanes, width])
    unit = ThresholdUnit(geometry)
    pixels = range(geometry.pixels)
    stimulus: list[dict[str, Any]] = []
    expected: dict[int, tuple[Record, list[int]]] = {}
    for idle in (0.0, 0.0, 0.5, 0.5, 0.0):
        record = random_record(geometry, rng)
        if stimulus:  # the last value is still searched for
            stimulus += [{"record_valid": 0}] * (unit.latency_cycles - 1)
        for word in record.words:
            while rng.random() < idle:
                noise = int.from_bytes(rng.bytes(4), "little") % (1 << len(unit.record))
                stimulus.append({"record": noise, "record_valid": 0})
            stimulus.append({"record": word, "record_valid": 1})
        for value in values_around(record, rng):
            row = [value, *rng.integers(-9, 9, geometry.pixels - 1).tolist()]
            expected[len(stimulus)] = (record, row)
            stimulus.append({"values": [-value for value in row], "record_valid": 0})
    stimulus += [{}] * SURPLUS_CYCLES
    seen = trace(unit, stimulus, "codes")
    for cycle, (record, values) in expected.items():
        for pixel in pixels:
            out = seen[cycle + unit.latency_cycles]["codes"][pixel]
            where = f"cycle {cycle}: {values[pixel]} among {record.thresholds}"
            assert out["code"] >> record.shift == record.code(values[pixel]), where
            assert out["pool_min"] == record.pool_min, where
    assert unit.latency_cycles == ThresholdUnit.cycles(geometry) == max_lanes


def test_every_value_of_a_narrow_accumulator() -> None:
    geometry = geometry_of("2x1x4x8", max_lanes=3, accumulator_width=12)
    limit = geometry.accumulator_limit
    record = Record(geometry, [-limit, -700, -1, 0, 1, 700, limit + 1], 1, [0] * 7)
    load = [{"record": word, "record_valid": 1} for word in record.words]
    values = list(range(-limit, limit + 1))
    inputs = [{"values": [-value], "record_valid": 0} for value in values]
    unit = ThresholdUnit(geometry)
    seen = trace(unit, [*load, *inputs, *[{}] * unit.latency_cycles], "codes")
    codes = [out["codes"][0]["code"] for out in seen[len(load) + unit.latency_cycles :]]
    assert codes == [record.code(value) for value in values]
