# SPDX-License-Identifier: Apache-2.0
"""The boards that can be built."""

from __future__ import annotations

from xnorflow.boards.board import Board, BoardError
from xnorflow.boards.icebreaker import ICEBREAKER
from xnorflow.boards.tangnano import TANG_NANO_20K
from xnorflow.boards.ulx3s import ULX3S_25F, ULX3S_85F

__all__ = ["BOARDS", "find_board"]

BOARDS = {board.name: board for board in (ICEBREAKER, TANG_NANO_20K, ULX3S_25F, ULX3S_85F)}


def find_board(name: str) -> Board:
    """The board of a name; BoardError, with the names there are, if there is none."""
    if name not in BOARDS:
        raise BoardError(f"no board {name!r}; there are {', '.join(BOARDS)}")
    return BOARDS[name]
