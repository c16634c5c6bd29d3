# SPDX-License-Identifier: Apache-2.0
"""The collector: codes of a layer, pooled, in the words where the next layer reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace
from tests.gateware.maps import MapModel, written

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.collector import Collector

OUTPUTS = ("done", "writes")


@dataclass(frozen=True)
class Case:
    """A layer as the collector sees it."""

    shape: str
    out_shape: tuple[int, int, int]  # after pooling
    lanes: int
    pool: int = 1
    images: int = 1
    group: int = 1  # images of one weight load
    repeats: int = 1
    flat: bool = False
    base: int = 0

    @property
    def geometry(self) -> Geometry:
        return geometry_of(self.shape, activation_depth=256, threshold_depth=16)

    @property
    def target(self) -> MapModel:
        return MapModel(self.geometry, self.out_shape, self.lanes, self.images, self.base)

    @property
    def tiles(self) -> int:
        return -(-self.out_shape[2] // self.geometry.columns)

    @property
    def row(self) -> dict[str, int]:
        """The program row's fields that the collector uses."""
        target = self.target
        return {
            "flat": int(self.flat),
            "repeat_last": self.repeats - 1,
            "group": self.images if self.flat else self.group,
            "tile_last": self.tiles - 1,
            "pool_last": self.pool - 1,
            "out_base": self.base,
            "out_row_last": self.out_shape[0] - 1,
            "out_column_last": self.out_shape[1] - 1,
            "out_word_last": target.words - 1,
            "out_lane_last": self.lanes - 1,
            "out_lane_stride": target.lane_stride,
            "out_word_stride": target.word_stride,
            "out_line_stride": target.line_stride,
            "out_image_stride": target.image_stride,
        }

    def write_cycles(self, tile: int) -> int:
        """Cycles that writing one result takes: words that the tile touches, times lane phases."""
        geometry, width = self.geometry, self.geometry.word_width
        first = tile * geometry.columns
        last = min(first + geometry.columns, self.target.words * width) - 1
        return (last // width - first // width + 1) * -(-self.lanes // geometry.streams)

    def walk(self) -> list[tuple[int, int, int, int, bool]]:
        """(tile, image, y, x, closes a window) of each result, in the sequencer's order."""
        height, width, _ = self.out_shape
        order = []
        groups = [range(self.images)]
        if not self.flat:
            starts = range(0, self.images, self.group)
            groups = [range(at, min(at + self.group, self.images)) for at in starts]
        for group in groups:
            for tile in range(self.tiles):
                # A flat map's images are its line of positions.
                lines = [(None, 0)] if self.flat else [
                    (image, y) for image in group for y in range(height * self.pool)
                ]  # fmt: skip
                windows = self.images if self.flat else width
                for image, y in lines:
                    for repeat in range(self.repeats):
                        for window in range(repeat, windows, self.repeats):
                            for inner in range(self.pool):
                                x = window * self.pool + inner
                                last = inner == y % self.pool == self.pool - 1
                                at = (x, 0, 0) if self.flat else (image, y, x)
                                order.append((tile, *at, last))
        return order

    def random_codes(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Codes before pooling, (images, height, width, channels), and pooling directions."""
        height, width, channels = self.out_shape
        size = (self.images, height * self.pool, width * self.pool, channels)
        return rng.integers(1 << self.lanes, size=size), rng.integers(2, size=channels)

    def pooled(self, codes: np.ndarray, directions: np.ndarray) -> np.ndarray:
        height, width, channels = self.out_shape
        windows = codes.reshape(self.images, height, self.pool, width, self.pool, channels)
        return np.where(directions, windows.min((2, 4)), windows.max((2, 4)))

    def cycles(
        self, codes: np.ndarray, directions: np.ndarray, rng: np.random.Generator, idle: float
    ) -> list[dict[str, Any]]:
        """Results as fast as they may come, or with random gaps."""
        geometry = self.geometry
        spare = geometry.max_lanes - self.lanes  # bits that the layer does not use
        cycles: list[dict[str, Any]] = [
            {"row": self.row, "images": self.images, "start": 1, "valid": 0}
        ]
        pause = {"start": 0, "valid": 0}
        busy_until = 0
        for tile, image, y, x, closes in self.walk():
            while rng.random() < idle or (closes and len(cycles) < busy_until):
                cycles.append(pause)
            if closes:
                busy_until = len(cycles) + self.write_cycles(tile)
            here = []
            for column in range(geometry.columns):
                channel = tile * geometry.columns + column
                real = channel < self.out_shape[2]
                code = int(codes[image, y, x, channel]) if real else 0
                junk = int(rng.integers(1 << spare)) if real else 0
                direction = int(directions[channel]) if real else 0
                here.append({"code": code << spare | junk, "pool_min": direction})
            cycles.append({"start": 0, "valid": 1, "codes": here})
        return [*cycles, pause]


CASES = [
    Case("2x1x2x8", (3, 4, 5), 1),
    Case("2x1x2x8", (2, 2, 17), 3, images=3, group=2, base=7),  # three words, ragged group
    Case("3x3x4x16", (5, 2, 21), 2, pool=2, images=2, group=2),
    Case("3x3x4x16", (2, 3, 16), 3, pool=3, repeats=2),
    Case("2x2x3x8", (4, 5, 11), 2, repeats=3, images=2),  # tiles that straddle words
    Case("2x2x3x8", (1, 1, 9), 3, pool=2, images=3, group=2),
    Case("3x1x12x8", (4, 3, 29), 3, pool=2, repeats=2),  # tiles of one word and a half
    Case("3x1x12x8", (1, 1, 30), 2, images=5, flat=True, repeats=2),
    Case("4x1x12x8", (1, 1, 12), 1, images=1, flat=True, repeats=3),  # fewer than repeats
    Case("2x2x4x8", (1, 1, 9), 3, images=7, flat=True, base=100),
    Case("2x1x24x8", (2, 2, 50), 3, images=2),  # tiles of three words
]


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.shape}-{case.out_shape}")
def test_writes_a_layer(case: Case, idle: float) -> None:
    """Two layers in a row; each ends with its last write, and nothing comes after it."""
    geometry = case.geometry
    rng = np.random.default_rng(151)
    stimulus: list[dict[str, Any]] = []
    expected, ends = [], []
    for _ in range(2):
        codes, directions = case.random_codes(rng)
        layer = case.cycles(codes, directions, rng, idle)
        # Up to the last code; through the pool; word by word; registered.
        ends.append(len(stimulus) + len(layer) - 2 + 2 + case.write_cycles(case.tiles - 1) + 1)
        stimulus += [*layer, *[{"valid": 0}] * SURPLUS_CYCLES]
        expected.append(case.target.words_of(case.pooled(codes, directions)))
    seen = trace(Collector(geometry), stimulus, *OUTPUTS)

    begun = [at for at, now in enumerate(stimulus) if now.get("start")]
    for part, (start, end) in enumerate(zip(begun, ends, strict=True)):
        span = seen[start + 1 : (begun[1] if part == 0 else len(seen))]
        memory, _ = written(geometry, span)
        # Bits of channels that the map does not have are 0 in every word.
        assert memory == expected[part]
        writes = [start + 1 + at for at, out in enumerate(span)
                  if any(write["enable"] for write in out["writes"])]  # fmt: skip
        assert writes[-1] == end
        done = [start + 1 + at for at, out in enumerate(span) if out["done"]]
        assert done == list(range(end, start + 1 + len(span)))


def test_reset_in_mid_layer() -> None:
    """After a reset nothing is written, and the next layer is whole."""
    case = CASES[2]
    rng = np.random.default_rng(152)
    codes, directions = case.random_codes(rng)
    layer = case.cycles(codes, directions, rng, 0.0)
    quiet = [{"rst": 0, "valid": 0}] * SURPLUS_CYCLES
    cut = len(layer) // 2
    stimulus = [*layer[:cut], {"rst": 1, "valid": 0}, *quiet, *layer, *quiet]
    seen = trace(Collector(case.geometry), stimulus, *OUTPUTS)
    assert written(case.geometry, seen[: cut + 1])[1] > 0
    assert written(case.geometry, seen[cut + 1 : cut + 1 + SURPLUS_CYCLES])[1] == 0
    memory, _ = written(case.geometry, seen[cut + 1 + SURPLUS_CYCLES :])
    assert memory == case.target.words_of(case.pooled(codes, directions))
