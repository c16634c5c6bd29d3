# SPDX-License-Identifier: Apache-2.0
"""The golden model: the integer network in PyTorch, which the hardware must equal bit for bit.

It is built from an artifact alone and follows docs/numerics.md step by step: codes become values,
a convolution sums them, thresholds turn the sum into the next code, codes are pooled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.core.artifact import Artifact
from xnorflow.core.epilogue import apply_epilogue
from xnorflow.core.images import check_images
from xnorflow.core.network import LayerSpec
from xnorflow.core.packing import lane_values, pixel_codes

__all__ = ["INPUT", "GoldenLayer", "GoldenNetwork", "GoldenResult", "pool_windows"]

INPUT = "input"
"""Key of the pixel codes in :attr:`GoldenResult.codes`."""

EXACT_FLOAT32 = 1 << 24
"""Below this bound every partial sum of a float32 convolution over integers is exact."""

BATCH_ELEMENTS = 1 << 23
"""Most elements that the largest map of one batch may have; bounds the memory in use."""


@dataclass(frozen=True)
class GoldenResult:
    """Everything that the network computed for N images.

    Attributes
    ----------
    codes : dict of str to uint8 ndarray
        ``"input"``: the pixel codes as the first layer sees them; then, by layer name, the code
        of every layer but the last, after pooling. All are (N, height, width, channels).
    accumulators : int64 ndarray
        The last layer's accumulators, (N, height, width, channels).
    logits : float32 ndarray
        What the epilogue makes of them, (N, classes).
    """

    codes: dict[str, npt.NDArray[np.uint8]]
    accumulators: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]


class GoldenLayer(nn.Module):
    """One layer in exact integers: codes (N, H, W, C) to accumulators, and those to pooled codes.

    Parameters
    ----------
    spec : LayerSpec
        The layer.
    bits : uint8 ndarray
        Its weights as 0 and 1: (planes, out_channels, kernel height, width, in_channels).
    """

    weights: Tensor
    values: Tensor

    def __init__(self, spec: LayerSpec, bits: npt.NDArray[np.uint8]) -> None:
        super().__init__()
        self.spec = spec
        exact = spec.accumulator_bound < EXACT_FLOAT32
        self.dtype = torch.float32 if exact else torch.float64
        signs = bits.astype(np.int64) * 2 - 1
        weights = np.tensordot(np.asarray(spec.weight_scales, np.int64), signs, axes=1)
        self._constant("weights", weights.transpose(0, 3, 1, 2))  # (O, kh, kw, I) -> (O, I, kh, kw)
        codes = np.arange(1 << spec.in_lanes, dtype=np.uint8)
        self._constant("values", lane_values(codes, spec.in_scales))

    def _constant(self, name: str, array: npt.NDArray[np.int64]) -> None:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype)
        self.register_buffer(name, tensor)

    @torch.inference_mode()
    def accumulate(self, codes: Tensor) -> Tensor:
        """Accumulators (N, H', W', O) of uint8 codes (N, H, W, C), as exact floats."""
        spec = self.spec
        values = self.values.index_select(0, codes.reshape(-1).int()).view(codes.shape)
        values = values.permute(0, 3, 1, 2)  # (N, C, H, W)
        vertical, horizontal = spec.padding
        if vertical or horizontal:
            border = 0.0 if spec.border is None else float(self.values[spec.border])
            values = F.pad(values, (horizontal, horizontal, vertical, vertical), value=border)
        # NNPACK's Winograd works with fractions; every other CPU path only adds products.
        with torch.backends.nnpack.flags(enabled=False):
            sums = F.conv2d(values, self.weights, stride=spec.stride)
        return sums.permute(0, 2, 3, 1)

    @torch.inference_mode()
    def encode(
        self,
        accumulators: Tensor,
        thresholds: npt.NDArray[np.int32],
        pool_min: npt.NDArray[np.uint8],
    ) -> Tensor:
        """Pooled uint8 codes (N, H'', W'', O) of accumulators (N, H', W', O).

        A code is the number of its channel's ``thresholds``, (O, 2^m - 1), that are reached;
        channels whose ``pool_min``, (O,), is 1 pool by minimum.
        """
        codes = torch.zeros(accumulators.shape, dtype=torch.uint8)
        for threshold in torch.from_numpy(thresholds.T.astype(np.int64)).to(self.dtype):
            codes += accumulators >= threshold
        if self.spec.pool == 1:
            return codes
        # A minimum is a maximum of the mirrored code: top - code, which is code ^ top.
        mirror = torch.from_numpy(pool_min * np.uint8(self.spec.thresholds))
        return pool_windows(codes ^ mirror, self.spec) ^ mirror


def pool_windows(maps: Tensor, spec: LayerSpec) -> Tensor:
    """The largest value of each pooling window: (N, H', W', O) -> (N, H'', W'', O)."""
    height, width, _ = spec.out_shape
    step = spec.pool_stride
    pooled: Tensor | None = None
    for row, column in itertools.product(range(spec.pool), repeat=2):
        rows = slice(row, row + (height - 1) * step + 1, step)
        columns = slice(column, column + (width - 1) * step + 1, step)
        shifted = maps[:, rows, columns]
        pooled = shifted.clone() if pooled is None else torch.maximum(pooled, shifted)
    assert pooled is not None  # for mypy: a window has at least one position
    return pooled


class GoldenNetwork(nn.Module):
    """The integer network of an artifact; calling it gives a :class:`GoldenResult`.

        result = GoldenNetwork(Artifact.load(path))(images)      # images: uint8 (N, H, W, C)

    Parameters
    ----------
    artifact : Artifact
        The only source: nothing of the training package is needed.
    """

    layers: nn.ModuleList

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        self.artifact = artifact
        self.network = artifact.network
        self.layers = nn.ModuleList(
            GoldenLayer(spec, artifact.weight_bits(spec.name)) for spec in self.network.layers
        )
        self.eval()

    def forward(self, images: npt.NDArray[np.uint8]) -> GoldenResult:
        """Every layer's codes, the last accumulators and the logits.

        Parameters
        ----------
        images : uint8 ndarray
            (N, height, width, channels) as the network's ``image_shape`` says.

        Raises
        ------
        TypeError, ValueError
            If the images have another type or shape.
        """
        codes: dict[str, list[npt.NDArray[np.uint8]]] = {}
        accumulators: list[npt.NDArray[np.int64]] = []
        for batch_codes, batch_accumulators in self._batches(images):
            for name, array in batch_codes.items():
                codes.setdefault(name, []).append(array)
            accumulators.append(batch_accumulators)
        result = np.concatenate(accumulators)
        return GoldenResult(
            codes={name: np.concatenate(parts) for name, parts in codes.items()},
            accumulators=result,
            logits=self._logits(result),
        )

    def infer(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits (N, classes) alone; needs less memory than a call."""
        parts = [accumulators for _, accumulators in self._batches(images)]
        return self._logits(np.concatenate(parts))

    def classify(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The class of the largest logit, the first where several are equal: (N,)."""
        classes: npt.NDArray[np.int64] = self.infer(images).argmax(axis=1)
        return classes

    def _logits(self, accumulators: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return apply_epilogue(self.network.epilogue, self.artifact.tensors, accumulators)

    def _batch_size(self) -> int:
        sizes = [
            max(
                spec.in_shape[0] * spec.in_shape[1] * spec.in_shape[2],
                spec.map_shape[0] * spec.map_shape[1] * spec.out_channels,
            )
            for spec in self.network.layers
        ]
        return max(1, BATCH_ELEMENTS // max(sizes))

    def _batches(
        self, images: npt.NDArray[np.uint8]
    ) -> Iterator[tuple[dict[str, npt.NDArray[np.uint8]], npt.NDArray[np.int64]]]:
        """Codes by name and last accumulators, all (n, h, w, c), batch by batch."""
        check_images(images, self.network)
        size = self._batch_size()
        for start in range(0, len(images), size):
            yield self._run(images[start : start + size])

    def _run(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[dict[str, npt.NDArray[np.uint8]], npt.NDArray[np.int64]]:
        first = self.network.layers[0]
        pixels = pixel_codes(images, first.in_lanes).reshape(-1, *first.in_shape)
        results = {INPUT: pixels}
        codes = torch.from_numpy(pixels)
        for layer in self.layers:
            assert isinstance(layer, GoldenLayer)  # for mypy: a ModuleList yields plain modules
            accumulators = layer.accumulate(codes)
            name = layer.spec.name
            if layer.spec.out_lanes:
                thresholds, pool_min = self.artifact.thresholds(name), self.artifact.pool_min(name)
                codes = layer.encode(accumulators, thresholds, pool_min)
                results[name] = codes.numpy()
        return results, accumulators.to(torch.int64).contiguous().numpy()
