# SPDX-License-Identifier: Apache-2.0
"""bitstreams/: what is there was made of this gateware, and for the boards as they are now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from xnorflow.boards.catalog import BOARDS, find_board
from xnorflow.boards.document import page
from xnorflow.synthesis.build import describe

FOLDER = Path(__file__).resolve().parents[2] / "bitstreams"


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name / "manifest.json").read_text())
    return found


@pytest.mark.parametrize("name", BOARDS)
def test_the_manifest_is_of_the_board(name: str) -> None:
    board, found = find_board(name), manifest(name)
    assert found["geometry"] == str(board.geometry)
    assert found["clock_mhz"] == pytest.approx(board.setting(board.clock_mhz).mhz, abs=1e-4)
    assert found["fmax_mhz"] >= found["clock_mhz"]
    bitstream = FOLDER / name / found["bitstream"]
    if bitstream.suffix == ".bin":  # kept in the repository
        assert hashlib.sha256(bitstream.read_bytes()).hexdigest() == found["bitstream_sha256"]


def test_the_page_is_of_the_manifests() -> None:
    assert (FOLDER / "README.md").read_text() == page(FOLDER)


@pytest.mark.slow  # describes every board's design
@pytest.mark.parametrize("name", BOARDS)
def test_the_design_is_todays(name: str) -> None:
    """Where this fails, `make bitstreams` makes new ones."""
    board = find_board(name)
    _, digest = describe(board, board.setting(board.clock_mhz), board.geometry)
    assert digest == manifest(name)["design_hash"]
