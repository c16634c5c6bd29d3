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
    """A map of ``block`` images.

        bank    = (y + word + lane) mod streams
        address = base + image * image_stride + (y // streams) * line_stride
                  + word * word_stride + lane * lane_stride + x

    Images of a map with one position lie side by side, as if the map were ``block`` wide: one line
    of beats then serves them all while a fully connected layer's weights rest.

    Parameters
    ----------
    geometry : Geometry
    shape : (int, int, int)
        Height, width, channels.
    lanes : int
        Bits of a code.
    block : int
        Images.
    base : int
        First address.
    """

    geometry: Geometry
    shape: Shape
    lanes: int
    block: int
    base: int = 0

    @property
    def flat(self) -> bool:
        """The map has one position."""
        return self.shape[:2] == (1, 1)

    @property
    def width(self) -> int:
        """Addresses of one line."""
        return self.block if self.flat else self.shape[1]

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
        """Addresses from lane to lane."""
        return self.width

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
        """Addresses from image to image."""
        return 1 if self.flat else -(-self.shape[0] // self.geometry.streams) * self.line_stride

    @property
    def size(self) -> int:
        """Addresses of the block in each bank."""
        return self.line_stride if self.flat else self.block * self.image_stride

    def codes(self, tap: npt.NDArray[Any], images: int) -> npt.NDArray[np.uint8]:
        """Codes (images, height, width, channels) after these writes (``TAP_DTYPE``), in order."""
        geometry = self.geometry
        granule = geometry.granule
        count = geometry.word_width // granule
        memory = np.zeros((geometry.streams, geometry.activation_depth, count), np.uint64)
        mask = np.uint64((1 << granule) - 1)
        for index in range(count):
            shift = np.uint64(index * granule)
            chosen = tap[(tap["enable"] >> np.uint64(index)) & np.uint64(1) == 1]
            memory[chosen["bank"], chosen["address"], index] = (
                (chosen["data"] >> shift) & mask
            ) << shift
        words = np.bitwise_or.reduce(memory, axis=2)

        height, width, channels = self.shape
        image, y, x, word, lane = np.ogrid[:images, :height, :width, : self.words, : self.lanes]
        bank = (y + word + lane) % geometry.streams
        address = (
            self.base
            + image * self.image_stride
            + y // geometry.streams * self.line_stride
            + word * self.word_stride
            + lane * self.lane_stride
            + x
        )
        found = words[np.broadcast_arrays(bank, address)[0], address]  # (n, h, w, words, lanes)
        bits = words_to_bits(np.moveaxis(found, -1, 0), geometry.word_width, channels)
        codes = np.zeros((images, height, width, channels), np.uint8)
        for lane_bits in bits:
            codes = codes << np.uint8(1) | lane_bits
        return codes
