# SPDX-License-Identifier: Apache-2.0
"""Images drawn in a terminal: two pixels a character, upper and lower half."""

from __future__ import annotations

from itertools import chain

import numpy as np
import numpy.typing as npt

__all__ = ["draw", "side_by_side"]

BRIGHT = 96
"""Pixels from here on are drawn."""

_BLOCKS = " ▄▀█"


def draw(images: npt.NDArray[np.uint8]) -> list[list[str]]:
    """Each image as lines of half blocks, without the border that is dark in all of them.

    Parameters
    ----------
    images : uint8 array (N, height, width, channels)
        Channels are averaged.

    Returns
    -------
    list of list of str
        The lines of each image, all of the same number and length.
    """
    lit = images.mean(axis=-1) >= BRIGHT  # (N, H, W)
    rows = np.flatnonzero(lit.any(axis=(0, 2)))
    columns = np.flatnonzero(lit.any(axis=(0, 1)))
    if rows.size:
        lit = lit[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    lit = np.pad(lit, ((0, 0), (0, lit.shape[1] % 2), (0, 0)))
    halves = 2 * lit[:, 0::2] + lit[:, 1::2]  # (N, H / 2, W): 0..3
    return [["".join(_BLOCKS[pair] for pair in line) for line in image] for image in halves]


def side_by_side(pictures: list[list[str]], captions: list[str], gap: int = 3) -> list[str]:
    """Pictures next to each other, each with its caption below."""
    width = max(chain([len(c) for c in captions], [len(line) for p in pictures for line in p[:1]]))
    space = " " * gap
    lines = [space.join(line.ljust(width) for line in row) for row in zip(*pictures, strict=True)]
    return [*lines, space.join(caption.ljust(width) for caption in captions)]
