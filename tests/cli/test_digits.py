# SPDX-License-Identifier: Apache-2.0
"""Images as half blocks."""

from __future__ import annotations

import numpy as np

from xnorflow.cli.digits import draw, side_by_side


def image(*rows: str) -> np.ndarray:
    return np.array([[255 * (pixel == "#") for pixel in row] for row in rows], np.uint8)[..., None]


def test_two_rows_are_one_line() -> None:
    ring = image("###", "#.#", "###", ".#.")
    assert draw(ring[None]) == [["█▀█", "▀█▀"]]


def test_the_common_dark_border_is_cut_and_odd_rows_are_filled() -> None:
    first = image(".....", ".#...", ".....", ".....")
    second = image(".....", ".....", "..#..", "...#.")
    assert draw(np.stack([first, second])) == [["▀  ", "   "], [" ▄ ", "  ▀"]]


def test_dark_images_and_several_channels() -> None:
    assert draw(np.zeros((1, 2, 3, 3), np.uint8)) == [["   "]]
    assert draw(np.full((1, 2, 2, 3), 200, np.uint8)) == [["██"]]


def test_captions_lie_below() -> None:
    lines = side_by_side([["█", "▀"], ["▄", " "]], ["7 = 7", "1"], gap=2)
    assert lines == ["█      ▄    ", "▀           ", "7 = 7  1    "]
