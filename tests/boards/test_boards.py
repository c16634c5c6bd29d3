# SPDX-License-Identifier: Apache-2.0
"""Boards: pins, PLL settings, and what a build says when it cannot be done. No placement."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from xnorflow.boards.board import Board, BoardError
from xnorflow.boards.catalog import BOARDS, find_board
from xnorflow.boards.pll import PLLS, settings
from xnorflow.core.geometry import Geometry
from xnorflow.synthesis.build import describe, divisor_of

EVERY = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


@EVERY
def test_pins_and_oscillator(board: Board) -> None:
    assert set(board.pins) == {"clk", "rx", "tx"}
    assert len(set(board.pins.values())) == 3
    assert board.oscillator_mhz in (12, 25, 27)


@EVERY
def test_the_wanted_clock_is_one_of_the_plls(board: Board) -> None:
    assert board.setting(board.clock_mhz).mhz == pytest.approx(board.clock_mhz, rel=0.02)
    assert board.setting(board.clock_mhz).mhz <= board.clock_mhz


@EVERY
def test_geometries_survive_the_manifest(board: Board) -> None:
    assert Geometry.parse(str(board.geometry)) == board.geometry


@pytest.mark.parametrize(
    ("family", "oscillator", "dividers", "mhz"),
    [
        ("ice40", 12, (0, 79, 4), 60),  # as icepll says
        ("ice40", 12, (0, 63, 4), 48),
        ("ecp5", 25, (1, 2, 8), 50),
        ("gowin", 27, (0, 1, 16), 54),
    ],
)
def test_pll_settings(
    family: str, oscillator: float, dividers: tuple[int, ...], mhz: float
) -> None:
    found = {setting.dividers: setting.mhz for setting in PLLS[family](oscillator)}
    assert found[dividers] == pytest.approx(mhz)


@pytest.mark.parametrize("family", PLLS)
def test_settings_rise(family: str) -> None:
    clocks = [setting.mhz for setting in settings(family, 25)]
    assert clocks == sorted(set(clocks))
    steps = [later - before for before, later in pairwise(clocks) if 20 < before < 100]
    assert max(steps) < 5


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(BoardError, match="icebreaker"):
        find_board("spartan")
    board = find_board("icebreaker")
    with pytest.raises(BoardError, match="smaller array"):
        board.setting(1)
    with pytest.raises(BoardError, match="baud"):
        divisor_of(replace(board, baud=7_000_000), 12)


def test_a_description_is_the_same_twice_and_names_its_hash() -> None:
    board = replace(find_board("icebreaker"))
    setting = board.setting(48)
    text, digest = describe(board, setting, board.geometry)
    assert (text, digest) == describe(board, setting, board.geometry)
    assert f"{int(digest[:8], 16):032b}" in text
    assert (
        describe(replace(board, options=("--placer", "sa")), setting, board.geometry)[1] != digest
    )
    assert describe(board, board.setting(36), board.geometry)[1] != digest
