# SPDX-License-Identifier: Apache-2.0
"""From real numbers to signs: the straight-through sign and the residual binarizer.

sign(0) is +1 everywhere (docs/numerics.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FRACTION_BITS", "Binarizer", "ResidualBinarizer", "Sign", "sign"]

FRACTION_BITS = 6
"""Fixed point of alpha: multiples of 2^-6. BatchNorm keeps alpha_1 near 0.8, so about 6 bits."""

MAX_SCALE = 255
"""Largest integer that a fixed-point alpha may become: 8 bits."""


class _StraightThroughSign(torch.autograd.Function):
    """sign(x) forward; backward as if it were max(-1, min(1, x))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype).mul_(2).sub_(1)  # several times faster than torch.where

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return gradients[0] * (x.abs() <= 1)


def sign(x: Tensor) -> Tensor:
    """-1 or +1, sign(0) = +1; the gradient passes where \\|x\\| <= 1, else it is 0.

    Source: Courbariaux and Bengio 2016, equation 4 (the "straight-through estimator").
    """
    result: Tensor = _StraightThroughSign.apply(x)  # type: ignore[no-untyped-call]
    return result


class Binarizer(nn.Module):
    """An activation with ``lanes`` bits: its value is sum_l scale_l * unit * h_l, h_l -1 or +1.

    Sub-classes give the integers ``scales()`` and the ``unit`` they are multiples of, and
    ``lane_signs(x)``, which both the forward pass and :meth:`codes` use. Codes must not fall
    while x rises: export relies on it.
    """

    lanes: int
    unit: float

    def scales(self) -> tuple[int, ...]:
        """Lane weights as the artifact stores them, falling, positive."""
        raise NotImplementedError

    def lane_signs(self, x: Tensor) -> list[Tensor]:
        """h_1, h_2, ... for x, highest lane first."""
        raise NotImplementedError

    def codes(self, x: Tensor) -> Tensor:
        """The code of x: lane bits (h > 0) read as a binary number, uint8."""
        code = torch.zeros_like(x, dtype=torch.uint8)
        for signs in self.lane_signs(x):
            code = code * 2 + (signs > 0).to(torch.uint8)
        return code


class Sign(Binarizer):
    """One lane: h = sign(x)."""

    lanes = 1
    unit = 1.0

    def scales(self) -> tuple[int, ...]:
        return (1,)

    def lane_signs(self, x: Tensor) -> list[Tensor]:
        return [sign(x)]

    def forward(self, x: Tensor) -> Tensor:
        return sign(x)


class ResidualBinarizer(Binarizer):
    r"""m binarizations, each of what the ones before left over (Tang, Hua, Wang 2017, eq. 3).

        e_1 = x,   h_l = sign(e_l),   e_(l+1) = e_l - alpha_l * h_l,   x ~ sum_l alpha_l * h_l

    alpha_l is the mean of \|e_l\|, tracked over training as a running mean. What the network
    computes with, in training and afterwards, is that mean in fixed point, so the exported
    integers are those it was trained with: alpha_l = scale_l * 2^-FRACTION_BITS.

    Parameters
    ----------
    lanes : int
        m, 1 to 3.
    momentum : float
        Share of each batch in the running mean; the first batch sets it.
    """

    unit = 2.0**-FRACTION_BITS
    running_alpha: Tensor
    seen: Tensor

    def __init__(self, lanes: int, momentum: float = 0.1) -> None:
        super().__init__()
        if not 1 <= lanes <= 3:
            raise ValueError(f"ResidualBinarizer: lanes must be from 1 to 3, not {lanes}")
        self.lanes = lanes
        self.momentum = momentum
        # Halving steps until the first batch: those of a uniform distribution.
        self.register_buffer("running_alpha", 2.0 ** -torch.arange(1, lanes + 1))
        self.register_buffer("seen", torch.tensor(False))

    def scales(self) -> tuple[int, ...]:
        result: list[int] = []
        for alpha in self.running_alpha.tolist():
            highest = result[-1] if result else MAX_SCALE
            result.append(min(max(round(alpha / self.unit), 1), highest))
        return tuple(result)

    def lane_signs(self, x: Tensor) -> list[Tensor]:
        result = []
        for lane in range(self.lanes):
            if self.training:
                self._track(lane, x)
            signs = sign(x)
            result.append(signs)
            # Each sign has its own straight-through gradient, so the residue passes x alone.
            x = x - signs.detach() * (self.scales()[lane] * self.unit)
        if self.training:
            self.seen.fill_(True)
        return result

    @torch.no_grad()
    def _track(self, lane: int, residue: Tensor) -> None:
        weight = self.momentum if self.seen else 1.0
        self.running_alpha[lane] += weight * (residue.abs().mean() - self.running_alpha[lane])

    def forward(self, x: Tensor) -> Tensor:
        signs = self.lane_signs(x)
        value = torch.zeros_like(x)
        for scale, h in zip(self.scales(), signs, strict=True):
            value = value + h * (scale * self.unit)
        return value

    def extra_repr(self) -> str:
        return f"lanes={self.lanes}, scales={self.scales()}"
