# SPDX-License-Identifier: Apache-2.0
"""The small geometry and the random networks that the benches run."""

from __future__ import annotations

import numpy as np

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry

__all__ = [
    "GEOMETRY",
    "GEOMETRY_VARIABLE",
    "SEED_VARIABLE",
    "grouped_network",
    "small_network",
]

SEED_VARIABLE = "XNORFLOW_BENCH_SEED"
GEOMETRY_VARIABLE = "XNORFLOW_BENCH_GEOMETRY"
"""Environment variables that tell a bench its seed and the geometry of its design."""

GEOMETRY = Geometry.parse(
    "2x2x4x8,activation_depth=256,weight_depth=256,accumulator_depth=40,layer_depth=16,"
    "scale_depth=16,pool_depth=8"
)


def _signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def _thresholds(rng: np.random.Generator, channels: int, lanes: int, spread: int) -> np.ndarray:
    return np.sort(rng.integers(-spread, spread, (channels, (1 << lanes) - 1)), axis=1)


def small_network(seed: int) -> Artifact:
    """Convolution with padding and pooling, a second one with uneven lanes, fully connected."""
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder("bench", image_shape=(6, 6, 2), pixel_lanes=3)
    builder.conv(
        _signs(rng, 9, 3, 3, 2),
        thresholds=_thresholds(rng, 9, 2, 30),
        pool_min=rng.integers(0, 2, 9),
        padding=(1, 1),
        pool=2,
        out_scales=(5, 2),
    )
    builder.conv(_signs(rng, 10, 2, 2, 9), thresholds=_thresholds(rng, 10, 1, 25))
    builder.fc(_signs(rng, 7, 40))
    return builder.build()


def grouped_network(seed: int) -> Artifact:
    """A last layer whose images run in groups and whose channels do not fill its last tile."""
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder("groups", image_shape=(4, 4, 2), pixel_lanes=2)
    builder.conv(_signs(rng, 9, 1, 1, 2), thresholds=_thresholds(rng, 9, 1, 5))
    builder.conv(_signs(rng, 6, 1, 1, 9))
    return builder.build()
