# SPDX-License-Identifier: Apache-2.0
"""Random networks that a hardware bug would find hard to survive."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder

__all__ = ["random_networks"]


def _signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def _thresholds(rng: np.random.Generator, channels: int, lanes: int, bound: int) -> np.ndarray:
    """Rising thresholds: ordinary ones, ones on the accumulator's extremes, never and always."""
    count = (1 << lanes) - 1
    spread = max(2, int(bound**0.5) * 2)
    ordinary = rng.integers(-spread, spread + 1, (channels, count))
    special = rng.choice([-bound - 1, -bound, 0, bound, bound + 1, 2**31 - 1], (channels, count))
    return np.sort(np.where(rng.random((channels, count)) < 0.8, ordinary, special), axis=1)


@st.composite
def random_networks(draw: st.DrawFn, *, max_layers: int = 4) -> tuple[Artifact, np.ndarray]:
    """An artifact and a few images for it.

    Depth, channels that are not multiples of a word, kernels 1..5 (not always square), stride,
    zero and code borders, pooling by maximum and minimum, 1..3 lanes with uneven lane weights,
    weight planes, fully connected layers after convolutions.
    """
    seed = draw(st.integers(0, 2**32 - 1), label="seed")
    rng = np.random.default_rng(seed)
    flatten = draw(st.booleans(), label="flatten")
    shape = (
        draw(st.integers(1, 9), label="height"),
        draw(st.integers(1, 9), label="width"),
        draw(st.integers(1, 5), label="channels"),
    )
    builder = NetworkBuilder(
        "random",
        image_shape=shape,
        pixel_lanes=draw(st.integers(1, 8) | st.just(8), label="pixel lanes"),
        flatten=flatten,
    )
    layers = draw(st.integers(1, max_layers), label="layers")
    for index in range(layers):
        last = index == layers - 1
        height, width, channels = builder.shape
        kernel = padding = None
        if not draw(st.booleans(), label="fully connected"):
            pads = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)), label="padding")
            kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)), label="kernel")
            padding = tuple(min(p, k - 1) for p, k in zip(pads, kernel, strict=True))
            kernel = (
                min(kernel[0], height + 2 * padding[0]),
                min(kernel[1], width + 2 * padding[1]),
            )
            padding = tuple(min(p, k - 1) for p, k in zip(padding, kernel, strict=True))
            kernel = (
                min(kernel[0], height + 2 * padding[0]),
                min(kernel[1], width + 2 * padding[1]),
            )
        else:
            kernel, padding = (height, width), (0, 0)
        stride = draw(st.integers(1, 3), label="stride")
        out_channels = draw(st.integers(1, 21), label="out channels")
        planes = draw(st.sampled_from([(1,), (1,), (2, 1), (5, 2, 1)]), label="planes")
        border = draw(st.none() | st.integers(0, (1 << len(builder.scales)) - 1), label="border")
        lanes = 0 if last else draw(st.integers(1, 3), label="lanes")
        map_shape = [
            (size + 2 * pad - taps) // stride + 1
            for size, pad, taps in zip((height, width), padding, kernel, strict=True)
        ]
        pool = 1 if last else draw(st.integers(1, min(3, *map_shape)), label="pool")
        overlap = pool > 1 and draw(st.booleans(), label="overlap")
        reduction = kernel[0] * kernel[1] * channels
        bound = reduction * sum(builder.scales) * sum(planes)
        scales = tuple(sorted(rng.integers(1, 40, lanes).tolist(), reverse=True)) or None
        builder.conv(
            _signs(rng, len(planes), out_channels, *kernel, channels),
            thresholds=None if last else _thresholds(rng, out_channels, lanes, bound),
            pool_min=None if last else rng.integers(0, 2, out_channels),
            out_scales=scales,
            weight_scales=planes,
            stride=stride,
            padding=padding,
            border=border,
            pool=pool,
            pool_stride=pool - overlap,
        )
    images = draw(st.integers(1, 5), label="images")
    return builder.build(), rng.integers(0, 256, (images, *shape), dtype=np.uint8)
