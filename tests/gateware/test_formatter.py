# SPDX-License-Identifier: Apache-2.0
"""The input formatter: bytes on the pixel stream to the first layer's map in the banks."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, Source, geometry_of, trace
from tests.gateware.maps import MapModel, written

from xnorflow.gateware.formatter import Formatter

OUTPUTS = ("pixels.ready", "done", "waiting", "writes")


def row_of(layout: MapModel) -> dict[str, int]:
    """The program row's fields that the formatter uses."""
    height, width, channels = layout.shape
    return {
        "flat": int(layout.flat),
        "in_base": layout.base,
        "row_last": height - 1,
        "column_last": width - 1,
        "word_last": layout.words - 1,
        "tail": channels - (layout.words - 1) * layout.geometry.word_width,
        "lane_last": layout.lanes - 1,
        "lane_stride": layout.lane_stride,
        "word_stride": layout.word_stride,
        "line_stride": layout.line_stride,
        "image_stride": layout.image_stride,
    }


def codes_of(images: np.ndarray, lanes: int) -> np.ndarray:
    """Lane l of a pixel is its bit 7 - l."""
    return images >> (8 - lanes)


def stimulus(
    row: dict[str, int], count: int, source: Source, log: list[str]
) -> Generator[dict[str, Any], dict[str, Any], None]:
    """Start, send until done, then go on offering."""
    seen = yield {"row": row, "images": count, "start": 1, "pixels.valid": 0}
    cycles = 0
    while not seen["done"]:
        seen = yield {"start": 0, **source.offer("pixels")}
        source.settle(seen["pixels.ready"])
        cycles += 1
        log.append("wait" if seen["waiting"] else "go")
        assert cycles < 20_000, "not done"
    for _ in range(SURPLUS_CYCLES):
        seen = yield {"pixels.valid": 1}
        assert not seen["done"]
        assert not seen["pixels.ready"]


CASES = [
    # shape of the array, image, lanes, images
    ("2x1x2x8", (5, 3, 1), 8, 1),  # one channel: the writer is slower than the bytes
    ("3x3x4x16", (4, 3, 3), 8, 2),
    ("2x2x3x8", (3, 2, 11), 3, 2),  # a word and a tail of 3
    ("3x1x12x8", (1, 1, 21), 1, 5),  # flat: images side by side
    ("2x1x2x8", (1, 1, 8), 5, 3),
    ("4x1x12x8", (6, 1, 16), 2, 2),
]


@pytest.mark.parametrize("idle", [0.0, 0.6])
@pytest.mark.parametrize(("array", "shape", "lanes", "count"), CASES)
def test_lays_images_out(
    array: str, shape: tuple[int, int, int], lanes: int, count: int, idle: float
) -> None:
    geometry = geometry_of(array, activation_depth=256)
    rng = np.random.default_rng([110, lanes, count])
    images = rng.integers(256, size=(count, *shape))
    layout = MapModel(geometry, shape, lanes, count, base=9)
    surplus = [99] * 5
    source = Source([*images.ravel().tolist(), *surplus], rng, idle)
    log: list[str] = []
    seen = trace(Formatter(geometry), stimulus(row_of(layout), count, source, log), *OUTPUTS)

    memory, writes = written(geometry, seen)
    assert memory == layout.words_of(codes_of(images, layout.lanes))
    assert writes == len(memory)  # no word was written twice
    assert source.taken == images.size
    # A word of b channels takes b + ceil(m / streams) - 1 cycles; then its write, then done.
    phases = -(-lanes // geometry.streams)
    height, width, channels = shape
    cycles = count * height * width * (channels + layout.words * (phases - 1))
    assert log.count("go") == cycles + 2
    assert ("wait" in log) == bool(idle)


def test_back_to_back_blocks() -> None:
    """A second block right after the first, other images, another base."""
    geometry = geometry_of("2x2x3x8")
    rng = np.random.default_rng(111)
    blocks = [rng.integers(256, size=(2, 3, 2, 4)) for _ in range(2)]
    layouts = [MapModel(geometry, (3, 2, 4), 3, 2, base) for base in (0, 30)]

    def both() -> Generator[dict[str, Any], dict[str, Any], None]:
        for images, layout in zip(blocks, layouts, strict=True):
            source = Source(images.ravel().tolist(), rng, 0.3)
            seen = yield {"row": row_of(layout), "images": 2, "start": 1}
            while not (source.empty and seen["done"]):
                seen = yield {"start": 0, **source.offer("pixels")}
                source.settle(seen["pixels.ready"])

    memory, _ = written(geometry, trace(Formatter(geometry), both(), *OUTPUTS))
    expected = {}
    for images, layout in zip(blocks, layouts, strict=True):
        expected |= layout.words_of(codes_of(images, layout.lanes))
    assert memory == expected


@pytest.mark.parametrize("taken", [1, 7, 20])
def test_reset_in_mid_image(taken: int) -> None:
    """After a reset nothing is taken until the next start, and the next block is whole."""
    geometry = geometry_of("3x3x4x16")
    rng = np.random.default_rng([112, taken])
    images = rng.integers(256, size=(1, 3, 4, 2))
    layout = MapModel(geometry, (3, 4, 2), 8, 1, 0)
    log: list[str] = []

    def cut() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {"row": row_of(layout), "images": 1, "start": 1}
        broken = Source([255] * taken, rng, 0.0)
        while not broken.empty:
            seen = yield {"start": 0, **broken.offer("pixels")}
            broken.settle(seen["pixels.ready"])
        yield {"rst": 1, "pixels.valid": 0}
        for _ in range(SURPLUS_CYCLES):
            seen = yield {"rst": 0, "pixels.valid": 1}
            assert not seen["pixels.ready"]
            assert not any(write["enable"] for write in seen["writes"])
        source = Source(images.ravel().tolist(), rng, 0.0)
        yield from stimulus(row_of(layout), 1, source, log)

    seen = trace(Formatter(geometry), cut(), *OUTPUTS)
    memory, _ = written(geometry, seen)
    assert memory == layout.words_of(codes_of(images, layout.lanes))
