# SPDX-License-Identifier: Apache-2.0
"""The loop counters against nested loops in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace
from tests.gateware.inputs import LAYERS, LOOPS, Layer

from xnorflow.gateware.loops import LoopCounters

PORTS = ("last", "wrap", "first", "final", "repeat", "lane", "tile")


def expected(layer: Layer, images: int) -> list[dict[str, Any]]:
    """Outputs while the innermost loop steps, line of beats by line of beats."""
    flags = []
    for rounds, sizes in layer.rounds(images):
        last = {loop: int(rounds[loop] == sizes[loop] - 1) for loop in LOOPS}
        inner = [loop for loop in LOOPS[2:] if loop not in ("image", "map_row", "repeat")]
        flags.append(
            {
                "last": last,
                # A loop wraps when it and every loop inside it are in their last round.
                "wrap": {
                    loop: int(all(last[inside] for inside in LOOPS[at:]))
                    for at, loop in enumerate(LOOPS)
                },
                "first": int(all(rounds[loop] == 0 for loop in inner)),
                "final": int(all(last[loop] for loop in inner)),
                **{name: rounds[name] for name in ("repeat", "lane", "tile")},
            }
        )
    return flags


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
def test_counts_a_layer(name: str, idle: float) -> None:
    """A whole block and a smaller one, with steps at once and after pauses."""
    layer = LAYERS[name]
    rng = np.random.default_rng(180)
    stimulus: list[dict[str, Any]] = []
    steps: dict[int, dict[str, Any]] = {}
    for images in (layer.block, max(1, layer.block - 1)):
        stimulus.append({"row": layer.row, "images": images, "start": 1, "step": 0})
        for flags in expected(layer, images):
            while rng.random() < idle:
                stimulus.append({"start": 0, "step": 0})
            steps[len(stimulus)] = flags
            stimulus.append({"start": 0, "step": 1})
    stimulus += [{"step": 0}] * SURPLUS_CYCLES
    seen = trace(LoopCounters(layer.geometry), stimulus, *PORTS)
    for cycle, out in enumerate(seen):
        if cycle in steps:
            assert out == steps[cycle], f"cycle {cycle}"
        else:
            assert not any(out["wrap"].values()), f"cycle {cycle}"


def test_reset_in_mid_layer() -> None:
    layer = LAYERS["border code, planes, stride"]
    begin = {"rst": 0, "row": layer.row, "images": 1, "start": 1, "step": 0}
    flags = expected(layer, 1)
    step = {"start": 0, "step": 1}
    stimulus = [begin, *[step] * 37, {"rst": 1, "step": 0}, begin, *[step] * len(flags)]
    seen = trace(LoopCounters(layer.geometry), stimulus, *PORTS)
    assert seen[1:38] == flags[:37]
    assert seen[-len(flags) :] == flags
