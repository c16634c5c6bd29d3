# SPDX-License-Identifier: Apache-2.0
"""The program store: rows, scales and constants come back as they were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, bus_write, geometry_of, trace

from xnorflow.core.program import Target, item_bits, pack_row, row_fields
from xnorflow.gateware.store import ProgramStore

PORTS = ("row", "scale", "layers", "block")
QUIET = {"write": 0, "bus": {"valid": 0}, "scale_enable": 0}


@pytest.mark.parametrize("shape", SHAPES)
def test_holds_a_program(shape: str) -> None:
    """Reads a cycle late; a scale stays until the next enabled index; foreign writes do nothing."""
    geometry = geometry_of(shape)
    rng = np.random.default_rng(230)
    rows = [
        {field.name: int(rng.integers(1 << field.width)) for field in row_fields(geometry)}
        for _ in range(geometry.layer_depth)
    ]
    scales = rng.integers(1 << geometry.scale_width, size=geometry.scale_depth).tolist()
    stimulus: list[dict[str, Any]] = []

    def write(target: int, address: int, item: int) -> None:
        stimulus.append({**QUIET, "write": 1, "target": target, "address": address, "item": item})

    for layer, row in enumerate(rows):
        write(Target.LAYER, layer, pack_row(geometry, row))
    write(Target.CONTROL, 0, 3)
    write(Target.CONTROL, 1, 0x1234)
    for index, scale in enumerate(scales):
        stimulus.append({**QUIET, "bus": bus_write(Target.SCALE, 0, index, scale)})
    for target in set(range(16)) - {Target.LAYER, Target.CONTROL, Target.SCALE}:
        write(target, 0, 0)
        stimulus.append({**QUIET, "bus": bus_write(target, 0, 0, 0)})
    start = len(stimulus)
    reads = []
    for _ in range(100):
        layer, index, enable = (int(rng.integers(n)) for n in (len(rows), len(scales), 2))
        reads.append((layer, index, enable))
        stimulus.append({**QUIET, "layer": layer, "scale_index": index, "scale_enable": enable})
    store = ProgramStore(geometry, item_width=item_bits(geometry, Target.LAYER) + 5)
    seen = trace(store, [*stimulus, QUIET], *PORTS)[start + 1 :]
    scale = None
    for (layer, index, enable), out in zip(reads, seen, strict=True):
        assert out["row"] == rows[layer]
        scale = scales[index] if enable else scale
        assert scale is None or out["scale"] == scale
        assert (out["layers"], out["block"]) == (3, 0x1234)


def test_reset_forgets_that_there_is_a_program() -> None:
    geometry = geometry_of("2x1x2x8")
    write = {**QUIET, "write": 1, "target": Target.CONTROL}
    stimulus = [{**write, "address": 0, "item": 2}, {**write, "address": 1, "item": 9}]
    stimulus += [QUIET, {**QUIET, "rst": 1}, {**QUIET, "rst": 0}]
    seen = trace(ProgramStore(geometry, item_width=320), stimulus, "layers", "block")
    assert seen[2] == {"layers": 2, "block": 9}
    assert seen[-1] == {"layers": 0, "block": 0}
