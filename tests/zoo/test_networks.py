# SPDX-License-Identifier: Apache-2.0
"""The CIFAR-10 networks: shapes and sizes as published, names, and what is no name."""

from __future__ import annotations

import numpy as np
import pytest

from xnorflow.core.epilogue import Affine, AveragePool
from xnorflow.core.network import LayerSpec, NetworkSpec
from xnorflow.train import datafiles
from xnorflow.zoo.catalog import names as shipped
from xnorflow.zoo.networks import CLASSES, LANE_SCALES, named, names, normal_name

WEIGHTS = {
    # FINN's CNV has 1,542,848 weights (Umuroglu et al. 2017); the others are counted by hand.
    "cnv": 1_542_848,
    # Three times 3x3 pairs as BinaryNet's, then 4 * 4 * 256 inputs to 512.
    "cnv-padded": 27 * 64 + 9 * (64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256)
    + 16 * 256 * 512 + 512 * 512 + 512 * 10,
    # Network in Network has 966,986 parameters with its 1,418 biases.
    "nin-cifar10": 966_986 - (192 + 160 + 96 + 5 * 192 + 10),
    # The eight convolutions of VGG-11 and 512 * 10.
    "vgg11-cifar10": 9_217_728 + 5_120,
}  # fmt: skip
MAPS = {
    "cnv": [30, 14, 12, 5, 3, 1, 1, 1, 1],
    "cnv-padded": [32, 16, 16, 8, 8, 4, 1, 1, 1],
    "nin-cifar10": [32, 32, 15, 15, 15, 7, 7, 7, 7],
    "vgg11-cifar10": [16, 8, 8, 4, 4, 2, 2, 1, 1],
}


def weights(network: NetworkSpec) -> int:
    return sum(layer.reduction * layer.out_channels for layer in network.layers)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_networks_are_those_of_the_papers(name: str) -> None:
    network = named(name)
    assert weights(network) == WEIGHTS[name]
    assert [layer.out_shape[0] for layer in network.layers] == MAPS[name]
    assert all(layer.out_shape[0] == layer.out_shape[1] for layer in network.layers)
    assert (network.image_shape, network.logits, network.classes) == ((32, 32, 3), 10, CLASSES)
    assert (AveragePool() in network.epilogue) == (name == "nin-cifar10")
    assert Affine() in network.epilogue


def test_pools() -> None:
    pools = {
        name: [(layer.pool, layer.pool_stride) for layer in named(name).layers if layer.pool > 1]
        for name in WEIGHTS
    }
    assert pools == {
        "cnv": [(2, 2)] * 2,
        "cnv-padded": [(2, 2)] * 3,
        "nin-cifar10": [(3, 2)] * 2,
        "vgg11-cifar10": [(2, 2)] * 5,
    }


@pytest.mark.parametrize("name", names())
def test_lanes_planes_and_borders(name: str) -> None:
    network = named(name)
    first, *inner = network.layers
    lanes = int(name.partition("-w1a")[2][0])
    assert network.name == name
    assert first.in_scales == (128, 64, 32, 16, 8, 4, 2, 1)
    assert first.weight_scales == (first.in_scales if name.endswith("-w8first") else (1,))
    assert {layer.in_scales for layer in inner} == {LANE_SCALES[lanes]}
    assert {layer.weight_scales for layer in inner} == {(1,)}
    # A padded inner position contributes nothing, a padded pixel as little as one can: 1 of 255.
    assert all(layer.border is None for layer in inner)
    assert first.border == (128 if any(first.padding) else None)
    assert {layer.kind for layer in inner if layer.name.startswith("fc")} <= {"fc"}
    # Nothing passes the 24 bits in which the golden model is fast.
    assert max(layer.accumulator_bound for layer in network.layers) < 1 << 23


def test_residual_lane_scales_are_those_of_a_normal_distribution() -> None:
    rest = np.random.default_rng(0).normal(size=1_000_000)
    alphas = []
    for _ in range(3):
        alphas.append(np.abs(rest).mean())
        rest = np.abs(rest) - alphas[-1]
    assert LANE_SCALES[3] == tuple(round(64 * alpha) for alpha in alphas)
    assert LANE_SCALES[2] == LANE_SCALES[3][:2]


def test_names() -> None:
    assert len(set(names())) == len(names()) == 4 * 3 * 2
    assert normal_name("cnv") == "cnv-w1a1"
    assert normal_name("nin-cifar10-w8first") == "nin-cifar10-w1a1-w8first"
    assert named("cnv") == named("cnv-w1a1")
    assert not set(names()) & set(shipped())


@pytest.mark.parametrize("name", ["cnv-w1a4", "cnv-w1a2-w1a2", "cnv w1a1", "", "cnv-w8first-w1a2"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no network") as error:
        named(name)
    assert "-w1a1, -w1a2 or -w1a3, then -w8first" in str(error.value)


def test_the_nearest_names_are_told() -> None:
    for wrong, near in (
        ("cvn", "near it: cnv"),
        ("vgg", "near it: vgg11-cifar10;"),
        ("NIN", "near it: nin-cifar10;"),
        ("cnv-w1a9", "cnv-w1a"),
    ):
        with pytest.raises(ValueError, match=near):
            named(wrong)
    with pytest.raises(ValueError, match="'resnet18'; a name is one of cnv, cnv-padded"):
        named("resnet18")
    with pytest.raises(TypeError, match="must be a string, not 3"):
        named(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_shrunken_network_has_the_same_structure(name: str) -> None:
    full, small = named(name), named(name, shrink=8)
    assert small.name == f"{normal_name(name)}-by8"

    def structure(layer: LayerSpec) -> tuple[object, ...]:
        return (layer.name, layer.kernel, layer.padding, layer.border, layer.map_shape,
                layer.out_shape[:2], layer.pool, layer.pool_stride, layer.out_lanes)  # fmt: skip

    assert list(map(structure, small.layers)) == list(map(structure, full.layers))
    channels = [layer.out_channels for layer in full.layers[:-1]]
    assert [layer.out_channels for layer in small.layers] == [*(c // 8 for c in channels), 10]


@pytest.mark.parametrize("shrink", [0, -1, 2.0, True])
def test_shrinking_needs_a_positive_integer(shrink: int) -> None:
    with pytest.raises(ValueError, match="shrink must be a positive integer"):
        named("cnv", shrink=shrink)


def test_classes_are_the_data_set_s() -> None:
    assert datafiles.CLASSES["cifar10"] == CLASSES
