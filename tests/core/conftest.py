# SPDX-License-Identifier: Apache-2.0
"""A small artifact that has every kind of tensor, shared by the tests of core."""

from __future__ import annotations

import numpy as np
import pytest

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.epilogue import Affine


@pytest.fixture
def artifact() -> Artifact:
    """6x6x2 images, a padded and pooled 3x3 layer of two-bit codes, a fully connected layer."""
    rng = np.random.default_rng(7)
    builder = NetworkBuilder("small", image_shape=(6, 6, 2), pixel_lanes=4)
    builder.conv(
        rng.choice([-1, 1], (5, 3, 3, 2)),
        thresholds=np.sort(rng.integers(-60, 60, (5, 3)), axis=1),
        pool_min=np.array([0, 1, 0, 0, 1]),
        out_scales=(5, 2),
        padding=(1, 1),
        pool=2,
        name="conv",
    )
    builder.fc(rng.choice([-1, 1], (3, 45)), name="fc")
    return builder.build(
        epilogue=((Affine(), {"scale": np.full(3, 0.5), "bias": np.arange(3)}),),
        classes=("cat", "dog", "bird"),
        provenance={"recipe": "by hand", "seed": 7},
    )
