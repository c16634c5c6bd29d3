# SPDX-License-Identifier: Apache-2.0
"""The walk over the input map against the map's address formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import trace
from tests.gateware.inputs import LAYERS, LOOPS

from xnorflow.gateware.walk import InputWalk

PORTS = ("addresses", "rotation", "x", "active", "inside", "tails")


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
def test_walks_a_layer(name: str, idle: float) -> None:
    """Two blocks in a row; what is shown holds until the loops move on."""
    layer = LAYERS[name]
    streams = layer.geometry.streams
    rng = np.random.default_rng(190)
    begin = {"row": layer.row, "start": 1, "wrap": dict.fromkeys(LOOPS, 0)}
    stimulus: list[dict[str, Any]] = []
    shown: dict[int, dict[str, Any]] = {}
    for images in (layer.block, max(1, layer.block - 1)):
        stimulus.append(begin)
        scales = [0] * layer.geometry.scale_depth
        lines = [now for now in layer.segments(images, scales) if not (now["load"] or now["read"])]
        for line, (rounds, sizes) in zip(lines, layer.rounds(images), strict=True):
            while rng.random() < idle:
                shown[len(stimulus)] = line
                stimulus.append({**begin, "start": 0})
            last = {loop: rounds[loop] == sizes[loop] - 1 for loop in LOOPS}
            wrap = {loop: int(all(last[inside] for inside in LOOPS[at:]))
                    for at, loop in enumerate(LOOPS)}  # fmt: skip
            shown[len(stimulus)] = line
            stimulus.append({"start": 0, "wrap": wrap})
    seen = trace(InputWalk(layer.geometry), stimulus, *PORTS)
    for cycle, line in shown.items():
        out = seen[cycle]
        assert {n: out[n] for n in PORTS[2:]} == {n: line[n] for n in PORTS[2:]}, f"cycle {cycle}"
        for stream, read in enumerate(line["reads"]):
            bank = (stream + out["rotation"]) % streams
            found = bank, out["addresses"][stream]
            assert read is None or found == read, f"cycle {cycle}, stream {stream}"
