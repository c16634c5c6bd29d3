# SPDX-License-Identifier: Apache-2.0
"""Is what the array computed, layer by layer, what the golden model computes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xnorflow.core.network import NetworkSpec
from xnorflow.driver.result import RunResult

__all__ = ["Comparison", "GoldenOutputs", "compare", "join_comparisons"]


class GoldenOutputs(Protocol):
    """What the golden model gives; ``xnorflow.golden`` makes it."""

    @property
    def codes(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Codes (N, height, width, channels) of every layer that gives codes."""
        ...

    @property
    def accumulators(self) -> npt.NDArray[np.int64]:
        """Of the last layer: (N, height, width, channels)."""
        ...

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """(N, classes)."""
        ...


@dataclass(frozen=True)
class Comparison:
    """Outcome of :func:`compare`.

    Parameters
    ----------
    images : int
        Images compared.
    layers : int
        Layers compared, the last one's accumulators included; logits are compared too, but not
        counted.
    differences : int
        Values that differ, over everything compared.
    first : str or None
        The first difference on the data's way, in words.
    """

    images: int
    layers: int
    differences: int
    first: str | None

    @property
    def identical(self) -> bool:
        """True if nothing differs."""
        return self.differences == 0

    def __str__(self) -> str:
        if self.first is None:
            return f"identical to the golden model: {self.images} images, {self.layers} layers"
        return f"differs from the golden model in {self.differences} values; first: {self.first}"


def join_comparisons(parts: Sequence[Comparison]) -> Comparison:
    """One comparison of all images, from those of one or more parts in their order."""
    return Comparison(
        images=sum(part.images for part in parts),
        layers=parts[0].layers,
        differences=sum(part.differences for part in parts),
        first=next((part.first for part in parts if part.first is not None), None),
    )


def compare(
    result: RunResult, golden: GoldenOutputs, network: NetworkSpec, *, first_image: int = 0
) -> Comparison:
    """Compare every value: codes of every layer if recorded, accumulators, bits of the logits.

    ``first_image`` is the number of the first image where these are part of more.

    Raises
    ------
    ValueError
        If the shapes differ, so that the two are not of the same images or network.
    """
    stages: list[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]] = []
    layers = [layer.name for layer in network.layers]
    if result.codes is not None:
        for name in layers[:-1]:
            stages.append((f"layer {name}", result.codes[name], golden.codes[name]))
    stages.append((f"layer {layers[-1]}", result.accumulators, golden.accumulators))
    stages.append(("logits", result.logits, golden.logits))
    differences, first = 0, None
    for title, array, expected in stages:
        if array.shape != expected.shape:
            raise ValueError(
                f"{title}: the array gave the shape {array.shape}, the golden model "
                f"{expected.shape}; compare the same images and network"
            )
        wrong = np.argwhere(_bits(array) != _bits(expected))
        differences += len(wrong)
        if len(wrong) and first is None:
            first = _describe(title, wrong[0].tolist(), array, expected, first_image)
    return Comparison(
        images=result.images,
        layers=1 if result.codes is None else len(layers),
        differences=differences,
        first=first,
    )


def _bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats by their bits, so that a NaN equals itself and -0 is not 0."""
    return np.ascontiguousarray(array).view(np.uint32) if array.dtype == np.float32 else array


def _describe(
    title: str,
    index: list[int],
    array: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    first_image: int,
) -> str:
    axes = ("image", "row", "column", "channel") if len(index) == 4 else ("image", "class")
    numbers = (first_image + index[0], *index[1:])
    place = ", ".join(f"{axis} {at}" for axis, at in zip(axes, numbers, strict=True))
    return f"{title}, {place}: array {array[tuple(index)]}, golden {expected[tuple(index)]}"
