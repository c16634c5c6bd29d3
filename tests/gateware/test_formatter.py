# SPDX-License-Identifier: Apache-2.0
"""The input formatter: bytes on the pixel stream to the first layer's map in the banks."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, Source, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.formatter import Formatter

OUTPUTS = ("pixels.ready", "done", "waiting", "writes")


class InputMap:
    """The map's addresses, as the formulas of docs/architecture.md give them."""

    def __init__(
        self, geometry: Geometry, shape: tuple[int, int, int], lanes: int, images: int, base: int
    ) -> None:
        self.geometry, self.shape, self.lanes, self.base = geometry, shape, lanes, base
        height, width, channels = shape
        self.flat = (height, width) == (1, 1)
        self.words = -(-channels // geometry.word_width)
        self.lane_stride = images if self.flat else width
        self.word_stride = lanes * self.lane_stride
        self.line_stride = self.words * self.word_stride
        lines = -(-height // geometry.streams)
        self.image_stride = 1 if self.flat else lines * self.line_stride

    @property
    def row(self) -> dict[str, int]:
        """The program row's fields that the formatter uses."""
        height, width, channels = self.shape
        return {
            "flat": int(self.flat),
            "in_base": self.base,
            "row_last": height - 1,
            "column_last": (self.lane_stride if self.flat else width) - 1,
            "word_last": self.words - 1,
            "tail": channels - (self.words - 1) * self.geometry.word_width,
            "lane_last": self.lanes - 1,
            "lane_stride": self.lane_stride,
            "word_stride": self.word_stride,
            "line_stride": self.line_stride,
            "image_stride": self.image_stride,
        }

    def expected(self, images: np.ndarray) -> dict[tuple[int, int], int]:
        """Words by bank and address after all images."""
        streams, width = self.geometry.streams, self.geometry.word_width
        memory: dict[tuple[int, int], int] = {}
        for (image, y, x, channel), pixel in np.ndenumerate(images):
            word, bit = divmod(channel, width)
            for lane in range(self.lanes):
                address = self.base + image * self.image_stride + y // streams * self.line_stride
                address += word * self.word_stride + lane * self.lane_stride + x
                key = (y + word + lane) % streams, address
                memory[key] = memory.get(key, 0) | (int(pixel) >> (7 - lane) & 1) << bit
        return memory


def stimulus(
    row: dict[str, int], count: int, source: Source, log: list[str]
) -> Generator[dict[str, Any], dict[str, Any], None]:
    """Start, send until done, then go on offering."""
    yield {"row": row, "images": count, "start": 1, "pixels.valid": 0}
    yield {"start": 0}
    seen = {"done": 0}
    cycles = 0
    while not seen["done"]:
        seen = yield source.offer("pixels")
        source.settle(seen["pixels.ready"])
        cycles += 1
        log.append("wait" if seen["waiting"] else "go")
        assert cycles < 20_000, "not done"
    for _ in range(SURPLUS_CYCLES):
        seen = yield {"pixels.valid": 1}
        assert not seen["done"]
        assert not seen["pixels.ready"]


def memory_of(seen: list[dict[str, Any]]) -> tuple[dict[tuple[int, int], int], int]:
    """Words by bank and address after all writes, and how many writes there were."""
    memory: dict[tuple[int, int], int] = {}
    count = 0
    for out in seen:
        for bank, write in enumerate(out["writes"]):
            if write["enable"]:
                memory[bank, write["address"]] = write["data"]
                count += 1
    return memory, count


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
    layout = InputMap(geometry, shape, lanes, count, base=9)
    surplus = [99] * 5
    source = Source([*images.ravel().tolist(), *surplus], rng, idle)
    log: list[str] = []
    seen = trace(Formatter(geometry), stimulus(layout.row, count, source, log), *OUTPUTS)

    memory, writes = memory_of(seen)
    assert memory == layout.expected(images)
    assert writes == len(memory)  # no word was written twice
    assert source.taken == images.size
    # A word of b channels takes b + ceil(m / streams) - 1 cycles; three more to the end.
    phases = -(-lanes // geometry.streams)
    height, width, channels = shape
    cycles = count * height * width * (channels + layout.words * (phases - 1))
    assert log.count("go") == cycles + 1
    assert ("wait" in log) == bool(idle)


def test_back_to_back_blocks() -> None:
    """A second block right after the first, other images, another base."""
    geometry = geometry_of("2x2x3x8")
    rng = np.random.default_rng(111)
    blocks = [rng.integers(256, size=(2, 3, 2, 4)) for _ in range(2)]
    layouts = [InputMap(geometry, (3, 2, 4), 3, 2, base) for base in (0, 30)]

    def both() -> Generator[dict[str, Any], dict[str, Any], None]:
        for images, layout in zip(blocks, layouts, strict=True):
            source = Source(images.ravel().tolist(), rng, 0.3)
            seen = yield {"row": layout.row, "images": 2, "start": 1}
            while True:
                seen = yield {"start": 0, **source.offer("pixels")}
                source.settle(seen["pixels.ready"])
                if seen["done"]:
                    break

    memory, _ = memory_of(trace(Formatter(geometry), both(), *OUTPUTS))
    expected = layouts[0].expected(blocks[0]) | layouts[1].expected(blocks[1])
    assert memory == expected


@pytest.mark.parametrize("taken", [1, 7, 20])
def test_reset_in_mid_image(taken: int) -> None:
    """After a reset nothing is taken until the next start, and the next block is whole."""
    geometry = geometry_of("3x3x4x16")
    rng = np.random.default_rng([112, taken])
    images = rng.integers(256, size=(1, 3, 4, 2))
    layout = InputMap(geometry, (3, 4, 2), 8, 1, 0)
    log: list[str] = []

    def cut() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {"row": layout.row, "images": 1, "start": 1}
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
        yield from stimulus(layout.row, 1, source, log)

    seen = trace(Formatter(geometry), cut(), *OUTPUTS)
    memory, _ = memory_of(seen)
    assert memory == layout.expected(images)
