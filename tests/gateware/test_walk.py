# SPDX-License-Identifier: Apache-2.0
"""The walk over the input map against the map's address formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import trace
from tests.gateware.inputs import LAYERS, LOOPS, Segment

from xnorflow.gateware.loops import PASS_LOOPS
from xnorflow.gateware.walk import InputWalk

IN_TIME = ("x", "slot", "column", "word_column")
LATE = ("lines", "line_row", "inside")


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
def test_walks_a_row(name: str, idle: float) -> None:
    """Two rows one after another, with a pause now and then."""
    layer = LAYERS[name]
    rng = np.random.default_rng(190)
    none = dict.fromkeys(LOOPS, 0)
    stimulus: list[dict[str, Any]] = []
    lines: list[tuple[int, Segment, Segment]] = []  # cycle of the step, line, its pass
    for part, units in enumerate(layer.blocks):
        row = {"row": layer.row, "part": part, "step": 0, "wrap": none}
        stimulus += [row, row, {"wrap": dict.fromkeys(LOOPS, 1)}]
        scales = [0] * layer.geometry.scale_depth
        sizes = layer.sizes(units)
        rounds = layer.rounds(units)
        window: Segment = {}
        for now in layer.segments(units, scales, part=part):
            if now["load"]:
                window = now["pass"]
            if now["load"] or now["read"]:
                continue
            while rng.random() < idle:  # a load, say
                stimulus.append({"step": 0, "wrap": none})
            turn = next(rounds)
            last = {loop: turn[loop] == sizes[loop] - 1 for loop in LOOPS}
            wrap = {
                loop: int(all(last[inside] for inside in LOOPS[at:]))
                for at, loop in enumerate(LOOPS)
            }
            lines.append((len(stimulus), now, window))
            inside = {loop: int(wrap[loop] and loop in PASS_LOOPS) for loop in LOOPS}
            stimulus.append({"step": 1, "wrap": inside})
            if wrap["unit"]:  # the loops outside follow, then comes a load
                outside = {loop: wrap[loop] - inside[loop] for loop in LOOPS}
                stimulus += [{"step": 0, "wrap": outside}, {"step": 0, "wrap": none}]
        stimulus += [{"step": 0, "wrap": none}] * InputWalk.LINES_CYCLES
    seen = trace(InputWalk(layer.geometry), stimulus, *IN_TIME, *LATE, "window")

    for cycle, line, window in lines:
        found = {name: seen[cycle][name] for name in IN_TIME}
        late = seen[cycle + InputWalk.LINES_CYCLES]
        found |= {"lines": late["lines"], "row": late["line_row"], "inside": late["inside"]}
        where = f"cycle {cycle}: found {found}, expected {line}"
        assert seen[cycle + InputWalk.WINDOW_CYCLES]["window"] == window, where
        assert (found["x"], found["inside"]) == (line["x"], line["inside"]), where
        assert layer.found_reads(found, window["active"]) == line["reads"], where
