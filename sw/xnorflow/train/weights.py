# SPDX-License-Identifier: Apache-2.0
"""What a layer makes of its hidden weights.

| kind | weight that the layer computes with | array |
|---|---|---|
| sign | B = sign(W) | one plane |
| scaled | alpha B, alpha = mean abs(W) of each filter | one plane, alpha in thresholds |
| 8bit | q_8(W): 256 levels from -1 to 1 | eight planes |
| real | W itself | none |
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xnorflow.core.layer import pixel_scales
from xnorflow.train.binarize import sign, signs_of
from xnorflow.train.estimators import clipped_identity

__all__ = ["KINDS", "filter_scale", "planes", "quantized"]

KINDS = ("sign", "scaled", "8bit", "real")

PLANES = 8
"""Bits of an ``8bit`` weight."""


def filter_scale(weight: Tensor) -> Tensor:
    """alpha = |W|_1 / n of each filter: (O, ...) -> (O,), without a gradient of its own.

    Source: XNOR-Net, equation 6.
    """
    return weight.detach().abs().flatten(1).mean(1)


class _ScaledSign(torch.autograd.Function):
    """B = sign(W), with the gradient that XNOR-Net gives the W of W~ = alpha B.

        dC/dW_i = dC/dW~_i (1/n + alpha dsign/dW_i)        (section 3.1, behind equation 6)

    The layer multiplies by alpha behind its sums, where it costs least, so what arrives here is
    dC/dB_i = alpha dC/dW~_i, and what leaves is dC/dB_i (1/(n alpha) + dsign/dW_i). dsign/dW is 1
    where |W| <= 1, as in the work that the paper cites.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return signs_of(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        weight: Tensor = ctx.saved_tensors[0]
        inputs = weight[0].numel()
        alpha = filter_scale(weight).clamp(min=torch.finfo(weight.dtype).tiny)
        alpha = alpha.view(-1, *[1] * (weight.dim() - 1))
        return clipped_identity(gradients[0], weight) + gradients[0] / (inputs * alpha)


class _Round8(torch.autograd.Function):
    """(2 code - 255) / 256 of the code nearest to W; the gradient passes where |W| <= 1."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return (2 * _codes(weight) - 255) / 256

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        weight: Tensor = ctx.saved_tensors[0]
        return clipped_identity(gradients[0], weight)


def _codes(weight: Tensor) -> Tensor:
    """XNOR-Net's q_8 as codes: [(2^8 - 1) (W + 1) / 2], 0..255."""
    return torch.floor((weight.clamp(-1, 1) + 1) / 2 * 255 + 0.5)


def quantized(weight: Tensor, kind: str) -> Tensor:
    """What the layer convolves with; a ``scaled`` layer's sums are still to be multiplied.

    ``8bit`` is q_8 (XNOR-Net, "k-bit quantization") times 255/256, so that all sums are exact;
    the BatchNorm behind takes the factor in.
    """
    result: Tensor
    if kind == "sign":
        result = sign(weight)
    elif kind == "scaled":
        result = _ScaledSign.apply(weight)  # type: ignore[no-untyped-call]
    elif kind == "8bit":
        result = _Round8.apply(weight)  # type: ignore[no-untyped-call]
    else:
        result = weight
    return result


def planes(weight: Tensor, kind: str) -> tuple[npt.NDArray[np.int64], tuple[int, ...], float]:
    """Signs (planes, *weight.shape), plane weights, and the unit: weight = unit * sum_j t_j g_j."""
    if kind == "8bit":
        codes = _codes(weight.detach()).numpy().astype(np.int64)
        bits = [codes >> (PLANES - 1 - plane) & 1 for plane in range(PLANES)]
        return 2 * np.stack(bits) - 1, pixel_scales(PLANES), 2.0**-PLANES
    return signs_of(weight.detach()).numpy().astype(np.int64)[None], (1,), 1.0
