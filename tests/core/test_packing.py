# SPDX-License-Identifier: Apache-2.0
"""Packing: what goes in comes out, and the bit order is the documented one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xnorflow.core.packing import (
    bits_to_words,
    code_lanes,
    lane_values,
    pack_bits,
    pixel_codes,
    unpack_bits,
    words_to_bits,
)

bit_arrays = arrays(np.uint8, array_shapes(max_dims=3, max_side=70), elements=st.integers(0, 1))


@given(bit_arrays)
def test_bytes_come_back(bits: np.ndarray) -> None:
    packed = pack_bits(bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (*bits.shape[:-1], -(-bits.shape[-1] // 8))
    np.testing.assert_array_equal(unpack_bits(packed, bits.shape[-1]), bits)


@given(bit_arrays, st.sampled_from((8, 16, 32, 64)))
def test_words_come_back(bits: np.ndarray, width: int) -> None:
    words = bits_to_words(bits, width)
    assert words.dtype == np.uint64
    assert words.shape == (*bits.shape[:-1], -(-bits.shape[-1] // width))
    assert width == 64 or (words >> np.uint64(width) == 0).all()
    np.testing.assert_array_equal(words_to_bits(words, width, bits.shape[-1]), bits)


def test_the_lowest_index_is_the_lowest_bit() -> None:
    bits = np.zeros(40, np.uint8)
    bits[[0, 9, 39]] = 1
    assert pack_bits(bits).tolist() == [1, 2, 0, 0, 128]
    assert bits_to_words(bits, 16).tolist() == [1 | 1 << 9, 0, 1 << 7]
    assert bits_to_words(bits, 64).tolist() == [1 | 1 << 9 | 1 << 39]


@pytest.mark.parametrize("lanes", range(1, 9))
def test_a_pixel_is_its_highest_bits(lanes: int) -> None:
    pixels = np.arange(256, dtype=np.uint8)
    codes = pixel_codes(pixels, lanes)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [pixel // 2 ** (8 - lanes) for pixel in range(256)]
    scales = tuple(2 ** (lanes - 1 - lane) for lane in range(lanes))
    assert lane_values(codes, scales).tolist() == [
        2 * (pixel // 2 ** (8 - lanes)) - (2**lanes - 1) for pixel in range(256)
    ]


@given(st.integers(1, 3), st.data())
def test_a_code_is_worth_its_signed_lanes(lanes: int, data: st.DataObject) -> None:
    scales = tuple(data.draw(st.lists(st.integers(1, 99), min_size=lanes, max_size=lanes)))
    code = data.draw(st.integers(0, 2**lanes - 1))
    digits = f"{code:0{lanes}b}"  # highest bit first, as the lanes are
    codes = np.array([[code]], np.uint8)
    assert code_lanes(codes, lanes)[:, 0, 0].tolist() == [int(digit) for digit in digits]
    expected = sum(s if d == "1" else -s for s, d in zip(scales, digits, strict=True))
    assert lane_values(codes, scales).tolist() == [[expected]]
