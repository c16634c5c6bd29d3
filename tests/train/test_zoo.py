# SPDX-License-Identifier: Apache-2.0
"""The shipped networks: what they are, where they came from, and that they classify."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.golden.model import GoldenNetwork
from xnorflow.train.recipes import Recipe, recipe
from xnorflow.zoo.catalog import artifact_path, names, sample, sample_path

torch.set_num_threads(1)

WANTED = {
    "cifar10-cnv-w1a1": 0.82,
    "cifar10-cnv-w1a2": 0.83,
    "cifar10-nin-w1a2": 0.76,
    "fashion-cnn-w1a2": 0.9,
    "mnist-mlp-w1a1": 0.975,
    "mnist-cnn-w1a2": 0.988,
}
"""Least share of the 10,000 test images that each network must get right."""


def test_the_catalog_lists_the_shipped_networks() -> None:
    assert set(names()) == set(WANTED)
    with pytest.raises(ValueError, match="no shipped network 'x'; known: cifar10-cnv-w1a1"):
        artifact_path("x")
    with pytest.raises(ValueError, match="no shipped sample of data set 'x'"):
        sample("x")


def test_the_sample_is_uint8_and_small() -> None:
    images, labels = sample("mnist")
    assert images.shape == (512, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (512,) and labels.dtype == np.uint8
    # The first ten labels of MNIST's test images, as everyone knows them.
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert sample_path("mnist").stat().st_size < 150_000


@pytest.mark.parametrize("name", WANTED)
def test_a_shipped_network_states_and_keeps_its_accuracy(name: str) -> None:
    path = artifact_path(name)
    assert path.stat().st_size < 1_000_000
    artifact = Artifact.load(path)
    provenance = artifact.provenance
    assert artifact.network.name == name
    assert Recipe.from_json(provenance["recipe"]) == recipe(name)
    assert provenance["seed"] == recipe(name).seed
    assert provenance["test"]["images"] == 10_000
    assert provenance["test"]["accuracy"] >= WANTED[name]
    assert provenance["test"]["equal_logits"] is True
    images, labels = sample(provenance["data"])
    right = (GoldenNetwork(artifact).classify(images) == labels).mean()
    share = provenance["test"]["accuracy"]
    deviation = (share * (1 - share) / len(images)) ** 0.5
    assert abs(right - share) < 3 * deviation


@pytest.mark.parametrize("name", WANTED)
def test_a_shipped_network_fits_the_default_accumulators(name: str) -> None:
    network = Artifact.load(artifact_path(name)).network
    bound = max(layer.accumulator_bound for layer in network.layers)
    assert bound < min(1 << 22, Geometry.parse("3x3x8x32").accumulator_limit)
