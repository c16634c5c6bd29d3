# SPDX-License-Identifier: Apache-2.0
"""Where a map lies in the activation banks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry
from xnorflow.core.network import Shape
from xnorflow.core.packing import words_to_bits

__all__ = ["MapLayout"]


@dataclass(frozen=True)
class MapLayout:
    """A map of ``units`` units of ``geometry.pixels`` images.

        bank row    = (y + word // taps + lane) mod streams
        bank column = (x + word) mod taps
        address     = base + unit * image_stride + (y // streams) * line_stride
                      + word * word_stride + lane * lane_stride + x // taps

    so that the words of a window, and the lanes of one word, are each in different banks. The
    units of a flat map, which has one position, lie side by side, as if the map were ``units``
    wide: one line of beats then serves them all while the weights rest.

    Parameters
    ----------
    geometry : Geometry
    shape : (int, int, int)
        Height, width, channels.
    lanes : int
        Bits of a code; 1 where a word holds all bits of a position's pixels.
    units : int
        Units.
    flat : bool
        The map has one position, and its layer takes units as positions.
    base : int
        First address.
    """

    geometry: Geometry
    shape: Shape
    lanes: int
    units: int
    flat: bool
    base: int = 0

    @property
    def words(self) -> int:
        """Channel words of a position."""
        return -(-self.shape[2] // self.geometry.word_width)

    @property
    def tail(self) -> int:
        """Channels in a position's last word."""
        return self.shape[2] - (self.words - 1) * self.geometry.word_width

    @property
    def lane_stride(self) -> int:
        """Addresses from lane to lane: the slots of a line."""
        return -(-(self.units if self.flat else self.shape[1]) // self.geometry.taps)

    @property
    def word_stride(self) -> int:
        """Addresses from channel word to channel word."""
        return self.lanes * self.lane_stride

    @property
    def line_stride(self) -> int:
        """Addresses from a group of ``streams`` lines to the next."""
        return self.words * self.word_stride

    @property
    def image_stride(self) -> int:
        """Addresses from unit to unit; a flat map's units are positions."""
        return 0 if self.flat else -(-self.shape[0] // self.geometry.streams) * self.line_stride

    @property
    def size(self) -> int:
        """Addresses in each bank."""
        return self.line_stride if self.flat else self.units * self.image_stride

    def codes(self, tap: npt.NDArray[Any], images: int) -> npt.NDArray[np.uint8]:
        """Codes (images, height, width, channels) after these writes (``TAP_DTYPE``), in order."""
        geometry = self.geometry
        streams, taps, pixels = geometry.streams, geometry.taps, geometry.pixels
        granule = geometry.granule
        count = geometry.word_width // granule
        shape = (pixels, geometry.banks, geometry.activation_depth, count)
        memory = np.zeros(shape, np.uint64)
        mask = np.uint64((1 << granule) - 1)
        for index in range(count):
            shift = np.uint64(index * granule)
            chosen = tap[(tap["enable"] >> np.uint64(index)) & np.uint64(1) == 1]
            memory[chosen["pixel"], chosen["bank"], chosen["address"], index] = (
                (chosen["data"] >> shift) & mask
            ) << shift
        contents = np.bitwise_or.reduce(memory, axis=3)

        height, width, channels = self.shape
        image, y, x, word, lane = np.ogrid[:images, :height, :width, : self.words, : self.lanes]
        unit = image // pixels
        position = unit if self.flat else x
        bank = (y + word // taps + lane) % streams * taps + (position + word) % taps
        address = (
            self.base
            + unit * self.image_stride
            + y // streams * self.line_stride
            + word * self.word_stride
            + lane * self.lane_stride
            + position // taps
        )
        pixel, bank, address = np.broadcast_arrays(image % pixels + 0 * x, bank, address)
        found = contents[pixel, bank, address]  # (n, h, w, words, lanes)
        bits = words_to_bits(np.moveaxis(found, -1, 0), geometry.word_width, channels)
        codes = np.zeros((images, height, width, channels), np.uint8)
        for lane_bits in bits:
            codes = codes << np.uint8(1) | lane_bits
        return codes
