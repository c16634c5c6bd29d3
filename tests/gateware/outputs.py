# SPDX-License-Identifier: Apache-2.0
"""Rows as the collector sees them: codes that come in the sequencer's order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tests.gateware.helpers import geometry_of
from tests.gateware.maps import MapModel

from xnorflow.core.geometry import Geometry

__all__ = ["OUTPUTS", "OutputRow"]


@dataclass(frozen=True)
class OutputRow:
    """A row as the collector sees it."""

    shape: str
    out_shape: tuple[int, int, int]  # after pooling; of the whole map
    lanes: int
    pool: int = 1
    overlap: bool = False  # windows share their border
    units: int = 1
    line: int = 0  # first output line that the row computes
    flat: bool = False  # the output's units lie side by side
    base: int = 0
    pixels: int = 1
    max_lanes: int = 3

    def __str__(self) -> str:
        height, width, channels = self.out_shape
        return f"{self.shape}x{self.pixels}-{height}x{width}x{channels}-pool{self.pool}"

    @cached_property
    def geometry(self) -> Geometry:
        return geometry_of(
            self.shape, activation_depth=256, pixels=self.pixels, max_lanes=self.max_lanes
        )

    @cached_property
    def target(self) -> MapModel:
        return MapModel(
            self.geometry, self.out_shape, self.lanes, self.units, self.base, flat=self.flat
        )

    @property
    def tiles(self) -> int:
        return -(-self.out_shape[2] // self.geometry.columns)

    @property
    def lines(self) -> int:
        """Output lines of the row."""
        return self.out_shape[0] - self.line

    @property
    def stride(self) -> int:
        """Positions from window to window."""
        return self.pool - self.overlap

    @property
    def map_shape(self) -> tuple[int, int]:
        """Lines and positions that come."""
        width = self.out_shape[1]
        return (self.lines - 1) * self.stride + self.pool, (width - 1) * self.stride + self.pool

    @cached_property
    def row(self) -> dict[str, int]:
        """The program row's fields that the collector uses."""
        target, streams = self.target, self.geometry.streams
        return {
            "tile_last": self.tiles - 1,
            "pool_last": self.pool - 1,
            "pool_overlap": int(self.overlap),
            "out_flat": int(self.flat),
            "out_base": self.base + self.line // streams * target.line_stride,
            "out_start_row": self.line % streams,
            "out_row_last": self.lines - 1,
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
        words = last // width - first // width + 1
        return -(-words // geometry.write_words) * -(-self.lanes // geometry.streams)

    def walk(self) -> list[tuple[int, int, int, int, bool]]:
        """(tile, unit, y, x, closes a window) of each position, in the sequencer's order."""

        def last(at: int) -> bool:
            return at >= self.pool - 1 and (at - self.pool + 1) % self.stride == 0

        height, width = self.map_shape
        return [
            (tile, unit, y, x, last(y) and last(x))
            for tile in range(self.tiles)
            for unit in range(self.units)
            for y in range(height)
            for x in range(width)
        ]

    def random_codes(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Codes before pooling, (images, height, width, channels), and pooling directions."""
        channels = self.out_shape[2]
        size = (self.units * self.pixels, *self.map_shape, channels)
        return rng.integers(1 << self.lanes, size=size), rng.integers(2, size=channels)

    def pooled(self, codes: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """The output map; lines before the row's first one are not in it."""
        side, stride = self.pool, self.stride
        windows = np.lib.stride_tricks.sliding_window_view(codes, (side, side), (1, 2))
        windows = windows[:, ::stride, ::stride]
        return np.where(directions, windows.min((4, 5)), windows.max((4, 5)))

    def expected(self, codes: np.ndarray, directions: np.ndarray) -> dict[tuple[int, ...], int]:
        """What the row leaves in the banks."""
        lines = self.pooled(codes, directions)
        whole = np.zeros((len(lines), *self.out_shape), int)
        whole[:, self.line :] = lines
        kept = {
            self.target.place(image, y, x, word, lane)
            for image in range(len(lines))
            for y in range(self.line, self.out_shape[0])
            for x in range(self.out_shape[1])
            for word in range(self.target.words)
            for lane in range(self.lanes)
        }
        return {key: word for key, word in self.target.words_of(whole).items() if key in kept}

    def cycles(
        self, codes: np.ndarray, directions: np.ndarray, rng: np.random.Generator, idle: float
    ) -> list[dict[str, Any]]:
        """Positions as fast as they may come, or with random gaps."""
        geometry, pixels = self.geometry, self.pixels
        spare = geometry.max_lanes - self.lanes  # bits that the layer does not use
        cycles: list[dict[str, Any]] = [
            {"row": self.row, "units": self.units, "start": 1, "valid": 0},
            {"start": 0},
        ]
        pause = {"start": 0, "valid": 0}
        busy_until = before = 0
        for tile, unit, y, x, closes in self.walk():
            if tile != before:
                cycles.append(pause)
            before = tile
            while rng.random() < idle or (closes and len(cycles) < busy_until):
                cycles.append(pause)
            if closes:
                busy_until = len(cycles) + self.write_cycles(tile)
            here = []
            for column in range(geometry.columns):
                channel = tile * geometry.columns + column
                real = channel < self.out_shape[2]
                for pixel in range(pixels):
                    code = int(codes[unit * pixels + pixel, y, x, channel]) if real else 0
                    junk = int(rng.integers(1 << spare)) if real else 0
                    direction = int(directions[channel]) if real else 0
                    here.append({"code": code << spare | junk, "pool_min": direction})
            cycles.append({"start": 0, "valid": 1, "codes": here})
        return [*cycles, pause]


OUTPUTS = [
    # Tiles that lie whole in a word.
    OutputRow("2x1x2x8", (3, 4, 5), 1),
    OutputRow("2x1x2x8", (2, 2, 17), 3, units=2, base=7),  # three words, two cycles a word
    OutputRow("3x3x4x16", (5, 2, 9), 1, pool=2, units=2, pixels=2, max_lanes=1),
    OutputRow("3x3x4x16", (2, 3, 16), 2, pool=3, base=5),
    OutputRow("3x3x4x16", (3, 4, 6), 3, pool=3, overlap=True, line=1),
    OutputRow("2x2x4x8", (1, 1, 9), 3, units=5, flat=True, base=100, pixels=2),
    OutputRow("4x2x8x8", (6, 3, 40), 2, line=3),
    # Tiles of whole words.
    OutputRow("3x3x16x8", (2, 2, 37), 3, units=2, base=3),
    OutputRow("3x3x16x8", (1, 1, 40), 2, pool=2, units=4, flat=True, pixels=2),
    OutputRow("2x2x16x8", (3, 3, 24), 3, pool=2, overlap=True, max_lanes=3),
    OutputRow("2x3x24x8", (2, 4, 50), 1, max_lanes=1),  # fewer words than a line of banks
    OutputRow("2x1x24x8", (2, 2, 50), 3, units=2),  # more words than one cycle writes
    # Tiles that straddle words.
    OutputRow("2x1x6x8", (2, 3, 11), 2, units=2, pixels=2),
    OutputRow("2x2x3x8", (4, 5, 11), 2, pool=3, overlap=True),
    OutputRow("3x1x12x8", (4, 3, 29), 3, pool=2, line=2),
    OutputRow("3x2x12x8", (1, 1, 30), 2, units=5, flat=True),
    OutputRow("2x2x6x8", (2, 1, 13), 1, pool=2, units=2, max_lanes=1),  # one window in a line
]
