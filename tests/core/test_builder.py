# SPDX-License-Identifier: Apache-2.0
"""The builder: plain arrays become an artifact, and mistakes are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xnorflow.core.artifact import Artifact, ArtifactError
from xnorflow.core.builder import NetworkBuilder

WEIGHTS = np.where(np.random.default_rng(5).random((4, 3, 3, 2)) < 0.5, -1, 1)


def builder() -> NetworkBuilder:
    return NetworkBuilder("net", image_shape=(6, 6, 2))


def test_arrays_come_back(artifact: Artifact) -> None:
    rng = np.random.default_rng(7)  # as the fixture draws them
    weights = rng.choice([-1, 1], (5, 3, 3, 2))
    thresholds = np.sort(rng.integers(-60, 60, (5, 3)), axis=1)
    np.testing.assert_array_equal(artifact.weight_bits("conv")[0] * 2 - 1.0, weights)
    np.testing.assert_array_equal(artifact.thresholds("conv"), thresholds)
    assert artifact.pool_min("conv").tolist() == [0, 1, 0, 0, 1]
    last = rng.choice([-1, 1], (3, 45))
    bits = artifact.weight_bits("fc")
    assert bits.shape == (1, 3, 3, 3, 5)
    np.testing.assert_array_equal(bits.reshape(3, 45) * 2 - 1.0, last)
    assert artifact.network.layers[1].in_scales == (5, 2)


def test_planes_borders_and_flattened_images() -> None:
    rng = np.random.default_rng(6)
    net = NetworkBuilder("net", image_shape=(2, 2, 3), pixel_lanes=1, flatten=True)
    net.fc(rng.choice([-1, 1], (2, 7, 12)), thresholds=np.zeros((7, 1), int), weight_scales=(4, 1))
    net.fc(rng.choice([-1, 1], (3, 7)))
    layers = net.build().network.layers
    assert layers[0].in_shape == (1, 1, 12)
    assert (layers[0].planes, layers[0].in_lanes, layers[1].in_scales) == (2, 1, (1,))
    padded = builder().conv(WEIGHTS, padding=(1, 2), border=3, stride=2)
    assert padded.build().network.layers[0].border == 3


def test_pools_lie_side_by_side_unless_told() -> None:
    zeros = np.zeros((4, 1), int)
    side_by_side = builder().conv(WEIGHTS, thresholds=zeros, padding=(1, 1), pool=3)
    assert (side_by_side.layers[0].pool_stride, side_by_side.shape) == (3, (2, 2, 4))
    overlapping = builder().conv(WEIGHTS, thresholds=zeros, padding=(1, 1), pool=2, pool_stride=1)
    assert (overlapping.layers[0].pool_stride, overlapping.shape) == (1, (5, 5, 4))


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (WEIGHTS * 0, {}, "must be -1 or \\+1"),
        (WEIGHTS * 2, {}, "must be -1 or \\+1"),
        (WEIGHTS[0], {}, "shaped"),
        (WEIGHTS[..., :1], {}, "need 1 planes and 2 input channels"),
        (WEIGHTS, {"weight_scales": (2, 1)}, "need 2 planes"),
        (WEIGHTS, {"thresholds": np.zeros((4, 2), int)}, r"thresholds must be \(4, 1, 3 or 7\)"),
        (WEIGHTS, {"thresholds": np.zeros((3, 1), int)}, r"thresholds must be \(4, 1, 3 or 7\)"),
        (WEIGHTS, {"thresholds": np.full((4, 1), 1 << 31)}, "must fit 32 bits"),
        (WEIGHTS, {"thresholds": np.zeros((4, 1), int), "pool_min": [0, 1]}, "pool_min must be"),
        (WEIGHTS, {"thresholds": np.zeros((4, 1), int), "pool_min": [0, 1, 2, 0]}, "of 0 or 1"),
        (WEIGHTS, {"pool_min": [0, 0, 0, 0]}, "pool_min needs thresholds"),
        (WEIGHTS, {"padding": (3, 3)}, "smaller than the kernel"),
    ],
)
def test_mistakes_name_the_layer(weights: Any, options: dict[str, Any], message: str) -> None:
    net = builder()
    with pytest.raises(ValueError, match=message) as error:
        net.conv(weights, name="first", **options)
    assert "layer 'first'" in str(error.value)
    assert (net.layers, net.tensors) == ([], {})


def test_float_thresholds_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="thresholds must be integers, not float64"):
        builder().conv(WEIGHTS, thresholds=np.zeros((4, 1)))


def test_a_name_is_given_once() -> None:
    net = builder().conv(WEIGHTS, thresholds=np.zeros((4, 1), int), name="a")
    with pytest.raises(ValueError, match="layer 'a': the network has a layer of that name"):
        net.fc(np.ones((2, 64), int), name="a")


@pytest.mark.parametrize("shape", [(2, 71), (72,), (1, 1, 2, 72)])
def test_fully_connected_weights_must_cover_the_map(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"weights must be \(out, 72\) .* for a map of \(6, 6, 2\)"
    ):
        builder().fc(np.ones(shape, int))


@pytest.mark.parametrize("lanes", [0, 9, -1])
def test_pixel_lanes_are_from_1_to_8(lanes: int) -> None:
    net = NetworkBuilder("net", image_shape=(6, 6, 2), pixel_lanes=lanes)
    with pytest.raises(ValueError, match="in_scales"):
        net.conv(WEIGHTS)


def test_the_last_layer_gives_accumulators() -> None:
    with pytest.raises(ValueError, match="the last layer must give raw accumulators"):
        builder().conv(WEIGHTS, thresholds=np.zeros((4, 1), int)).build()
    with pytest.raises(ArtifactError, match="a channel's thresholds fall"):
        net = builder().conv(WEIGHTS, thresholds=np.array([[0, 1, 2]] * 3 + [[2, 1, 3]]))
        net.fc(np.ones((2, 64), int)).build()
