# SPDX-License-Identifier: Apache-2.0
"""``xnorflow sim``: every shipped network, compared bit for bit, with pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from xnorflow.cli import job
from xnorflow.cli.images import find_artifact
from xnorflow.core.artifact import Artifact
from xnorflow.zoo.catalog import names

Cli = Callable[..., tuple[int, str, str]]
LARGE = ("cifar10-nin-w1a2", "fashion-cnn-w1a2")
FIT = tuple(name for name in names() if name not in LARGE)
SMALL = ("--geometry", "3x3x8x32", "--images", "2")


def test_it_shows_digits_figures_and_the_verdict(cli: Cli) -> None:
    status, out, err = cli("sim", *SMALL)
    assert (status, err) == (0, "")
    for name in FIT:
        layers = len(Artifact.load(find_artifact(name)).network.layers)
        assert f"{name}: identical to the golden model: 2 images, {layers} layers" in out
    assert len(re.findall(r"^ *says \w+, is \w+", out, re.M)) == len(FIT)
    for name in LARGE:
        assert f"{name} is left out: the network does not fit 3x3x8x32" in out
    assert out.count("says 7, is 7") == 2 and out.count("says cat, is cat") == 2
    assert "█" in out
    for row in ("accuracy", "cycles per image", "array doing useful work", "cycles per second"):
        assert f"\n  {row} " in out


def test_json_has_one_object_for_each_network(cli: Cli) -> None:
    status, out, err = cli("sim", *SMALL, "--json")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert tuple(shown) == FIT
    for name, figures in shown.items():
        assert figures["network"] == name
        assert figures["identical_to_golden"] is True
        assert figures["cycles"] == figures["predicted_cycles"]


def test_one_wrong_weight_ends_with_status_1_and_its_place(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden model of one network gets a flipped weight in its last layer, class 3."""
    right = job.golden_result

    def golden(artifact: Artifact, images: np.ndarray) -> object:
        if artifact.network.name != "mnist-mlp-w1a1":
            return right(artifact, images)
        last = artifact.network.layers[-1].name
        weights = artifact.tensors[f"{last}.weights"].copy()
        weights[0, 3, 0, 0, 0] ^= 1
        changed = artifact.tensors | {f"{last}.weights": weights}
        return right(Artifact(artifact.network, changed), images)

    monkeypatch.setattr(job, "golden_result", golden)
    status, out, err = cli("sim", *SMALL)
    assert status == 1
    last = Artifact.load(find_artifact("mnist-mlp-w1a1")).network.layers[-1].name
    assert err.startswith("error: mnist-mlp-w1a1 differs from the golden model in ")
    assert f"first: layer {last}, image 0, row 0, column 0, channel 3: array " in err
    assert "mnist-cnn-w1a2: identical" in out
    assert "mnist-mlp-w1a1: identical" not in out
