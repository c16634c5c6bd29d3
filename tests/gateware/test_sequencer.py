# SPDX-License-Identifier: Apache-2.0
"""The sequencer against nested loops in Python: every segment of a layer, in order."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace
from tests.gateware.inputs import LAYERS, Layer, Segment

from xnorflow.gateware.sequencer import Sequencer

OUTPUTS = ("segments.valid", "segments.payload", "scale_index", "scale_enable", "done")


class Host:
    """Starts layers, answers as the scale memory, takes segments, watches the stream."""

    def __init__(self, scales: list[int], rng: np.random.Generator, stall: float) -> None:
        self.scales, self.rng, self.stall = scales, rng, stall
        self.taken: list[Segment] = []
        self.cycles: list[int] = []
        self.scale = 0

    def layer(
        self, row: dict[str, int], images: int
    ) -> Generator[dict[str, Any], dict[str, Any], None]:
        seen = yield {"row": row, "images": images, "start": 1, "segments.ready": 0}
        cycle, held = 0, None
        while True:
            self._look_up(seen)
            ready = int(self.rng.random() >= self.stall)
            seen = yield {"start": 0, "segments.ready": ready, "scale": self.scale}
            cycle += 1
            assert cycle < 20_000, "not done"
            if held is not None:
                assert seen["segments.valid"] and seen["segments.payload"] == held
            held = None
            if seen["segments.valid"] and ready:
                self.taken.append(seen["segments.payload"])
                self.cycles.append(cycle)
            elif seen["segments.valid"]:
                held = seen["segments.payload"]
            if seen["done"]:
                return

    def _look_up(self, seen: dict[str, Any]) -> None:
        if seen["scale_enable"]:
            self.scale = self.scales[seen["scale_index"]]

    def quiet(self) -> Generator[dict[str, Any], dict[str, Any], None]:
        for _ in range(SURPLUS_CYCLES):
            seen = yield {"segments.ready": 1}
            assert seen["done"] and not seen["segments.valid"]


def check(layer: Layer, found: Segment, expected: Segment) -> None:
    """Compare what a segment of this kind means; other fields may hold anything."""
    geometry = layer.geometry
    reads = expected.get("reads")
    for name, value in expected.items():
        if name == "x":
            assert (found["x"] ^ 0x800) - 0x800 == value
        elif name != "reads":
            assert found[name] == value, name
    for stream, read in enumerate(reads or ()):
        if read is not None:
            bank = (stream + found["rotation"]) % geometry.streams
            assert (bank, found["addresses"][stream]) == read, f"stream {stream}"


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("name", LAYERS)
def test_walks_a_layer(name: str, stall: float) -> None:
    """A whole block, then one image less, then again: counters come back to where they began."""
    layer = LAYERS[name]
    rng = np.random.default_rng(170)
    geometry = layer.geometry
    scales = rng.integers(1 << geometry.scale_width, size=geometry.scale_depth).tolist()
    blocks = [layer.block, max(1, layer.block - 1), layer.block]
    host = Host(scales, rng, stall)

    def run() -> Generator[dict[str, Any], dict[str, Any], None]:
        for images in blocks:
            yield from host.layer(layer.row, images)
        yield from host.quiet()

    trace(Sequencer(geometry), run(), *OUTPUTS)
    expected = [now for images in blocks for now in layer.segments(images, scales)]
    assert len(host.taken) == len(expected)
    for number, (found, now) in enumerate(zip(host.taken, expected, strict=True)):
        try:
            check(layer, found, now)
        except AssertionError as error:
            raise AssertionError(f"segment {number}: {error}\n{found}\n{now}") from error
    if not stall:
        # From start: the first counters, then the output stage; then a segment a cycle.
        whole = len(list(layer.segments(blocks[0], scales)))
        assert host.cycles[:whole] == list(range(2, whole + 2))


@pytest.mark.parametrize("cut", [1, 6, 17])
def test_reset_in_mid_layer(cut: int) -> None:
    layer = LAYERS["padded and pooled"]
    rng = np.random.default_rng([171, cut])
    scales = rng.integers(1 << 16, size=layer.geometry.scale_depth).tolist()
    host = Host(scales, rng, 0.0)

    def run() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {"row": layer.row, "images": 2, "start": 1}
        for _ in range(cut):
            yield {"start": 0, "segments.ready": 1}
        yield {"rst": 1}
        yield {"rst": 0}
        yield from host.quiet()
        yield from host.layer(layer.row, 2)
        yield from host.quiet()

    trace(Sequencer(layer.geometry), run(), *OUTPUTS)
    expected = list(layer.segments(2, scales))
    assert len(host.taken) == len(expected)
    for found, now in zip(host.taken, expected, strict=True):
        check(layer, found, now)
