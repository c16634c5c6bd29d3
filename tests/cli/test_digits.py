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


def test_dark_borders_are_cut_and_odd_rows_are_filled() -> None:
    """Rows are cut where all images are dark, columns image by image."""
    first = image(".....", ".#.#.", ".....", ".....")
    second = image(".....", ".....", "..#..", "...#.")
    assert draw(np.stack([first, second])) == [["▀ ▀", "   "], ["▄ ", " ▀"]]


def test_dark_images_and_several_channels() -> None:
    assert draw(np.zeros((1, 2, 3, 3), np.uint8)) == [["   "]]
    assert draw(np.full((1, 2, 2, 3), 200, np.uint8)) == [["██"]]


def test_as_many_as_fit_lie_side_by_side_over_their_captions() -> None:
    pictures, captions = [["█", "▀"], ["▄▄▄▄", "▀   "], ["█", "█"]], ["is 7", "1", "2"]
    wide = ["█      ▄▄▄▄   █", "▀      ▀      █", "is 7   1      2"]
    assert side_by_side(pictures, captions, 15) == wide
    assert side_by_side(pictures, captions, 14) == [line[:11] for line in wide]
    assert side_by_side(pictures, captions, 2) == [line[:4] for line in wide]
