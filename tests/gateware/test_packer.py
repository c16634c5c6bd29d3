# SPDX-License-Identifier: Apache-2.0
"""The packer: a tile's codes as bits of the words that it touches."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.packer import Packer

PORTS = ("done", "writes")


def random_result(geometry: Geometry, rng: np.random.Generator) -> dict[str, Any]:
    """Codes, their place, and the row's fields that say how they are written."""
    width, granule = geometry.word_width, geometry.granule
    word = int(rng.integers(3))
    return {
        "codes": rng.integers(1 << geometry.max_lanes, size=geometry.columns).tolist(),
        "address": int(rng.integers(20)),
        "rotation": int(rng.integers(geometry.streams)),
        "word": word,
        "offset": int(rng.integers(width // granule)) * granule,
        "row": {
            "out_word_last": word + int(rng.integers(4)),
            "out_lane_last": int(rng.integers(geometry.max_lanes)),
            "out_lane_stride": int(rng.integers(1, 4)),
            "out_word_stride": int(rng.integers(4, 9)),
        },
    }


def expected_writes(geometry: Geometry, now: dict[str, Any]) -> list[dict[int, dict[str, int]]]:
    """Each cycle's writes by bank."""
    width, streams, granule = geometry.word_width, geometry.streams, geometry.granule
    row, first = now["row"], now["offset"]
    end = first + geometry.columns
    words = min(-(-end // width), row["out_word_last"] - now["word"] + 1)
    cycles = []
    for word in range(words):
        enable = sum(1 << g for g in range(width // granule) if word * width + g * granule >= first)
        for start in range(0, row["out_lane_last"] + 1, streams):
            writes = {}
            for lane in range(start, min(start + streams, row["out_lane_last"] + 1)):
                bits = 0
                for bit in range(width):
                    column = word * width + bit - first
                    if 0 <= column < geometry.columns:
                        code = now["codes"][column]
                        bits |= (code >> (geometry.max_lanes - 1 - lane) & 1) << bit
                address = now["address"] + word * row["out_word_stride"]
                address += lane * row["out_lane_stride"]
                bank = (now["rotation"] + word + lane) % streams
                writes[bank] = {"enable": enable, "address": address, "data": bits}
            cycles.append(writes)
    return cycles


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("shape", [*SHAPES, "2x1x24x8", "2x1x5x16"])
def test_writes_each_result_once(shape: str, idle: float) -> None:
    """Result after result, the next one in the cycle in which the last is done, or later."""
    geometry = geometry_of(shape)
    rng = np.random.default_rng(210)
    results = [random_result(geometry, rng) for _ in range(80)]
    arrivals: list[int] = []

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        cycle, place = 0, {}
        for now in results:
            while rng.random() < idle:
                yield {"valid": 0, "codes": [0] * geometry.columns}
                cycle += 1
            arrivals.append(cycle)
            # Codes come with valid; the walk has moved on to their place a cycle later.
            seen = yield {**place, "valid": 1, "codes": now["codes"]}
            cycle += 1
            place = {name: now[name] for name in ("address", "rotation", "word", "offset", "row")}
            length = len(expected_writes(geometry, now))
            for left in range(length - 1, -1 if idle else 0, -1):
                seen = yield {**place, "valid": 0}
                assert seen["done"] == (left == 0)
                cycle += 1
        for _ in range(SURPLUS_CYCLES):
            yield {**place, "valid": 0}

    seen = trace(Packer(geometry), stimulus(), *PORTS)
    expected: dict[tuple[int, int], dict[str, int]] = {}
    for arrival, now in zip(arrivals, results, strict=True):
        # Held from the next cycle on, and registered.
        for late, writes in enumerate(expected_writes(geometry, now)):
            expected |= {(arrival + 2 + late, bank): write for bank, write in writes.items()}
    found = {
        (cycle, bank): write
        for cycle, out in enumerate(seen)
        for bank, write in enumerate(out["writes"])
        if write["enable"]
    }
    assert found == expected
    assert sum(out["done"] for out in seen) == len(results)


def test_reset_in_mid_result() -> None:
    geometry = geometry_of("2x1x24x8")
    now = random_result(geometry, np.random.default_rng(211))
    now["row"] = {**now["row"], "out_word_last": 9, "out_lane_last": 2}
    begin = {**now, "valid": 1}
    quiet = {"rst": 0, "valid": 0}
    stimulus = [begin, quiet, quiet, {**quiet, "rst": 1}, *[quiet] * 50, begin, *[quiet] * 50]
    seen = trace(Packer(geometry), stimulus, *PORTS)
    assert not any(write["enable"] for out in seen[4:55] for write in out["writes"])
    count = sum(bool(write["enable"]) for out in seen[55:] for write in out["writes"])
    assert count == sum(len(writes) for writes in expected_writes(geometry, now))
