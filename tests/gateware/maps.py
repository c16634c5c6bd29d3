# SPDX-License-Identifier: Apache-2.0
"""Where a map's words lie in the activation banks, position by position."""

from __future__ import annotations

from typing import Any

import numpy as np

from xnorflow.core.geometry import Geometry

__all__ = ["MapModel", "Memory", "written"]

Memory = dict[tuple[int, int], int]
"""Words by bank and address."""


class MapModel:
    """A map of codes (height, width, channels) of ``images`` images, from address ``base`` on.

        bank    = (y + word + lane) mod streams
        address = base + image * image_stride + (y // streams) * line_stride
                  + word * word_stride + lane * lane_stride + x

    A map of one position has its images side by side, ``images`` wide.
    """

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

    def place(self, image: int, y: int, x: int, word: int, lane: int) -> tuple[int, int]:
        """Bank and address of one word."""
        streams = self.geometry.streams
        address = self.base + image * self.image_stride + y // streams * self.line_stride
        address += word * self.word_stride + lane * self.lane_stride + x
        return (y + word + lane) % streams, address

    def words_of(self, codes: np.ndarray) -> Memory:
        """Words that hold ``codes`` (images, height, width, channels); lane 0 is the top bit."""
        memory: Memory = {}
        for (image, y, x, channel), code in np.ndenumerate(codes):
            word, bit = divmod(channel, self.geometry.word_width)
            for lane in range(self.lanes):
                key = self.place(image, y, x, word, lane)
                plane = int(code) >> (self.lanes - 1 - lane) & 1
                memory[key] = memory.get(key, 0) | plane << bit
        return memory


def written(geometry: Geometry, seen: list[dict[str, Any]]) -> tuple[Memory, int]:
    """What ``writes`` leave in banks that were full of ones, and how many there were."""
    memory: Memory = {}
    count = 0
    size = geometry.granule
    ones = (1 << geometry.word_width) - 1
    for out in seen:
        for bank, write in enumerate(out["writes"]):
            count += bool(write["enable"])
            for granule in range(geometry.word_width // size):
                if write["enable"] >> granule & 1:
                    mask = ((1 << size) - 1) << granule * size
                    key = bank, write["address"]
                    memory[key] = memory.get(key, ones) & ~mask | write["data"] & mask
    return memory, count
