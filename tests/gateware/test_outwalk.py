# SPDX-License-Identifier: Apache-2.0
"""The walk over the output map against the map's address formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import trace
from tests.gateware.outputs import OUTPUTS, OutputRow

from xnorflow.gateware.outwalk import OutputWalk

FLAGS = ("first_x", "last_x", "first_y", "last_y", "window")


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("case", OUTPUTS, ids=str)
def test_walks_a_row(case: OutputRow, idle: float) -> None:
    """Two rows in a row; a place holds from its window's codes on until the next one's."""
    geometry, target = case.geometry, case.target
    streams, taps = geometry.streams, geometry.taps
    rng = np.random.default_rng(200)
    walk = case.walk()
    closing = sum(closes for *_, closes in walk)
    stimulus: list[dict[str, Any]] = []
    shown: list[tuple[int, dict[str, int]]] = []
    windows: dict[int, int] = {}
    for _ in range(2):
        stimulus.append({"row": case.row, "units": case.units, "start": 1, "valid": 0})
        stimulus.append({"start": 0})
        number = 0
        before = 0
        for tile, unit, y, x, closes in walk:
            if tile != before:
                stimulus.append({"start": 0, "valid": 0})
            before = tile
            while rng.random() < idle:
                stimulus.append({"start": 0, "valid": 0})
            if closes:
                number += 1
                word, offset = divmod(tile * geometry.columns, geometry.word_width)
                at_y = case.line + (y - case.pool + 1) // case.stride
                at_x = (x - case.pool + 1) // case.stride
                _, bank, address = target.place(unit * case.pixels, at_y, at_x, word, 0)
                place = {
                    "address": address,
                    "row": bank // taps,
                    "column": bank % taps,
                    "word": word,
                    "word_column": word % taps,
                    "granule": offset // geometry.granule,
                    "end": int(number == closing),
                }
                shown.append((len(stimulus) + OutputWalk.latency_cycles, place))
                windows[len(stimulus)] = at_x
            stimulus.append({"start": 0, "valid": 1})
        # The next row's values may come once this row's last place is shown.
        stimulus += [{"valid": 0}] * OutputWalk.latency_cycles
    seen = trace(OutputWalk(geometry), stimulus, "place", *FLAGS)
    assert all(row < streams for row in (out["place"]["row"] for out in seen))
    for (begin, place), (end, _) in zip(shown, [*shown[1:], (len(seen), {})], strict=True):
        for cycle in range(begin, min(end, len(seen))):
            assert seen[cycle]["place"] == place, f"cycle {cycle}"
    for cycle, window in windows.items():
        flags = seen[cycle]
        assert flags["last_x"] and flags["last_y"] and flags["window"] == window, f"cycle {cycle}"
