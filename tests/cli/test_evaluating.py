# SPDX-License-Identifier: Apache-2.0
"""``xnorflow eval``: the golden model's accuracy on a whole test set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xnorflow.core.builder import NetworkBuilder
from xnorflow.golden.model import GoldenNetwork
from xnorflow.train.data import load

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """An untrained network for the 8x8 digits, which need no download."""
    rng = np.random.default_rng(0)
    net = NetworkBuilder("digits-random", image_shape=(8, 8, 1), pixel_lanes=4)
    net.conv(rng.choice([-1, 1], (6, 3, 3, 1)), thresholds=np.zeros((6, 1), int))
    net.fc(rng.choice([-1, 1], (10, 6 * 6 * 6)))
    return net.build(provenance={"data": "digits"}).save(tmp_path / "digits.safetensors")


def test_the_whole_test_set(cli: Cli, digits: Path) -> None:
    from xnorflow.core.artifact import Artifact

    status, out, _ = cli("eval", digits, "--json", "--threads", "1")
    assert status == 0
    found = json.loads(out)
    data = load("digits")
    right = GoldenNetwork(Artifact.load(digits)).classify(data.test_images) == data.test_labels
    assert found["accuracy"] == right.mean() and found["images"] == len(right)
    assert found["network"] == "digits-random" and found["seconds"] >= 0


def test_some_images_in_words(cli: Cli, digits: Path) -> None:
    status, out, _ = cli("eval", digits, "--images", "100")
    assert status == 0
    assert "digits-random: " in out and "of 100 test images of digits" in out


def test_mistakes(cli: Cli, file: Path, tmp_path: Path) -> None:
    status, out, err = cli("eval", file)
    assert (status, out) == (2, "")
    assert "two-layers: its provenance names no data set" in err
    status, _, err = cli("eval", "mnist-mlp-w1a1", "--data", tmp_path)
    assert status == 2
    assert f"no mnist files in {tmp_path}; it must hold train-images-idx3-ubyte" in err
