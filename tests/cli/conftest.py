# SPDX-License-Identifier: Apache-2.0
"""Calls the command line in this process, and a small artifact to call it with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from xnorflow.cli.main import DEBUG, main
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder

GEOMETRY = "2x2x4x8"
"""Small, so that its simulation is built in seconds."""


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """``cli("info", path)`` runs ``xnorflow info PATH``."""
    monkeypatch.delenv(DEBUG, raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["xnorflow", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def artifact() -> Artifact:
    """Two layers on 5x5 images of one channel; no data set is known for it."""
    rng = np.random.default_rng(4)
    net = NetworkBuilder("two-layers", image_shape=(5, 5, 1), pixel_lanes=2)
    thresholds = np.sort(rng.integers(-9, 9, (6, 3)), axis=1)
    net.conv(rng.choice([-1, 1], (6, 3, 3, 1)), thresholds=thresholds, padding=(1, 1), name="a")
    net.fc(rng.choice([-1, 1], (3, 150)), name="b")
    return net.build(provenance={"recipe": {"name": "by hand", "steps": [1, 2]}})


@pytest.fixture
def file(artifact: Artifact, tmp_path: Path) -> Path:
    """The artifact's file."""
    return artifact.save(tmp_path / "two-layers.safetensors")
