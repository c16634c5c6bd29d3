# SPDX-License-Identifier: Apache-2.0
"""The smallest board's bitstream from nothing, twice, in different folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xnorflow.boards.catalog import find_board
from xnorflow.cli.main import app
from xnorflow.core.geometry import Geometry
from xnorflow.synthesis.build import TimingError, build

pytestmark = pytest.mark.slow  # minutes of placement

# One element a row, four lines of a program.
SMALL = Geometry.parse(
    "2x1x2x64,activation_depth=64,weight_bus=16,weight_depth=1024,accumulator_depth=4,"
    "layer_depth=4,scale_depth=8,pool_depth=2,max_lanes=1,accumulator_width=12,scale_width=1,"
    "mlp,cw_last=0..3,out_word_last=0..3,tile_last=0..31,unit_last=0..3,word_last=0..7"
)


def test_the_same_inputs_give_the_same_bitstream(tmp_path: Path) -> None:
    manifests = []
    for name in ("here", "elsewhere/further"):
        folder = tmp_path / name
        arguments = ["--geometry", str(SMALL), "--clock", "24", "-o", str(folder), "--json"]
        result = CliRunner().invoke(app, ["build", "--board", "icebreaker", *arguments])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == json.loads((folder / "manifest.json").read_text())
        manifests.append(json.loads((folder / "manifest.json").read_text()))
    assert manifests[0] == manifests[1]
    found = manifests[0]
    assert found["fmax_mhz"] >= found["clock_mhz"] == 24
    assert found["gops"] == pytest.approx(2 * SMALL.xnors_per_cycle * 24e-3, rel=1e-3)
    assert found["bitstream_bytes"] == 104_090


def test_a_clock_that_is_not_met_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(TimingError, match=r"longest path takes .* from .* to "):
        build(find_board("icebreaker"), tmp_path, geometry=SMALL, clock_mhz=120)
