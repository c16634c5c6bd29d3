# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 networks on the simulated array: every layer of real images, bit for bit and cycle for
cycle; small forms of all of them in the quick tests, the networks themselves in the slow ones."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import torch

from xnorflow.compile.errors import CompileError
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.driver.evaluate import evaluate
from xnorflow.golden.calibrate import random_artifact
from xnorflow.golden.model import GoldenNetwork
from xnorflow.zoo.catalog import sample
from xnorflow.zoo.networks import named

torch.set_num_threads(1)

SMALL = "3x3x8x32"
SHRINK = 8
SMALL_NETWORKS = (
    "cnv",
    "cnv-w1a2",
    "cnv-padded-w1a3",
    "cnv-w1a2-w8first",
    "nin-cifar10",
    "nin-cifar10-w1a2",
    "vgg11-cifar10",
    "vgg11-cifar10-w1a3",
)

OTHERS = ("3x1x8x32", "3x3x4x64", "3x3x4x32,pixels=2")
"""Fewer rows than a pixel has bits; weight loads longer than sums take; images two at a time."""

LARGE = "3x3x16x64"
IMAGES = {
    "cnv": 64,
    "cnv-w1a2": 64,
    "cnv-w1a3": 8,
    "cnv-padded": 8,
    "cnv-padded-w1a2": 8,
    "cnv-w8first": 8,
    "nin-cifar10": 8,
    "nin-cifar10-w1a2": 8,
    "nin-cifar10-w1a3": 4,
    "vgg11-cifar10": 8,
    "vgg11-cifar10-w1a2": 8,
    "vgg11-cifar10-w1a3": 4,
}


@cache
def untrained(name: str, shrink: int = 1) -> Artifact:
    return random_artifact(named(name, shrink=shrink), sample("cifar10")[0])


def fitting(geometry: str, artifacts: list[Artifact]) -> Geometry:
    """That geometry with memories that hold each of the artifacts.

    It does what the compiler's error says, so this also tries the way out that it names.
    """
    for artifact in artifacts:
        for _ in range(20):
            try:
                compile_network(artifact, Geometry.parse(geometry))
                break
            except CompileError as error:
                found = re.search(r"use --geometry (\S+)", str(error))
                assert found, f"{artifact.network.name}: no way out in {error}"
                assert found[1] != geometry
                geometry = found[1]
        else:
            pytest.fail(f"{artifact.network.name} fits nothing, not even {geometry}")
    return Geometry.parse(geometry)


def check(artifact: Artifact, images: np.ndarray, geometry: Geometry) -> None:
    network = artifact.network
    done = evaluate(
        artifact, images, geometry=geometry, jobs=1, golden=GoldenNetwork(artifact), record=True
    )
    assert done.comparison is not None
    assert done.comparison.identical, f"{network.name}: {done.comparison}"
    assert (done.comparison.images, done.comparison.layers) == (len(images), len(network.layers))
    cycles = (done.result.cycles, done.predicted_cycles)
    assert cycles[0] == cycles[1], f"{network.name}: counted and predicted cycles are {cycles}"


@pytest.fixture(scope="module")
def small_geometry() -> Geometry:
    return fitting(SMALL, [untrained(name, SHRINK) for name in SMALL_NETWORKS])


@pytest.fixture(scope="module")
def large_geometry() -> Geometry:
    return fitting(LARGE, [untrained(name) for name in IMAGES])


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_small_forms(small_geometry: Geometry, name: str) -> None:
    check(untrained(name, SHRINK), sample("cifar10")[0][:2], small_geometry)


@pytest.mark.slow
@pytest.mark.parametrize("geometry", OTHERS)
def test_small_forms_on_other_arrays(geometry: str) -> None:
    artifacts = [untrained(name, SHRINK) for name in SMALL_NETWORKS]
    shape = fitting(geometry, artifacts)
    for artifact in artifacts:
        check(artifact, sample("cifar10")[0][:3], shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_whole_networks(large_geometry: Geometry, name: str) -> None:
    check(untrained(name), sample("cifar10")[0][: IMAGES[name]], large_geometry)
