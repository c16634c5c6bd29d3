# SPDX-License-Identifier: Apache-2.0
"""Images as half blocks."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from xnorflow.cli.pictures import draw, side_by_side


def image(*rows: str) -> np.ndarray:
    return np.array([[255 * (pixel == "#") for pixel in row] for row in rows], np.uint8)[..., None]


def drawn(images: np.ndarray) -> list[list[str]]:
    return [[line.plain for line in picture] for picture in draw(images, colours=False)]


def test_two_rows_are_one_line() -> None:
    ring = image("###", "#.#", "###", ".#.")
    assert drawn(ring[None]) == [["█▀█", "▀█▀"]]


def test_dark_borders_are_cut_and_odd_rows_are_filled() -> None:
    """Rows are cut where all images are dark, columns image by image."""
    first = image(".....", ".#.#.", ".....", ".....")
    second = image(".....", ".....", "..#..", "...#.")
    assert drawn(np.stack([first, second])) == [["▀ ▀", "   "], ["▄ ", " ▀"]]


def test_dark_images() -> None:
    assert drawn(np.zeros((1, 2, 3, 1), np.uint8)) == [["   "]]
    assert drawn(np.full((1, 2, 2, 1), 200, np.uint8)) == [["██"]]


def test_photographs_are_shades_from_dark_to_bright_or_have_their_colours() -> None:
    photograph = np.array([[[10, 10, 10], [90, 0, 0]], [[10, 10, 10], [0, 250, 80]]], np.uint8)
    assert drawn(photograph[None]) == [[" █"]]
    assert drawn(np.zeros((1, 2, 2, 3), np.uint8)) == [["  "]]
    ((line,),) = draw(photograph[None], colours=True)
    assert line.plain == "▀▀"
    assert [span.style for span in line.spans] == [
        "rgb(10,10,10) on rgb(10,10,10)",
        "rgb(90,0,0) on rgb(0,250,80)",
    ]


def test_as_many_as_fit_lie_side_by_side_over_their_captions() -> None:
    captions = ["is 7", "1", "2"]
    pictures = [
        [Text(line) for line in lines] for lines in (["█", "▀"], ["▄▄▄▄", "▀   "], ["█", "█"])
    ]

    def lines(width: int) -> list[str]:
        return [line.plain for line in side_by_side(pictures, captions, width)]

    wide = ["█      ▄▄▄▄   █", "▀      ▀      █", "is 7   1      2"]
    assert lines(15) == wide
    assert lines(14) == [line[:11] for line in wide]
    assert lines(2) == [line[:4] for line in wide]
