# SPDX-License-Identifier: Apache-2.0
"""Untrained artifacts: random weights, and thresholds that real images balance.

They exercise and time an array as a trained network would: every code of every layer occurs, about
equally often, and many accumulators lie exactly on a threshold. They classify nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xnorflow.core.artifact import Artifact
from xnorflow.core.images import check_images
from xnorflow.core.layer import LayerSpec
from xnorflow.core.network import NetworkSpec
from xnorflow.core.packing import pixel_codes, unpack_bits
from xnorflow.golden.model import GoldenLayer, pool_windows

__all__ = ["random_artifact"]

SAMPLES = 1 << 13
"""Accumulators of a channel that its thresholds are taken from, at most; then a random choice."""
POOL_MIN_SHARE = 0.25
"""Share of a pooled layer's channels that pool by minimum."""
SLOPE = 0.25
"""Of the epilogue's PReLU, PyTorch's first value."""


def random_artifact(
    spec: NetworkSpec, images: npt.NDArray[np.uint8], seed: int = 0, *, data: str | None = None
) -> Artifact:
    """An artifact of a network that nobody has trained.

    Layer by layer: weights are fair coins; a channel's thresholds are the quantiles of what the
    images make of it (of its pooled accumulators, where the layer pools), so that its codes are
    balanced. About half of all thresholds are accumulators that occur, the others lie one above.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    images : uint8 ndarray (N, height, width, channels)
        Any N >= 1; a few dozen balance well.
    seed : int
        The same spec, images and seed give the same artifact.
    data : str or None
        Name of the images' data set, for the provenance.

    Returns
    -------
    Artifact
        Its provenance says ``"untrained"``.

    Raises
    ------
    TypeError, ValueError
        If the images are not of the network's shape, or the seed is negative.
    """
    check_images(images, spec)
    rng = np.random.default_rng(seed)
    first = spec.layers[0]
    codes = torch.from_numpy(pixel_codes(images, first.in_lanes).reshape(-1, *first.in_shape))
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    for layer in spec.layers:
        packed = _weights(layer, rng)
        golden = GoldenLayer(layer, unpack_bits(packed, layer.in_shape[2]))
        accumulators = golden.accumulate(codes)
        tensors[f"{layer.name}.weights"] = packed
        if layer.out_lanes:
            flags = _pool_min(layer, rng)
            thresholds = _thresholds(layer, accumulators, flags, rng)
            tensors[f"{layer.name}.thresholds"] = thresholds
            tensors[f"{layer.name}.pool_min"] = flags
            codes = golden.encode(accumulators, thresholds, flags)
    tensors |= _epilogue(spec, float(accumulators.double().square().mean().sqrt()), rng)
    note = f"random weights of seed {seed}, thresholds balanced on {len(images)} images"
    provenance = {"untrained": note} | ({} if data is None else {"data": data})
    return Artifact(spec, tensors, provenance)


def _weights(layer: LayerSpec, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Packed fair coins; bits past the last channel are 0."""
    _, shape = layer.tensors()[f"{layer.name}.weights"]
    packed = rng.integers(0, 256, shape, dtype=np.uint8)
    packed[..., -1] &= np.uint8(0xFF >> (-layer.in_shape[2] % 8))
    return packed


def _pool_min(layer: LayerSpec, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    flags = rng.random(layer.out_channels) < POOL_MIN_SHARE
    return (flags & (layer.pool > 1)).astype(np.uint8)


def _thresholds(
    layer: LayerSpec, accumulators: Tensor, flags: npt.NDArray[np.uint8], rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Thresholds (O, 2^m - 1) of accumulators (N, H, W, O): quantiles of the pooled ones."""
    if layer.pool > 1:
        # A minimum is a maximum of what is negated.
        signs = torch.from_numpy(1.0 - 2.0 * flags).to(accumulators.dtype)
        accumulators = pool_windows(accumulators * signs, layer) * signs
    samples = accumulators.reshape(-1, layer.out_channels).numpy()
    if len(samples) > SAMPLES:
        samples = samples[rng.choice(len(samples), SAMPLES, replace=False)]
    samples = np.sort(samples.T, axis=1)  # (O, samples)
    codes = layer.thresholds + 1
    places = np.arange(1, codes) * samples.shape[1] // codes
    reached = samples[:, places].astype(np.int64)
    return np.sort(reached + rng.integers(0, 2, reached.shape), axis=1).astype(np.int32)


def _epilogue(
    spec: NetworkSpec, magnitude: float, rng: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    """Arrays that bring accumulators of that root mean square to about 1."""
    channels = spec.layers[-1].out_channels
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for index, operation in enumerate(spec.epilogue):
        for key in operation.arrays:
            values = {
                "scale": np.full(channels, 1 / max(magnitude, 1.0)),
                "bias": rng.normal(0, 0.1, channels),
                "slope": np.full(channels, SLOPE),
            }[key]
            arrays[f"epilogue.{index}.{key}"] = values.astype(np.float32)
    return arrays
