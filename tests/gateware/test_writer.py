# SPDX-License-Identifier: Apache-2.0
"""The lane writer: every lane of a word once, in its bank, in ceil(m / streams) cycles."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.writer import LaneWriter

# Fewer, as many and more lanes than banks.
CASES = [("2x1x2x8", 8), ("3x3x4x16", 8), ("4x1x12x8", 3), ("3x1x12x8", 3), ("8x1x2x8", 8),
         ("2x2x3x8", 1)]  # fmt: skip


def random_word(geometry: Geometry, max_lanes: int, rng: np.random.Generator) -> dict[str, Any]:
    granules = geometry.word_width // geometry.granule
    return {
        "lanes": rng.integers(1 << geometry.word_width, size=max_lanes).tolist(),
        "lane_last": int(rng.integers(max_lanes)),
        "lane_stride": int(rng.integers(1, 6)),
        "enable": int(rng.integers(1, 1 << granules)),
        "rotation": int(rng.integers(geometry.streams)),
        "address": int(rng.integers(geometry.activation_depth)),
    }


class Jobs:
    """Words to write, back to back or with gaps, as a holder of words gives them."""

    def __init__(self, words: list[dict[str, Any]], rng: np.random.Generator, idle: float) -> None:
        self.words, self.rng, self.idle = words, rng, idle
        self.starts: list[int] = []

    def stimulus(self) -> Generator[dict[str, Any], dict[str, Any], None]:
        cycle = 0
        for word in self.words:
            while self.rng.random() < self.idle:
                yield {"start": 0, "address": int(self.rng.integers(8))}
                cycle += 1
            self.starts.append(cycle)
            busy = 1
            while busy:
                busy = (yield {"start": 1, **word})["busy"]
                cycle += 1
        for _ in range(SURPLUS_CYCLES):
            yield {"start": 0}


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize(("shape", "max_lanes"), CASES)
def test_writes_every_lane_once(shape: str, max_lanes: int, idle: float) -> None:
    geometry = geometry_of(shape)
    rng = np.random.default_rng([100, max_lanes])
    words = [random_word(geometry, max_lanes, rng) for _ in range(60)]
    jobs = Jobs(words, rng, idle)
    # The first word's stimulus needs no answer, so the writer is seen from the second cycle on.
    seen = trace(LaneWriter(geometry, max_lanes=max_lanes), jobs.stimulus(), "busy", "writes")

    expected: dict[tuple[int, int], dict[str, int]] = {}
    for start, word in zip(jobs.starts, words, strict=True):
        for lane in range(word["lane_last"] + 1):
            phase = lane // geometry.streams
            bank = (word["rotation"] + lane) % geometry.streams
            address = word["address"] + lane * word["lane_stride"]
            expected[start + phase + 1, bank] = {  # registered: a cycle later
                "enable": word["enable"],
                "address": address % geometry.activation_depth,
                "data": word["lanes"][lane],
            }
    found = {
        (cycle, bank): write
        for cycle, out in enumerate(seen)
        for bank, write in enumerate(out["writes"])
        if write["enable"]
    }
    assert found == expected
    if not idle:
        cycles = [-(-(word["lane_last"] + 1) // geometry.streams) for word in words]
        assert np.diff(jobs.starts).tolist() == cycles[:-1]


def test_reset_in_mid_word() -> None:
    geometry = geometry_of("2x1x2x8")
    word = {"lanes": list(range(1, 9)), "lane_last": 7, "lane_stride": 1, "enable": 15}
    stimulus = [{"start": 1, **word}] * 2 + [{"rst": 1}] + [{"rst": 0, "start": 0}] * 20
    again = [{"start": 1}] * 4 + [{"start": 0}] * 20
    seen = trace(LaneWriter(geometry, max_lanes=8), [*stimulus, *again], "busy", "writes")
    found = [[write["data"] for write in out["writes"] if write["enable"]] for out in seen]
    assert [words for words in found if words] == [[1, 2], [3, 4], [1, 2], [3, 4], [5, 6], [7, 8]]
