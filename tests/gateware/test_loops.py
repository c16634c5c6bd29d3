# SPDX-License-Identifier: Apache-2.0
"""The loop counters against nested loops in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace
from tests.gateware.inputs import LAYERS, LOOPS, Layer

from xnorflow.gateware.loops import LOOPS as INNERMOST_FIRST
from xnorflow.gateware.loops import PASS_LOOPS, LoopCounters

PORTS = ("last", "wrap", "turn", "first", "final", "lane")


def expected(layer: Layer, units: int) -> list[dict[str, Any]]:
    """Outputs while the innermost loop steps, line of beats by line of beats."""
    flags = []
    sizes = layer.sizes(units)
    of_a_pass = ("plane", "ky", "kx", "cw", "lane")
    for now in layer.rounds(units):
        last = {loop: int(now[loop] == sizes[loop] - 1) for loop in LOOPS}
        flags.append(
            {
                "last": last,
                # A loop wraps when it and every loop inside it are in their last round.
                "wrap": {
                    loop: int(all(last[inside] for inside in LOOPS[at:]))
                    for at, loop in enumerate(LOOPS)
                },
                "first": int(all(now[loop] == 0 for loop in of_a_pass)),
                "final": int(all(last[loop] for loop in of_a_pass)),
                "lane": now["lane"],
            }
        )
    return flags


def test_both_name_the_same_loops() -> None:
    assert LOOPS[::-1] == INNERMOST_FIRST


def split(wrap: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """What wraps with the step, and with the cycle after it."""
    inside = {loop: int(wrap[loop] and loop in PASS_LOOPS) for loop in LOOPS}
    return inside, {loop: wrap[loop] - inside[loop] for loop in LOOPS}


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
def test_counts_a_row(name: str, idle: float) -> None:
    """Whole rows and rows at the block's end, with steps at once and after pauses."""
    layer = LAYERS[name]
    rng = np.random.default_rng(180)
    stimulus: list[dict[str, Any]] = []
    steps: dict[int, dict[str, Any]] = {}
    wraps: dict[int, dict[str, int]] = {}
    for units in layer.blocks:
        stimulus.append({"row": layer.row, "units": units, "start": 0, "step": 0})
        stimulus.append({"start": 1, "step": 0})
        for flags in expected(layer, units):
            while rng.random() < idle:
                stimulus.append({"start": 0, "step": 0})
            cycle = len(stimulus)
            wraps[cycle], outside = split(flags.pop("wrap"))
            steps[cycle] = flags
            stimulus.append({"start": 0, "step": 1})
            if wraps[cycle]["unit"]:
                wraps[cycle + 1] = outside
                stimulus.append({"start": 0, "step": 0})
    stimulus += [{"step": 0}] * SURPLUS_CYCLES
    seen = trace(LoopCounters(layer.geometry), stimulus, *PORTS)
    none = dict.fromkeys(LOOPS, 0)
    for cycle, out in enumerate(seen):
        wrap = out.pop("wrap")
        assert wrap == wraps.get(cycle, none), f"cycle {cycle}"
        turn = out.pop("turn")
        assert turn == int(cycle > 0 and wraps.get(cycle - 1, none)["unit"]), f"cycle {cycle}"
        assert cycle not in steps or out == steps[cycle], f"cycle {cycle}"


def test_reset_in_mid_row() -> None:
    layer = LAYERS["border code, planes of weights, stride"]
    ready = {"rst": 0, "row": layer.row, "units": 1, "start": 0, "step": 0}
    begin = {"start": 1, "step": 0}
    quiet = {"start": 0, "step": 0}
    flags = expected(layer, 1)
    steps: list[dict[str, Any]] = []
    for now in flags:
        steps += [{"start": 0, "step": 1}] + [quiet] * now["wrap"]["unit"]
    stimulus = [ready, begin, *steps[:37], {"rst": 1, "step": 0}, ready, begin, *steps]
    seen = trace(LoopCounters(layer.geometry), stimulus, *PORTS)
    found = [out for out, now in zip(seen, stimulus, strict=True) if now["step"]]
    count = len(found) - len(flags)
    for out, now in zip(found, [*flags[:count], *flags], strict=True):
        assert {name: out[name] for name in ("last", "first", "final", "lane")} == {
            name: now[name] for name in ("last", "first", "final", "lane")
        }
