# SPDX-License-Identifier: Apache-2.0
"""Integer thresholds of a trained block, found by evaluating the block itself.

Nothing is derived from BatchNorm's formula: whatever float32 does to an integer accumulator on
its way to a code, the thresholds reproduce it, because they were read off its results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xnorflow.train.binarize import Binarizer
from xnorflow.train.blocks import Block

__all__ = ["ChannelCodes", "find_thresholds"]

SCAN_LIMIT = 1 << 24
"""Evaluations up to which every accumulator is looked at; above, bisection where it is proved."""

Codes = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class ChannelCodes:
    """What :func:`find_thresholds` found.

    Attributes
    ----------
    thresholds : int64 ndarray
        (channels, 2^m - 1), rising; a code k needs acc >= thresholds[k - 1]. Within
        [-bound, bound + 1]: the ends mean always and never.
    falling : bool ndarray
        (channels,) True where the thresholds hold for -acc: the channel's function falls.
    """

    thresholds: npt.NDArray[np.int64]
    falling: npt.NDArray[np.bool_]


def find_thresholds(
    block: Block,
    *,
    bound: int,
    unit: float,
    name: str,
    offset: npt.NDArray[np.int64] | int = 0,
) -> ChannelCodes:
    """Find every channel's thresholds for accumulators from -bound to bound.

    All integers in that range are evaluated where that is cheap. Otherwise, and only where each
    step of the block is proved monotone (BatchNorm: a product and a sum with constants; PReLU
    with slopes >= 0; the binarizers), the thresholds are found by bisection.

    Parameters
    ----------
    block : Block
        In ``eval()``, with a binarizer.
    bound : int
        Largest magnitude of the integer accumulator, below 2^24.
    unit : float
        What the block's sums are multiples of: sum = (accumulator + offset) * unit.
    name : str
        The layer's name, for errors.
    offset : int64 ndarray or int
        (channels,) What is added to each accumulator.

    Raises
    ------
    ValueError
        If a channel's code neither rises nor falls with its accumulator, or its BatchNorm has
        constants that are not finite; the message names layer and channel.
    """
    if block.training:
        raise ValueError(f"layer {name!r}: thresholds are those of eval(), not of training")
    if bound >= 1 << 24:
        raise ValueError(f"layer {name!r}: accumulators up to {bound} do not fit float32 exactly")
    if block.binarizer is None:
        raise ValueError(f"layer {name!r}: a block without a binarizer has no thresholds")
    binarizer = block.binarizer
    finite = torch.isfinite(torch.stack(block.norm.folded())).all(dim=0)
    if not finite.all():
        channel = int(finite.int().argmin())
        raise ValueError(f"layer {name!r}, channel {channel}: BatchNorm's constants are not finite")
    channels, levels = block.norm.num_features, (1 << binarizer.lanes) - 1

    def codes(accumulators: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Codes (k, channels) of accumulators (k, channels) or (k, 1)."""
        return _codes(block, binarizer, accumulators + offset, unit)

    ends = codes(np.array([[-bound], [bound]]))
    falling = ends[0] > ends[1]
    if (2 * bound + 1) * channels <= SCAN_LIMIT or not _monotone(block):
        thresholds = _scan(codes, bound, levels, falling, name)
    else:
        thresholds = _bisect(codes, bound, levels, falling)
    return ChannelCodes(thresholds, falling)


@torch.no_grad()
def _codes(
    block: Block, binarizer: Binarizer, accumulators: npt.NDArray[np.int64], unit: float
) -> npt.NDArray[np.uint8]:
    sums: Tensor = torch.from_numpy(accumulators).float() * unit
    return binarizer.codes(block.normalize(sums)).numpy()


def _monotone(block: Block) -> bool:
    """Whether every step is known never to turn."""
    return block.prelu is None or bool((block.prelu.weight >= 0).all())


def _scan(
    codes: Codes, bound: int, levels: int, falling: npt.NDArray[np.bool_], name: str
) -> npt.NDArray[np.int64]:
    """Evaluate every accumulator, checking that no channel turns."""
    channels = len(falling)
    counts = np.zeros((channels, levels), np.int64)
    previous = np.zeros(channels, np.uint8)
    chunk = max(1, SCAN_LIMIT // (4 * channels))
    for start in range(-bound, bound + 1, chunk):
        rising = np.arange(start, min(start + chunk, bound + 1))[:, None]
        found = codes(np.where(falling, -rising, rising))
        turns = (np.diff(found, axis=0, prepend=previous[None]).view(np.int8) < 0).any(axis=0)
        if turns.any():
            raise ValueError(
                f"layer {name!r}, channel {int(turns.argmax())}: its code neither rises nor falls "
                "with the sum, so no thresholds give it; keep PReLU slopes >= 0 in training"
            )
        previous = found[-1]
        for level in range(levels):
            counts[:, level] += (found <= level).sum(axis=0)
    # As many accumulators as stay below a level lie before its threshold.
    return counts - bound


def _bisect(
    codes: Codes, bound: int, levels: int, falling: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Halve all channels' and levels' intervals together."""
    wanted = np.arange(1, levels + 1)[:, None]  # (levels, 1)
    low = np.full((levels, len(falling)), -bound)  # the threshold is at least low ...
    high = np.full((levels, len(falling)), bound + 1)  # ... and at most high
    while (low < high).any():
        middle = (low + high) // 2
        reached = codes(np.where(falling, -middle, middle)) >= wanted
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    return np.ascontiguousarray(high.T)
