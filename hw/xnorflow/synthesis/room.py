# SPDX-License-Identifier: Apache-2.0
"""Whether a board's block RAM holds a network that is there from the start."""

from __future__ import annotations

from dataclasses import replace

from xnorflow.boards.board import Board, BoardError
from xnorflow.core.baked import Baked
from xnorflow.core.flat import is_flat
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.spram import SharedWeightBank

__all__ = ["check_room", "ice40_blocks"]

_BLOCKS = {"up5k": 30}
"""Block RAMs of 4 kbit by part."""
_SHAPES = ((256, 16), (512, 8), (1024, 4), (2048, 2))
"""Words and bits of an iCE40's block RAM."""


def ice40_blocks(geometry: Geometry) -> int:
    """Block RAMs of all weight banks."""
    width, depth = geometry.rows * geometry.weight_beat, geometry.weight_depth
    return geometry.columns * min(-(-depth // words) * -(-width // bits) for words, bits in _SHAPES)


def check_room(board: Board, geometry: Geometry, baked: Baked) -> None:
    """BoardError if an iCE40 cannot begin with this network; it says which geometry could.

    Its single-port RAM holds nothing when the FPGA starts. The general accelerator reads its
    program at once, and an iCE40's block RAM gives zeros in its first microseconds.
    """
    if board.family != "ice40":
        return
    if not is_flat(geometry):
        raise BoardError(
            f"{board.name}: --net needs a geometry of fully connected layers (mlp), not {geometry}"
        )
    blocks, there = ice40_blocks(geometry), _BLOCKS[board.part]
    if blocks <= there:
        return
    smaller = replace(geometry, weight_depth=baked.contents.weight_words)
    needed = ice40_blocks(smaller)
    kind = "single-port RAM, which holds nothing at the start"
    if needed < there:
        way = f"--geometry {smaller}"
    else:
        way = (
            f"{baked.name} alone needs {needed} of them: build --net for a ULX3S or a Tang Nano, "
            "or build without --net, and let a host load it"
        )
    uses = f"the {kind}" if SharedWeightBank.fits(geometry) else "more than it has"
    raise BoardError(
        f"{board.name}: {geometry} keeps its weights in {uses}; in block RAM they take {blocks} of "
        f"{there} blocks. {way}"
    )
