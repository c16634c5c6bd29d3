# SPDX-License-Identifier: Apache-2.0
"""Bits, words and lanes. A bit 1 is +1, a bit 0 is -1; the lowest index is in the lowest bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "bits_to_words",
    "code_lanes",
    "lane_values",
    "pack_bits",
    "pixel_codes",
    "unpack_bits",
    "words_to_bits",
]


def pack_bits(bits: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Last axis of 0/1 values to bytes: (..., n) -> (..., ceil(n / 8)), padded with 0."""
    return np.packbits(np.asarray(bits, np.uint8), axis=-1, bitorder="little")


def unpack_bits(packed: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    """Undo :func:`pack_bits`: (..., bytes) -> (..., count) of 0/1."""
    return np.unpackbits(packed, axis=-1, count=count, bitorder="little")


def bits_to_words(bits: npt.NDArray[Any], word_width: int) -> npt.NDArray[np.uint64]:
    """Last axis of 0/1 values to words: (..., n) -> (..., ceil(n / word_width)), padded with 0.

    ``word_width`` is at most 64.
    """
    count = bits.shape[-1]
    words = -(-count // word_width)
    padded = np.zeros((*bits.shape[:-1], words * word_width), np.uint8)
    padded[..., :count] = bits
    grouped = padded.reshape(*bits.shape[:-1], words, word_width)
    wide = np.zeros((*grouped.shape[:-1], 64), np.uint8)
    wide[..., :word_width] = grouped
    return np.ascontiguousarray(pack_bits(wide)).view("<u8")[..., 0].astype(np.uint64)


def words_to_bits(
    words: npt.NDArray[np.uint64], word_width: int, count: int
) -> npt.NDArray[np.uint8]:
    """Undo :func:`bits_to_words`: (..., words) -> (..., count) of 0/1."""
    data = np.ascontiguousarray(words.astype("<u8"))[..., None].view(np.uint8)
    bits = unpack_bits(data, 64)[..., :word_width]
    return bits.reshape(*words.shape[:-1], -1)[..., :count]


def pixel_codes(images: npt.NDArray[np.uint8], lanes: int) -> npt.NDArray[np.uint8]:
    """Codes of uint8 pixels: their highest ``lanes`` bits."""
    return images >> np.uint8(8 - lanes)


def code_lanes(codes: npt.NDArray[np.uint8], lanes: int) -> npt.NDArray[np.uint8]:
    """Lanes of codes, highest bit first: (...) -> (lanes, ...) of 0/1."""
    return np.stack([(codes >> np.uint8(lanes - 1 - lane)) & 1 for lane in range(lanes)])


def lane_values(codes: npt.NDArray[np.uint8], scales: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Activation values of codes: v = sum_l s_l * h_l with h_l in {-1, +1}."""
    signs = code_lanes(codes, len(scales)).astype(np.int64) * 2 - 1
    return np.tensordot(np.asarray(scales, np.int64), signs, axes=1)
