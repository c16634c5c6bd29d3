# SPDX-License-Identifier: Apache-2.0
"""The walk over the input map against the map's address formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import trace
from tests.gateware.inputs import LAYERS, LOOPS, Segment

from xnorflow.gateware.walk import InputWalk

IN_TIME = ("x", "slot", "column", "word_column", "window")
LATE = ("lines", "line_row", "inside")


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
def test_walks_a_row(name: str, idle: float) -> None:
    """Two rows one after another; the pipeline moves now and then, also without a step."""
    layer = LAYERS[name]
    rng = np.random.default_rng(190)
    none = dict.fromkeys(LOOPS, 0)
    stimulus: list[dict[str, Any]] = []
    lines: list[tuple[int, Segment, Segment]] = []  # cycle of the step, line, its pass
    for part, units in enumerate(layer.blocks):
        begin = {"row": layer.row, "part": part, "start": 1, "move": 0, "step": 0, "wrap": none}
        stimulus.append(begin)
        scales = [0] * layer.geometry.scale_depth
        sizes = layer.sizes(units)
        rounds = layer.rounds(units)
        window: Segment = {}
        for now in layer.segments(units, scales, part=part):
            if now["load"]:
                window = now["pass"]
            if now["load"] or now["read"]:
                continue
            while rng.random() < idle:  # not moved, or moved without a step: a load, say
                move = int(rng.integers(2))
                stimulus.append({"start": 0, "move": move, "step": 0, "wrap": none})
            turn = next(rounds)
            last = {loop: turn[loop] == sizes[loop] - 1 for loop in LOOPS}
            wrap = {
                loop: int(all(last[inside] for inside in LOOPS[at:]))
                for at, loop in enumerate(LOOPS)
            }
            lines.append((len(stimulus), now, window))
            stimulus.append({"start": 0, "move": 1, "step": 1, "wrap": wrap})
        stimulus += [{"start": 0, "move": 1, "step": 0, "wrap": none}] * 2
    seen = trace(InputWalk(layer.geometry), [*stimulus, {"move": 0}], *IN_TIME, *LATE)

    moves = [cycle for cycle, now in enumerate(stimulus) if now["move"]]
    for cycle, line, window in lines:
        found = {name: seen[cycle][name] for name in IN_TIME}
        # What its sums gave shows once the pipeline moved twice.
        late = seen[moves[moves.index(cycle) + InputWalk.latency_moves - 1] + 1]
        found |= {"lines": late["lines"], "row": late["line_row"], "inside": late["inside"]}
        where = f"cycle {cycle}: found {found}, expected {line}"
        assert found["window"] == window, where
        assert (found["x"], found["inside"]) == (line["x"], line["inside"]), where
        assert layer.found_reads(found, window["active"]) == line["reads"], where
