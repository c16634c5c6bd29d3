# SPDX-License-Identifier: Apache-2.0
"""The input formatter: bytes on the pixel stream to the first row's map in the banks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, Source, geometry_of, trace
from tests.gateware.maps import MapModel, Memory, written

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.formatter import Formatter

OUTPUTS = ("pixels.ready", "full", "idle", "waiting", "writes")
BASE = 9


@dataclass(frozen=True)
class Input:
    """A network's input on an array."""

    array: str
    shape: tuple[int, int, int]
    lanes: int
    chunk: int = 4  # units of a part
    double: bool = False
    pixels: int = 1
    planes: bool = False
    flat: bool = False

    def __str__(self) -> str:
        kind = "planes" if self.planes else f"{self.lanes} lanes"
        return f"{self.array}x{self.pixels} {self.shape} {kind}"

    @cached_property
    def geometry(self) -> Geometry:
        return geometry_of(self.array, activation_depth=256, pixels=self.pixels)

    def part(self, odd: int) -> MapModel:
        """Where a part lies."""
        lanes = 1 if self.planes else self.lanes
        first = MapModel(self.geometry, self.shape, lanes, self.chunk, flat=self.flat)
        base = BASE + (first.size if odd else 0)
        return MapModel(self.geometry, self.shape, lanes, self.chunk, base, flat=self.flat)

    @cached_property
    def row(self) -> dict[str, int]:
        """The program row's fields that the formatter uses."""
        layout = self.part(0)
        height, width, _ = self.shape
        return {
            "flat": int(self.flat),
            "planes": int(self.planes),
            "in_base": BASE,
            "row_last": height - 1,
            "column_last": 1023 if self.flat else width - 1,
            "word_last": layout.words - 1,
            "tail": layout.tail,
            "lane_last": 2 if self.planes else self.lanes - 1,
            "lane_stride": layout.lane_stride,
            "word_stride": layout.word_stride,
            "line_stride": layout.line_stride,
            "image_stride": layout.image_stride,
            "chunk_last": self.chunk - 1,
            "chunk_double": int(self.double),
            "chunk_stride": layout.size,
        }

    def parts(self, images: np.ndarray) -> list[np.ndarray]:
        """Images of each part."""
        size = self.chunk * self.pixels
        return [images[at : at + size] for at in range(0, len(images), size)]

    def expected(self, images: np.ndarray, odd: int) -> Memory:
        """A part's words."""
        layout = self.part(odd)
        if not self.planes:
            return layout.words_of(images >> (8 - self.lanes))
        return {
            layout.place(*at, 0, 0): sum(int(byte) << 8 * c for c, byte in enumerate(images[at]))
            for at in np.ndindex(images.shape[:3])
        }

    def byte_cycles(self, count: int) -> int:
        """Cycles in which ``count`` images' bytes are taken when nothing waits."""
        height, width, channels = self.shape
        pieces = [min(8, channels - at) for at in range(0, channels, 8)]
        lanes = 1 if self.planes else self.lanes
        return count * height * max(2, width * sum(max(size, lanes) for size in pieces))


class Host:
    """Sends blocks, frees parts, refuses writes; keeps what came of it."""

    def __init__(
        self, case: Input, seed: int, *, idle: float, hold: float, slow: float = 0.0
    ) -> None:
        self.case = case
        self.rng = np.random.default_rng([110, seed])
        self.idle, self.hold, self.slow = idle, hold, slow
        self.held: list[int] = []
        self.full: list[int] = []  # cycles in which a part was complete
        self.cycle = 0

    def step(self, **inputs: Any) -> dict[str, Any]:
        held = int(self.rng.random() < self.hold)
        self.held.append(held)
        self.cycle += 1
        return {"hold": held, **inputs}

    def block(self, images: np.ndarray) -> Generator[dict[str, Any], dict[str, Any], None]:
        """One block; the reader takes some time over each part."""
        source = Source([*images.ravel().tolist(), 99, 99], self.rng, self.idle)
        room = 1
        seen = yield self.step(
            row=self.case.row, images=len(images), start=1, room=0, **{"pixels.valid": 0}
        )
        assert seen["idle"] and not seen["pixels.ready"]
        parts = 0
        while True:
            room = int(self.rng.random() >= self.slow)
            seen = yield self.step(start=0, room=room, **source.offer("pixels"))
            source.settle(seen["pixels.ready"])
            if seen["full"]:
                self.full.append(self.cycle - 1)
                parts += 1
            if seen["idle"]:
                break
            assert self.cycle < 20_000, "never idle"
        assert source.taken == images.size
        assert parts == len(self.case.parts(images))
        for _ in range(SURPLUS_CYCLES):
            seen = yield self.step(**{"pixels.valid": 1})
            assert seen["idle"] and not seen["full"] and not seen["pixels.ready"]


CASES = [
    Input("2x1x2x8", (5, 3, 1), 8, chunk=1),  # one channel: slower than the bytes
    Input("3x3x4x16", (4, 3, 3), 8, double=True),
    Input("2x2x3x8", (3, 2, 11), 3, pixels=2, chunk=1, double=True),  # a word and a tail of 3
    Input("3x1x12x8", (1, 1, 21), 1, flat=True, chunk=3, double=True),
    Input("2x3x2x8", (1, 1, 8), 5, flat=True, pixels=2, chunk=8),
    Input("4x2x12x8", (6, 1, 16), 2, pixels=4, chunk=2),
    Input("2x2x8x32", (2, 2, 70), 8, chunk=1),  # words of four pieces
    Input("2x2x4x32", (3, 5, 3), 8, planes=True, pixels=2, double=True, chunk=1),
    Input("2x1x4x32", (4, 3, 1), 8, planes=True),
    Input("2x3x4x32", (2, 4, 2), 1),  # a word in two cycles
    Input("2x1x2x8", (3, 4, 1), 1),  # a word in each cycle
    Input("2x2x4x8", (3, 1, 1), 1, double=True, chunk=1),  # lines of one byte
    Input("2x2x4x8", (1, 1, 1), 3, flat=True, pixels=2, chunk=3),
    Input("2x2x4x8", (2, 1, 2), 1, chunk=2),  # of two
    Input("2x2x4x8", (1, 1, 9), 1, flat=True, double=True, chunk=2),  # a word of one byte
]


def run(case: Input, host: Host, *blocks: np.ndarray) -> list[dict[str, Any]]:
    def all_blocks() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield host.step(start=0)
        for images in blocks:
            yield from host.block(images)

    seen = trace(Formatter(case.geometry), all_blocks(), *OUTPUTS)
    return [{"hold": held, **out} for held, out in zip(host.held, seen, strict=True)]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_lays_images_out(case: Input, stall: float) -> None:
    """Two blocks, the second with a ragged part and a ragged unit: each part is there when full."""
    host = Host(case, 1, idle=stall, hold=stall, slow=stall)
    counts = (case.chunk * case.pixels, (2 * case.chunk + 1) * case.pixels - case.pixels // 2)
    blocks = [host.rng.integers(256, size=(count, *case.shape)) for count in counts]
    seen = run(case, host, *blocks)

    odd = begin = 0
    parts = [part for images in blocks for part in case.parts(images)]
    assert len(host.full) == len(parts)
    for part, end in zip(parts, host.full, strict=True):
        memory, count = written(case.geometry, seen[begin:end])
        assert memory == case.expected(part, odd)
        assert count == len(memory)  # no word was written twice
        begin, odd = end, odd ^ int(case.double)
    assert written(case.geometry, seen[begin:])[1] == 0
    assert any(out["waiting"] for out in seen) == bool(stall)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_takes_bytes_as_fast_as_words_are_written(case: Input) -> None:
    host = Host(case, 2, idle=0.0, hold=0.0)
    images = host.rng.integers(256, size=(case.chunk * case.pixels, *case.shape))
    seen = run(case, host, images)
    first = next(at for at, out in enumerate(seen) if out["pixels.ready"])
    lanes = 1 if case.planes else case.lanes
    _, width, channels = case.shape
    least = max(lanes, 2) if width == channels == 1 else lanes
    ahead = max(least - min(channels, 8), 0)  # the first piece need not wait for a place
    pieces = first + case.byte_cycles(len(images)) - ahead
    assert host.full == [pieces + 2 * lanes + Formatter.DRAIN_CYCLES]


def test_nothing_is_written_after_a_hold() -> None:
    case = CASES[1]
    host = Host(case, 3, idle=0.0, hold=0.7)
    seen = run(case, host, host.rng.integers(256, size=(2, *case.shape)))
    for now, then in pairwise(seen):
        assert not (now["hold"] and any(any(write["enable"]) for write in then["writes"]))


@pytest.mark.parametrize("taken", [1, 7, 20])
def test_reset_in_mid_image(taken: int) -> None:
    """After a reset nothing is taken until the next start, and parts begin with the first one."""
    case = Input("3x3x4x16", (3, 4, 2), 8, chunk=1, double=True)
    host = Host(case, taken, idle=0.0, hold=0.0)
    first, second = host.rng.integers(256, size=(2, 2, *case.shape))
    cut: list[int] = []

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield from host.block(first[:1])  # the next part is the second one
        yield host.step(start=1, images=1, room=1, **{"pixels.valid": 0})
        broken = Source([255] * taken, host.rng, 0.0)
        while not broken.empty:
            seen = yield host.step(start=0, **broken.offer("pixels"))
            broken.settle(seen["pixels.ready"])
        yield host.step(rst=1, **{"pixels.valid": 0})
        cut.append(host.cycle)
        for _ in range(SURPLUS_CYCLES):
            seen = yield host.step(rst=0, **{"pixels.valid": 1})
            assert not seen["pixels.ready"]
            assert not any(any(write["enable"]) for write in seen["writes"])
        yield from host.block(second[:1])

    def begin() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield host.step(start=0)
        yield from stimulus()

    seen = trace(Formatter(case.geometry), begin(), *OUTPUTS)
    memory, _ = written(case.geometry, seen[cut[0] :])
    assert memory == case.expected(second[:1], 0)
