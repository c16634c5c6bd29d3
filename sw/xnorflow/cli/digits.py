# SPDX-License-Identifier: Apache-2.0
"""Images drawn in a terminal: two pixels a character, upper and lower half."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["draw", "side_by_side"]

BRIGHT = 96
"""Pixels from here on are drawn."""

GAP = "   "

_BLOCKS = " ▄▀█"


def draw(images: npt.NDArray[np.uint8]) -> list[list[str]]:
    """Each image as lines of half blocks, without its dark borders.

    Parameters
    ----------
    images : uint8 array (N, height, width, channels)
        Channels are averaged.

    Returns
    -------
    list of list of str
        The lines of each image: as many in all of them, as long in each.
    """
    lit = images.mean(axis=-1) >= BRIGHT  # (N, H, W)
    rows = _extent(lit.any(axis=(0, 2)))  # common, so that neighbours stand on one line
    return [_lines(image[rows, _extent(image.any(axis=0))]) for image in lit]


def _extent(lit: npt.NDArray[np.bool_]) -> slice:
    """From the first to the last that is lit; everything if none is."""
    found = np.flatnonzero(lit)
    return slice(found[0], found[-1] + 1) if found.size else slice(None)


def _lines(lit: npt.NDArray[np.bool_]) -> list[str]:
    lit = np.pad(lit, ((0, len(lit) % 2), (0, 0)))
    halves = 2 * lit[0::2] + lit[1::2]  # (H / 2, W): 0..3
    return ["".join(_BLOCKS[pair] for pair in line) for line in halves]


def side_by_side(pictures: list[list[str]], captions: list[str], width: int) -> list[str]:
    """Pictures next to each other, each with its caption below, as many as fit ``width``."""
    lines = [""] * (len(pictures[0]) + 1)
    for picture, caption in zip(pictures, captions, strict=True):
        own = max(len(caption), len(picture[0]))
        joined = [
            f"{line}{GAP if lines[0] else ''}{part.ljust(own)}"
            for line, part in zip(lines, [*picture, caption], strict=True)
        ]
        if lines[0] and len(joined[0]) > width:
            break
        lines = joined
    return lines
