# SPDX-License-Identifier: Apache-2.0
"""The way into the banks: every write of both writers arrives, once, in its bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.writepath import WritePath

# Banks that take the same word from the collector: all, those of a column, of a row, none.
CASES = [("3x3x4x16", 1, 2), ("2x2x16x8", 1, 1), ("2x3x4x16", 2, 1), ("2x2x16x8", 3, 2)]


def random_writes(
    geometry: Geometry, rng: np.random.Generator, *, formatted: bool
) -> list[dict[str, Any]]:
    """One cycle's writes; what is not enabled is noise."""
    granules = geometry.word_width // geometry.granule
    words: dict[tuple[int, int], dict[str, Any]] = {}
    writes = []
    for bank in range(geometry.banks):
        row, column = divmod(bank, geometry.taps)
        key = (row * (geometry.max_lanes > 1), column * (geometry.write_words > 1))
        word = words.setdefault(
            (0, 0) if formatted else key,
            {
                "address": int(rng.integers(geometry.activation_depth)),
                "data": rng.integers(1 << geometry.word_width, size=geometry.pixels).tolist(),
            },
        )
        enable = rng.integers(1 << granules, size=geometry.pixels).tolist()
        writes.append({"enable": enable, **word})
    return writes


@pytest.mark.parametrize(("shape", "lanes", "pixels"), CASES)
def test_carries_both_writers(shape: str, lanes: int, pixels: int) -> None:
    geometry = geometry_of(shape, max_lanes=lanes, pixels=pixels)
    rng = np.random.default_rng(230)
    stimulus: list[dict[str, Any]] = []
    for _ in range(200):
        ours = random_writes(geometry, rng, formatted=False)
        theirs = random_writes(geometry, rng, formatted=True)
        collects = int(rng.integers(2))
        for write in theirs if collects else ours:
            write["enable"] = [0] * geometry.pixels
        stimulus.append({"collected": ours, "formatted": theirs, "collects": collects})
    none = [{**write, "enable": [0] * geometry.pixels} for write in ours]
    stimulus += [{"collected": none, "formatted": none}] * SURPLUS_CYCLES
    seen = trace(WritePath(geometry), stimulus, "writes")
    for cycle, now in enumerate(stimulus[:200]):
        expected = now["collected" if now["collects"] else "formatted"]
        for bank, write in enumerate(seen[cycle + WritePath.latency_cycles]["writes"]):
            if any(write["enable"]):
                assert write == expected[bank]
            else:
                assert not any(expected[bank]["enable"])
    for out in seen[200 + WritePath.latency_cycles :]:
        assert not any(any(write["enable"]) for write in out["writes"])
