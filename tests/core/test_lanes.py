# SPDX-License-Identifier: Apache-2.0
"""Fewer lanes at run time: the upper bits of the same codes."""

from __future__ import annotations

import numpy as np
import pytest

from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.lanes import with_lanes
from xnorflow.golden.model import GoldenNetwork


def network(border: int | None = 5) -> Artifact:
    """Three lanes behind the first layer, two behind the second."""
    rng = np.random.default_rng(12)
    net = NetworkBuilder("lanes", image_shape=(6, 6, 2), pixel_lanes=8)
    net.conv(
        rng.choice([-1, 1], (9, 3, 3, 2)),
        thresholds=np.sort(rng.integers(-3000, 3000, (9, 7)), axis=1),
        pool_min=rng.integers(0, 2, 9),
        out_scales=(4, 2, 1),
        pool=2,
        name="a",
    )
    net.conv(
        rng.choice([-1, 1], (5, 3, 3, 9)),
        thresholds=np.sort(rng.integers(-60, 60, (5, 3)), axis=1),
        out_scales=(5, 3),
        padding=(1, 1),
        border=border,
        name="b",
    )
    net.fc(rng.choice([-1, 1], (3, int(np.prod(net.shape)))), name="c")
    return net.build()


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_first_layer_gives_the_upper_bits(lanes: int) -> None:
    artifact = network()
    images = np.random.default_rng(1).integers(0, 256, (4, 6, 6, 2), np.uint8)
    whole = GoldenNetwork(artifact)(images).codes["a"]
    cut = GoldenNetwork(with_lanes(artifact, lanes))(images).codes["a"]
    assert len(np.unique(whole)) > 4
    assert (cut == whole >> (3 - lanes)).all()


def test_specification_and_tensors() -> None:
    artifact = network()
    one = with_lanes(artifact, 1)
    a, b, c = one.network.layers
    assert (a.out_lanes, b.out_lanes, c.out_lanes) == (1, 1, 0)
    assert (a.in_scales, b.in_scales, c.in_scales) == (
        artifact.network.layers[0].in_scales,
        (4,),
        (5,),
    )
    assert b.border == 5 >> 2
    assert (one.thresholds("a")[:, 0] == artifact.thresholds("a")[:, 3]).all()
    assert (one.thresholds("b")[:, 0] == artifact.thresholds("b")[:, 1]).all()
    assert one.provenance["run_time_lanes"] == 1
    two = with_lanes(artifact, 2)
    assert two.network.layers[1].out_lanes == 2
    assert (two.thresholds("a") == artifact.thresholds("a")[:, [1, 3, 5]]).all()
    assert (two.thresholds("b") == artifact.thresholds("b")).all()
    assert with_lanes(artifact, 3) is artifact
    assert with_lanes(network(None), 1).network.layers[1].border is None


def test_fewer_lanes_take_fewer_cycles_on_the_same_geometry() -> None:
    geometry = Geometry.parse("2x2x4x32")
    cycles = [
        compile_network(with_lanes(network(), lanes), geometry).block_cycles(1)
        for lanes in (1, 2, 3)
    ]
    assert cycles[0] < cycles[1] < cycles[2]


def test_errors() -> None:
    for wrong in (0, 4, -1):
        with pytest.raises(ValueError, match=f"from 1 to 3, not {wrong}"):
            with_lanes(network(), wrong)
    for wrong in (True, 1.0, "1"):
        with pytest.raises(TypeError, match="lanes must be an integer"):
            with_lanes(network(), wrong)  # type: ignore[arg-type]
    net = NetworkBuilder("raw", image_shape=(1, 1, 3), pixel_lanes=8)
    net.fc(np.ones((2, 3)))
    with pytest.raises(ValueError, match="has no lanes"):
        with_lanes(net.build(), 1)
