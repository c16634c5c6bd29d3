# SPDX-License-Identifier: Apache-2.0
"""Untrained artifacts: every code of every layer occurs, and accumulators lie on thresholds."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from xnorflow.core.artifact import Artifact
from xnorflow.core.epilogue import Affine, AveragePool, PReLU
from xnorflow.core.network import LayerSpec, NetworkSpec
from xnorflow.golden.calibrate import random_artifact
from xnorflow.golden.model import GoldenLayer, GoldenNetwork
from xnorflow.zoo.catalog import sample
from xnorflow.zoo.networks import named

torch.set_num_threads(1)

SMALL = ("cnv", "cnv-padded-w1a2", "nin-cifar10-w1a3", "vgg11-cifar10-w1a2-w8first")


def digest(artifact: Artifact) -> str:
    return artifact.metadata()["digest"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return sample("cifar10")[0]


@pytest.mark.parametrize("name", SMALL)
def test_codes_are_balanced_in_every_layer(images: np.ndarray, name: str) -> None:
    network = named(name, shrink=4)
    codes = GoldenNetwork(random_artifact(network, images))(images).codes
    for layer in network.layers[:-1]:
        levels = 1 << layer.out_lanes
        shares = np.bincount(codes[layer.name].ravel(), minlength=levels) / codes[layer.name].size
        assert shares.shape == (levels,), layer.name
        assert np.abs(shares * levels - 1).max() < 0.25, (layer.name, shares)
        # Pooled or not, no channel is stuck.
        assert (codes[layer.name].std(axis=(0, 1, 2)) > 0).all(), layer.name


@pytest.mark.parametrize("name", SMALL)
def test_accumulators_lie_on_thresholds_and_below(images: np.ndarray, name: str) -> None:
    network = named(name, shrink=4)
    artifact = random_artifact(network, images)
    codes = GoldenNetwork(artifact)(images).codes
    before = "input"
    for layer in network.layers[:-1]:
        golden = GoldenLayer(layer, artifact.weight_bits(layer.name))
        accumulators = golden.accumulate(torch.from_numpy(codes[before])).numpy()
        reached = [np.unique(accumulators[..., c]) for c in range(layer.out_channels)]
        on = np.array([
            np.isin(thresholds, values)
            for thresholds, values in zip(artifact.thresholds(layer.name), reached, strict=True)
        ])  # fmt: skip
        below = np.array([
            np.isin(thresholds - 1, values)
            for thresholds, values in zip(artifact.thresholds(layer.name), reached, strict=True)
        ])  # fmt: skip
        assert (on | below).all(), layer.name
        assert on.any() and below.any(), layer.name
        before = layer.name


def test_only_pooled_layers_pool_by_minimum_and_only_some_channels(images: np.ndarray) -> None:
    network = named("nin-cifar10")
    artifact = random_artifact(network, images[:2])
    for layer in network.layers[:-1]:
        share = artifact.pool_min(layer.name).mean()
        assert 0.1 < share < 0.4 if layer.pool > 1 else share == 0, layer.name


def test_weights_are_fair_coins_in_every_plane(images: np.ndarray) -> None:
    network = named("cnv-w8first")
    artifact = random_artifact(network, images[:2])
    for layer in network.layers:
        bits = artifact.weight_bits(layer.name)
        deviation = 0.5 / np.sqrt(bits[0].size)
        assert (np.abs(bits.mean(axis=(1, 2, 3, 4)) - 0.5) < 5 * deviation).all(), layer.name


def test_the_same_seed_gives_the_same_artifact(images: np.ndarray) -> None:
    network = named("cnv-w1a2", shrink=8)
    one, two = (random_artifact(network, images[:8], 3, data="cifar10") for _ in range(2))
    assert digest(one) == digest(two)
    assert digest(one) != digest(random_artifact(network, images[:8], 4))
    assert one.provenance == {
        "untrained": "random weights of seed 3, thresholds balanced on 8 images",
        "data": "cifar10",
    }


def test_threads_do_not_change_it(images: np.ndarray) -> None:
    network = named("nin-cifar10-w1a2-w8first", shrink=4)
    one = random_artifact(network, images[:8])
    torch.set_num_threads(2)
    try:
        assert digest(random_artifact(network, images[:8])) == digest(one)
    finally:
        torch.set_num_threads(1)


def test_logits_are_about_one_and_every_epilogue_is_filled(images: np.ndarray) -> None:
    layer = LayerSpec("only", (32, 32, 3), 10, in_scales=(2, 1), out_lanes=0)
    network = NetworkSpec("n", (32, 32, 3), (layer,), (Affine(), PReLU(), AveragePool()))
    artifact = random_artifact(network, images)
    assert set(artifact.tensors) == set(network.tensors())
    logits = GoldenNetwork(artifact)(images).logits
    assert 0.01 < np.abs(logits).mean() < 10
    cnv = GoldenNetwork(random_artifact(named("cnv", shrink=4), images))(images)
    assert 0.5 < np.sqrt((cnv.logits**2).mean()) < 2
    assert len(set(cnv.logits.argmax(axis=1))) > 3


def test_one_image_is_enough(images: np.ndarray, tmp_path) -> None:
    artifact = random_artifact(named("vgg11-cifar10-w1a3", shrink=8), images[:1])
    Artifact.load(artifact.save(tmp_path / "one.safetensors"))


def test_wrong_images_are_one_clear_error(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="takes images"):
        random_artifact(named("cnv"), images[:, :28])
    with pytest.raises(TypeError, match="uint8"):
        random_artifact(named("cnv"), images.astype(np.float32))


@pytest.mark.parametrize("name", ["nin-cifar10-w1a3", "vgg11-cifar10-w1a2"])
def test_large_networks_take_seconds(images: np.ndarray, name: str) -> None:
    """On one idle core about 2 and 0.7 seconds; the limit leaves room for a busy one."""
    start = time.process_time()
    GoldenNetwork(random_artifact(named(name), images))(images)
    assert time.process_time() - start < 30
