# SPDX-License-Identifier: Apache-2.0
"""Layers as the collector sees them: codes that come in the sequencer's order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tests.gateware.helpers import geometry_of
from tests.gateware.maps import MapModel

from xnorflow.core.geometry import Geometry

__all__ = ["OUTPUTS", "OutputLayer"]


@dataclass(frozen=True)
class OutputLayer:
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

    @cached_property
    def geometry(self) -> Geometry:
        return geometry_of(self.shape, activation_depth=256, threshold_depth=16)

    @cached_property
    def target(self) -> MapModel:
        return MapModel(self.geometry, self.out_shape, self.lanes, self.images, self.base)

    @cached_property
    def tiles(self) -> int:
        return -(-self.out_shape[2] // self.geometry.columns)

    @cached_property
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


OUTPUTS = [
    OutputLayer("2x1x2x8", (3, 4, 5), 1),
    OutputLayer("2x1x2x8", (2, 2, 17), 3, images=3, group=2, base=7),  # three words, ragged group
    OutputLayer("3x3x4x16", (5, 2, 21), 2, pool=2, images=2, group=2),
    OutputLayer("3x3x4x16", (2, 3, 16), 3, pool=3, repeats=2),
    OutputLayer("2x2x3x8", (4, 5, 11), 2, repeats=3, images=2),  # tiles that straddle words
    OutputLayer("2x2x3x8", (1, 1, 9), 3, pool=2, images=3, group=2),
    OutputLayer("2x2x3x8", (2, 1, 11), 3, pool=2, repeats=2),  # fewer windows than repeats
    OutputLayer("3x1x12x8", (4, 3, 29), 3, pool=2, repeats=2),  # tiles of one word and a half
    OutputLayer("3x1x12x8", (1, 1, 30), 2, images=5, flat=True, repeats=2),
    OutputLayer("4x1x12x8", (1, 1, 12), 1, images=1, flat=True, repeats=3),  # fewer than repeats
    OutputLayer("2x2x4x8", (1, 1, 9), 3, images=7, flat=True, base=100),
    OutputLayer("2x1x24x8", (2, 2, 50), 3, images=2),  # tiles of three words
]
