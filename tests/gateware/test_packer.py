# SPDX-License-Identifier: Apache-2.0
"""The packer: a tile's codes as bits of the words that it touches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.packer import Packer

PORTS = ("active", "done", "writes")
Writes = dict[int, dict[str, Any]]


def random_result(geometry: Geometry, rng: np.random.Generator) -> dict[str, Any]:
    """Codes, their place, and the row's fields that say how they are written."""
    width, columns = geometry.word_width, geometry.columns
    word, offset = divmod(int(rng.integers(5)) * columns, width)
    count = columns * geometry.pixels
    return {
        "codes": rng.integers(1 << geometry.max_lanes, size=count).tolist(),
        "place": {
            "address": int(rng.integers(20)),
            "row": int(rng.integers(geometry.streams)),
            "column": int(rng.integers(geometry.taps)),
            "word": word,
            "word_column": word % geometry.taps,
            "granule": offset // geometry.granule,
            "end": 0,
        },
        "row": {
            "out_word_last": word + int(rng.integers(4)),
            "out_lane_last": int(rng.integers(geometry.max_lanes)),
            "out_lane_stride": int(rng.integers(1, 4)),
            "out_word_stride": int(rng.integers(4, 9)),
        },
    }


def plane(geometry: Geometry, now: dict[str, Any], word: int, lane: int, pixel: int) -> int:
    """A lane of one of the words that the tile touches."""
    bits = 0
    for bit in range(geometry.word_width):
        column = word * geometry.word_width + bit - now["place"]["granule"] * geometry.granule
        if 0 <= column < geometry.columns:
            code = now["codes"][column * geometry.pixels + pixel]
            bits |= (code >> (geometry.max_lanes - 1 - lane) & 1) << bit
    return bits


def expected_writes(geometry: Geometry, now: dict[str, Any]) -> list[Writes]:
    """Each cycle's writes by bank: which bits of the word are written, and their values."""
    width, streams, taps = geometry.word_width, geometry.streams, geometry.taps
    row, place = now["row"], now["place"]
    first = place["granule"] * geometry.granule
    words = min(-(-(first + geometry.columns) // width), row["out_word_last"] - place["word"] + 1)
    cycles = []
    for begin in range(0, words, geometry.write_words):
        for start in range(0, row["out_lane_last"] + 1, streams):
            writes: Writes = {}
            for word in range(begin, min(begin + geometry.write_words, words)):
                written = (1 << width) - 1 & (~0 if word else ~0 << first)
                for lane in range(start, min(start + streams, row["out_lane_last"] + 1)):
                    at_row = place["row"] + (place["word_column"] + word) // taps + lane
                    bank = at_row % streams * taps + (place["column"] + word) % taps
                    address = place["address"] + word * row["out_word_stride"]
                    writes[bank] = {
                        "bits": written,
                        "address": address + lane * row["out_lane_stride"],
                        "data": [
                            plane(geometry, now, word, lane, pixel) & written
                            for pixel in range(geometry.pixels)
                        ],
                    }
            cycles.append(writes)
    return cycles


def seen_writes(geometry: Geometry, out: dict[str, Any]) -> Writes:
    writes: Writes = {}
    for bank, write in enumerate(out["writes"]):
        enable = write["enable"][0]
        assert write["enable"] == [enable] * geometry.pixels
        size = geometry.granule
        bits = sum(
            ((1 << size) - 1) << g * size
            for g in range(geometry.word_width // size)
            if enable >> g & 1
        )
        if bits:
            data = [word & bits for word in write["data"]]
            writes[bank] = {"bits": bits, "address": write["address"], "data": data}
    return writes


CASES = [*((shape, 3, 1) for shape in SHAPES), ("2x1x24x8", 3, 2), ("2x1x5x16", 2, 1),
         ("3x3x16x8", 1, 2), ("2x2x16x8", 3, 1), ("3x3x8x8", 2, 2), ("2x2x12x8", 1, 2)]  # fmt: skip


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize(("shape", "lanes", "pixels"), CASES)
def test_writes_each_result_once(shape: str, lanes: int, pixels: int, idle: float) -> None:
    """Result after result, the next one in the cycle after the last was done, or later."""
    geometry = geometry_of(shape, max_lanes=lanes, pixels=pixels)
    rng = np.random.default_rng(210)
    results = [random_result(geometry, rng) for _ in range(60)]
    arrivals: list[int] = []

    stimulus: list[dict[str, Any]] = []
    last: set[int] = set()  # cycles of the results' last writes
    for now in results:
        while rng.random() < idle or not stimulus:
            stimulus.append({"coming": 0})
        arrivals.append(len(stimulus))
        stimulus[-1]["coming"] = 1
        stimulus += [{**now, "coming": 0} for _ in expected_writes(geometry, now)]
        last.add(len(stimulus) - 1)
    stimulus += [{"coming": 0}] * SURPLUS_CYCLES
    seen = trace(Packer(geometry), stimulus, *PORTS)
    assert {cycle for cycle, out in enumerate(seen) if out["done"]} == last
    expected: dict[int, Writes] = {}
    for arrival, now in zip(arrivals, results, strict=True):
        expected |= dict(enumerate(expected_writes(geometry, now), arrival + 1))  # registered
    found = {cycle: seen_writes(geometry, out) for cycle, out in enumerate(seen)}
    assert {cycle: writes for cycle, writes in found.items() if writes} == expected
    assert all(seen[cycle - 1]["active"] == (cycle in expected) for cycle in range(1, len(seen)))


def test_reset_in_mid_result() -> None:
    geometry = geometry_of("2x1x24x8")
    now = random_result(geometry, np.random.default_rng(211))
    now["row"] = {**now["row"], "out_word_last": 20, "out_lane_last": 2}
    begin = {**now, "coming": 1}
    quiet = {"rst": 0, "coming": 0}
    stimulus = [begin, quiet, quiet, {**quiet, "rst": 1}, *[quiet] * 50, begin, *[quiet] * 50]
    seen = [seen_writes(geometry, out) for out in trace(Packer(geometry), stimulus, *PORTS)]
    assert not any(seen[4:55])
    assert [writes for writes in seen[55:] if writes] == expected_writes(geometry, now)
