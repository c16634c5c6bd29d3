# SPDX-License-Identifier: Apache-2.0
"""The float epilogue: last accumulators to logits, one function for golden model and driver.

Everything is float32 numpy, element by element and in a fixed order, so both sides get the same
bits. Accumulators come as (images, height, width, channels) int64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

__all__ = [
    "Affine",
    "AveragePool",
    "EpilogueOp",
    "PReLU",
    "Softmax",
    "apply_epilogue",
    "op_from_json",
    "op_to_json",
]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """y = x * scale + bias, a channel each: scale layer, alpha, BatchNorm and bias in one."""

    kind: ClassVar[str] = "affine"
    arrays: ClassVar[tuple[str, ...]] = ("scale", "bias")

    def __call__(self, x: Array, arrays: Mapping[str, Array]) -> Array:
        return (x * arrays["scale"] + arrays["bias"]).astype(np.float32)


@dataclass(frozen=True)
class PReLU:
    """y = x where x >= 0, else slope * x, a channel each."""

    kind: ClassVar[str] = "prelu"
    arrays: ClassVar[tuple[str, ...]] = ("slope",)

    def __call__(self, x: Array, arrays: Mapping[str, Array]) -> Array:
        y: Array = np.where(x >= 0, x, x * arrays["slope"]).astype(np.float32)
        return y


@dataclass(frozen=True)
class AveragePool:
    """Mean over height and width, in float64, position by position."""

    kind: ClassVar[str] = "average_pool"
    arrays: ClassVar[tuple[str, ...]] = ()

    def __call__(self, x: Array, arrays: Mapping[str, Array]) -> Array:
        total = x.astype(np.float64).sum(axis=(1, 2), keepdims=True)
        mean: Array = (total / (x.shape[1] * x.shape[2])).astype(np.float32)
        return mean


@dataclass(frozen=True)
class Softmax:
    """exp(x - max) / sum, over channels."""

    kind: ClassVar[str] = "softmax"
    arrays: ClassVar[tuple[str, ...]] = ()

    def __call__(self, x: Array, arrays: Mapping[str, Array]) -> Array:
        power = np.exp((x - x.max(axis=-1, keepdims=True)).astype(np.float64))
        share: Array = (power / power.sum(axis=-1, keepdims=True)).astype(np.float32)
        return share


EpilogueOp = Affine | PReLU | AveragePool | Softmax
_OPS: dict[str, type[EpilogueOp]] = {op.kind: op for op in (Affine, PReLU, AveragePool, Softmax)}


def op_to_json(op: EpilogueOp) -> str:
    """The operation's name in the artifact."""
    return op.kind


def op_from_json(kind: Any) -> EpilogueOp:
    """The operation of that name; ValueError lists the known ones."""
    if not isinstance(kind, str) or kind not in _OPS:
        raise ValueError(f"unknown epilogue operation {kind!r}; known: {', '.join(_OPS)}")
    return _OPS[kind]()


def apply_epilogue(
    ops: tuple[EpilogueOp, ...],
    tensors: Mapping[str, npt.NDArray[Any]],
    accumulators: npt.NDArray[np.integer[Any]],
) -> Array:
    """Logits (images, height * width * classes) from accumulators (images, h, w, channels).

    ``tensors`` holds ``epilogue.<index>.<array>`` as float32 of shape (channels,).
    """
    x = accumulators.astype(np.float32)
    for index, op in enumerate(ops):
        x = op(x, {key: tensors[f"epilogue.{index}.{key}"] for key in op.arrays})
    return x.reshape(len(x), -1)
