# SPDX-License-Identifier: Apache-2.0
"""Images drawn in a terminal: two pixels a character, upper and lower half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.text import Text

__all__ = ["draw", "side_by_side"]

BRIGHT = 96
"""Pixels of a drawing from here on are drawn."""

GAP = "   "

_BLOCKS = " ▄▀█"
_SHADES = " ░▒▓█"


def draw(images: npt.NDArray[np.uint8], *, colours: bool) -> list[list[Text]]:
    """Each image as lines of half blocks.

    Images of one channel are drawings: bright on dark, and dark borders are left out. Others are
    photographs.

    Parameters
    ----------
    images : uint8 array (N, height, width, channels)
        One channel, or red, green and blue.
    colours : bool
        The terminal has colours. Without them photographs are shades, dark to bright.

    Returns
    -------
    list of list of Text
        The lines of each image: as many in all of them, as long in each.
    """
    if images.shape[-1] == 3:
        return [(_painted if colours else _shaded)(image) for image in images]
    lit = images.mean(axis=-1) >= BRIGHT  # (N, H, W)
    rows = _extent(lit.any(axis=(0, 2)))  # common, so that neighbours stand on one line
    return [_lines(image[rows, _extent(image.any(axis=0))]) for image in lit]


def _extent(lit: npt.NDArray[np.bool_]) -> slice:
    """From the first to the last that is lit; everything if none is."""
    found = np.flatnonzero(lit)
    return slice(found[0], found[-1] + 1) if found.size else slice(None)


def _lines(lit: npt.NDArray[np.bool_]) -> list[Text]:
    lit = np.pad(lit, ((0, len(lit) % 2), (0, 0)))
    halves = 2 * lit[0::2] + lit[1::2]  # (H / 2, W): 0..3
    return [Text("".join(_BLOCKS[pair] for pair in line)) for line in halves]


def _painted(image: npt.NDArray[np.uint8]) -> list[Text]:
    """Upper halves in the upper row's colours, on the lower row's."""
    lines = []
    for upper, lower in zip(image[0::2].tolist(), image[1::2].tolist(), strict=True):
        line = Text()
        for (red, green, blue), below in zip(upper, lower, strict=True):
            line.append("▀", f"rgb({red},{green},{blue}) on rgb({below[0]},{below[1]},{below[2]})")
        lines.append(line)
    return lines


def _shaded(image: npt.NDArray[np.uint8]) -> list[Text]:
    """From the image's darkest to its brightest."""
    grey = image.mean(axis=-1).reshape(len(image) // 2, 2, -1).mean(axis=1)
    steps = (grey - grey.min()) / max(float(np.ptp(grey)), 1.0) * (len(_SHADES) - 1)
    return [Text("".join(_SHADES[at] for at in line)) for line in steps.round().astype(int)]


def side_by_side(
    pictures: Sequence[Sequence[Text]], captions: Sequence[str], width: int
) -> list[Text]:
    """Pictures next to each other, each with its caption below, as many as fit ``width``."""
    lines = [Text() for _ in range(len(pictures[0]) + 1)]
    used = 0
    for picture, caption in zip(pictures, captions, strict=True):
        own = max(len(caption), len(picture[0]))
        gap = GAP if used else ""
        if used and used + len(gap) + own > width:
            break
        for line, part in zip(lines, [*picture, Text(caption)], strict=True):
            line.append(gap).append_text(part).append(" " * (own - len(part)))
        used += len(gap) + own
    return lines
