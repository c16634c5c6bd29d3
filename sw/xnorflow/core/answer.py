# SPDX-License-Identifier: Apache-2.0
"""How a device without a host names a class: the float epilogue as one multiplication a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.epilogue import Affine, Softmax
from xnorflow.core.network import NetworkSpec

__all__ = ["Answer"]

SCALE_BITS = 24
"""Of the largest scale: as many as a float32 has."""


@dataclass(frozen=True)
class Answer:
    """What stands between the last accumulators of one image and the name of its class.

    The class is the one whose ``accumulator * scale + bias`` is the largest; of equal ones, the
    first. These are the logits but for their rounding: the largest scale is exact, the others are
    rounded to its last bit, and sums are not rounded, as a float32's are.

    Parameters
    ----------
    image_bytes : int
        Bytes of an image: row, position, channel.
    scale, bias : tuple of int
        A class each.
    names : tuple of str
        The classes'; their numbers, where the network names none.
    """

    image_bytes: int
    scale: tuple[int, ...]
    bias: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def class_bits(self) -> int:
        """Bits of a class's number."""
        return max(1, (len(self.names) - 1).bit_length())

    @classmethod
    def of(cls, network: NetworkSpec, tensors: Mapping[str, npt.NDArray[Any]]) -> Answer:
        """The answer of a network.

        Parameters
        ----------
        network : NetworkSpec
        tensors : mapping
            Arrays of the epilogue, named as in the artifact.

        Raises
        ------
        ValueError
            If a class needs more than one accumulator, or the epilogue more than scale and bias.
        """
        last = network.layers[-1]
        height, width = last.map_shape
        if height * width != 1:
            raise ValueError(
                f"{network.name}: a device without a host adds no positions up, and the last layer "
                f"has {height}x{width} of them"
            )
        scale = [Fraction(1)] * last.out_channels
        bias = [Fraction(0)] * last.out_channels
        for index, op in enumerate(network.epilogue):
            if isinstance(op, Affine):
                factors, terms = (
                    [Fraction(float(value)) for value in tensors[f"epilogue.{index}.{key}"]]
                    for key in op.arrays
                )
                scale = [value * factor for value, factor in zip(scale, factors, strict=True)]
                bias = [
                    value * factor + term
                    for value, factor, term in zip(bias, factors, terms, strict=True)
                ]
            elif not isinstance(op, Softmax):  # which changes no order
                raise ValueError(
                    f"{network.name}: a device without a host has no {op.kind!r} of the epilogue; "
                    "it has affine and softmax"
                )
        unit = Fraction(2) ** (_exponent(max(map(abs, scale))) - SCALE_BITS)
        named = network.classes or tuple(str(index) for index in range(last.out_channels))
        rows, columns, channels = network.image_shape
        return cls(
            image_bytes=rows * columns * channels,
            scale=tuple(round(value / unit) for value in scale),
            bias=tuple(round(value / unit) for value in bias),
            names=named,
        )

    def classes(self, accumulators: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Classes (N,) of accumulators (N, classes)."""
        scores = accumulators.astype(object) * np.array(self.scale, object)
        best: npt.NDArray[np.int64] = np.argmax(scores + np.array(self.bias, object), axis=-1)
        return best

    def score_bits(self, accumulator_width: int) -> int:
        """Bits of a signed score."""
        largest = max(
            (abs(scale) << accumulator_width - 1) + abs(bias)
            for scale, bias in zip(self.scale, self.bias, strict=True)
        )
        return largest.bit_length() + 1


def _exponent(value: Fraction) -> int:
    """Least e with value < 2^e; of 0, 0."""
    if not value:
        return 0
    estimate = value.numerator.bit_length() - value.denominator.bit_length()
    return next(e for e in range(estimate - 1, estimate + 2) if value < Fraction(2) ** e)
