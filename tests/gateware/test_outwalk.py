# SPDX-License-Identifier: Apache-2.0
"""The walk over the output map against the map's address formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import trace
from tests.gateware.outputs import OUTPUTS, OutputLayer

from xnorflow.gateware.outwalk import OutputWalk

PORTS = ("address", "rotation", "word", "offset", "layer_end")


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("layer", OUTPUTS, ids=lambda layer: f"{layer.shape}-{layer.out_shape}")
def test_walks_a_layer(layer: OutputLayer, idle: float) -> None:
    """Two layers in a row; what is shown holds until a result was written."""
    geometry = layer.geometry
    rng = np.random.default_rng(200)
    # A pooled result's place is that of the position that closes its window.
    results = [(tile, image, y // layer.pool, x // layer.pool)
               for tile, image, y, x, closes in layer.walk() if closes]  # fmt: skip
    stimulus: list[dict[str, Any]] = []
    shown: dict[int, dict[str, int]] = {}
    for _ in range(2):
        stimulus.append({"row": layer.row, "images": layer.images, "start": 1, "step": 0})
        for number, (tile, image, y, x) in enumerate(results):
            word, offset = divmod(tile * geometry.columns, geometry.word_width)
            bank, address = layer.target.place(image, y, x, word, 0)
            place = {"address": address, "rotation": bank, "word": word, "offset": offset}
            while rng.random() < idle:
                shown[len(stimulus)] = {**place, "layer_end": 0}
                stimulus.append({"start": 0, "step": 0})
            shown[len(stimulus)] = {**place, "layer_end": int(number == len(results) - 1)}
            stimulus.append({"start": 0, "step": 1})
    seen = trace(OutputWalk(geometry), stimulus, *PORTS)
    for cycle, place in shown.items():
        assert seen[cycle] == place, f"cycle {cycle}"
