# SPDX-License-Identifier: Apache-2.0
"""The lane writer: every lane of some words once, each in its bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.writer import LaneWriter

# Fewer, as many and more banks than lanes; one word, some, as many as a line of banks.
CASES = [("2x1x2x8", 3, 1), ("3x3x4x16", 1, 2), ("3x3x16x8", 3, 1), ("2x3x24x8", 2, 2),
         ("2x2x3x8", 3, 2), ("4x4x24x8", 1, 1), ("2x3x16x8", 3, 1)]  # fmt: skip


def random_write(geometry: Geometry, phases: int, rng: np.random.Generator) -> dict[str, Any]:
    granules = geometry.word_width // geometry.granule
    lanes, words = geometry.max_lanes, geometry.write_words
    size = (words, lanes, geometry.pixels)
    return {
        "active": int(rng.integers(4) > 0),
        "phase": int(rng.integers(phases)),
        "words": rng.integers(1 << geometry.word_width, size=size).tolist(),
        "exists": (1 << int(rng.integers(1, words + 1))) - 1,
        "enable": int(rng.integers(1, 1 << granules)),
        "clear": int(rng.integers(1 << granules)),
        "lane_last": int(rng.integers(lanes)),
        "lane_stride": int(rng.integers(1, 6)),
        "word_stride": int(rng.integers(6, 20)),
        "address": int(rng.integers(geometry.activation_depth)),
        "row": int(rng.integers(geometry.streams)),
        "column": int(rng.integers(geometry.taps)),
        "word_column": int(rng.integers(geometry.taps)),
    }


def expected_writes(geometry: Geometry, now: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Writes by bank."""
    streams, taps = geometry.streams, geometry.taps
    cleared = sum(
        ((1 << geometry.granule) - 1) << g * geometry.granule
        for g in range(geometry.word_width // geometry.granule)
        if now["clear"] >> g & 1
    )
    writes = {}
    first = now["phase"] * streams
    for word in range(geometry.write_words):
        for lane in range(first, min(first + streams, now["lane_last"] + 1)):
            if not now["active"] or not now["exists"] >> word & 1:
                continue
            row = (now["row"] + (now["word_column"] + word) // taps + lane) % streams
            bank = row * taps + (now["column"] + word) % taps
            address = now["address"] + word * now["word_stride"] + lane * now["lane_stride"]
            assert bank not in writes
            writes[bank] = {
                "enable": [now["enable"]] * geometry.pixels,
                "address": address % geometry.activation_depth,
                "data": [bits & ~cleared for bits in now["words"][word][lane]],
            }
    return writes


@pytest.mark.parametrize(("shape", "lanes", "pixels"), CASES)
def test_writes_every_lane_once(shape: str, lanes: int, pixels: int) -> None:
    geometry = geometry_of(shape, max_lanes=lanes, pixels=pixels)
    rng = np.random.default_rng([100, lanes])
    writer = LaneWriter(geometry)
    stimulus = [random_write(geometry, writer.phases, rng) for _ in range(150)]
    seen = trace(writer, stimulus, "writes")
    for now, out in zip(stimulus, seen[1:], strict=False):  # registered: a cycle later
        found = {bank: write for bank, write in enumerate(out["writes"]) if any(write["enable"])}
        assert found == expected_writes(geometry, now)


def test_reset_stops_writes() -> None:
    geometry = geometry_of("2x1x2x8")
    write = {"active": 1, "lane_last": 1, "exists": 1, "enable": 15}
    seen = trace(LaneWriter(geometry), [write, write, {"rst": 1}, {"rst": 1}], "writes")
    assert [any(any(w["enable"]) for w in out["writes"]) for out in seen] == [0, 1, 1, 0]
