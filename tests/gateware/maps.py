# SPDX-License-Identifier: Apache-2.0
"""Where a map's words lie in the activation banks, position by position."""

from __future__ import annotations

from typing import Any

import numpy as np

from xnorflow.core.geometry import Geometry

__all__ = ["MapModel", "Memory", "written"]

Memory = dict[tuple[int, int, int], int]
"""Words by pixel stream, bank and address."""


class MapModel:
    """A map of codes (height, width, channels) of ``units`` units, from address ``base`` on.

        bank row    = (y + word // taps + lane) mod streams
        bank column = (x + word) mod taps
        address     = base + unit * image_stride + (y // streams) * line_stride
                      + word * word_stride + lane * lane_stride + x // taps

    Image i is pixel stream i mod pixels of unit i // pixels. With ``flat``, a map of one position
    has its units side by side, ``units`` wide.
    """

    def __init__(
        self,
        geometry: Geometry,
        shape: tuple[int, int, int],
        lanes: int,
        units: int,
        base: int = 0,
        *,
        flat: bool = False,
    ) -> None:
        self.geometry, self.shape, self.lanes = geometry, shape, lanes
        self.units, self.base, self.flat = units, base, flat
        height, width, channels = shape
        self.words = -(-channels // geometry.word_width)
        self.tail = channels - (self.words - 1) * geometry.word_width
        self.lane_stride = -(-(units if flat else width) // geometry.taps)
        self.word_stride = lanes * self.lane_stride
        self.line_stride = self.words * self.word_stride
        lines = -(-height // geometry.streams)
        self.image_stride = 0 if flat else lines * self.line_stride
        self.size = self.line_stride if flat else units * self.image_stride

    def place(self, image: int, y: int, x: int, word: int, lane: int) -> tuple[int, int, int]:
        """Pixel stream, bank and address of one word."""
        streams, taps = self.geometry.streams, self.geometry.taps
        unit, pixel = divmod(image, self.geometry.pixels)
        if self.flat:
            x = unit
        address = self.base + unit * self.image_stride + y // streams * self.line_stride
        address += word * self.word_stride + lane * self.lane_stride + x // taps
        row = (y + word // taps + lane) % streams
        return pixel, row * taps + (x + word) % taps, address

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
    """What ``writes`` leave in banks that were full of ones, and how many words were written."""
    memory: Memory = {}
    count = 0
    size = geometry.granule
    ones = (1 << geometry.word_width) - 1
    for out in seen:
        for bank, write in enumerate(out["writes"]):
            for pixel, enable in enumerate(write["enable"]):
                count += bool(enable)
                for granule in range(geometry.word_width // size):
                    if enable >> granule & 1:
                        mask = ((1 << size) - 1) << granule * size
                        key = pixel, bank, write["address"]
                        kept = memory.get(key, ones) & ~mask
                        memory[key] = kept | write["data"][pixel] & mask
    return memory, count
