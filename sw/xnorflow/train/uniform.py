# SPDX-License-Identifier: Apache-2.0
"""Activations of k bits with equal steps: XNOR-Net's q_k and DoReFa's.

Both give multiples of a power of two, so that sums are exact in float32: their papers' values
times (2^k - 1) / 2^k, a factor that the BatchNorm behind the next sums takes in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xnorflow.core.layer import pixel_scales
from xnorflow.train.binarize import Binarizer

__all__ = ["DoReFa", "Uniform"]


class _Steps(torch.autograd.Function):
    """(code * step + low); the gradient is ``slope`` where low_end <= x <= high_end."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, binarizer: Uniform) -> Tensor:
        ctx.save_for_backward(x)
        ctx.binarizer = binarizer
        scaled: Tensor = binarizer.levels_of(x)
        top, unit = (1 << binarizer.lanes) - 1, binarizer.unit
        return scaled.mul_(2 * unit).add_((binarizer.shift - top) * unit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x: Tensor = ctx.saved_tensors[0]
        binarizer: Uniform = ctx.binarizer
        inside = (x >= binarizer.low) & (x <= 1)
        return gradients[0] * inside * (1 - 2.0**-binarizer.lanes), None


class Uniform(Binarizer):
    """q_k(x) = 2 ([(2^k - 1) (x + 1) / 2] / (2^k - 1) - 1/2), x cut to [-1, 1].

    Source: XNOR-Net, "k-bit quantization"; [.] rounds, a half upwards, so that q_1 is sign. The
    gradient passes where |x| <= 1, as sign's does.

    Parameters
    ----------
    lanes : int
        k, 1 to 3.
    """

    low = -1.0

    def __init__(self, lanes: int) -> None:
        super().__init__()
        if not 1 <= lanes <= 3:
            raise ValueError(f"{type(self).__name__}: lanes must be from 1 to 3, not {lanes}")
        self.lanes = lanes
        self.unit = 2.0**-lanes

    def scales(self) -> tuple[int, ...]:
        return pixel_scales(self.lanes)

    def levels_of(self, x: Tensor) -> Tensor:
        """Codes as floats: [(2^k - 1) (x - low) / (1 - low)]."""
        share = x.clamp(self.low, 1).sub_(self.low).div_(1 - self.low)
        return share.mul_((1 << self.lanes) - 1).add_(0.5).floor_()

    def codes(self, x: Tensor) -> Tensor:
        return self.levels_of(x.detach()).to(torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _Steps.apply(x, self)  # type: ignore[no-untyped-call]
        return result

    def extra_repr(self) -> str:
        return f"lanes={self.lanes}"


class DoReFa(Uniform):
    """quantize_k(x) = [(2^k - 1) x] / (2^k - 1), x cut to [0, 1]; the gradient passes within.

    Source: Zhou and others, DoReFa-Net, arXiv:1606.06160, equations 5 and 10. Its lowest value is
    0, which no sum of signs is: value = unit * (sum_l s_l h_l + shift), and a padded 0 is code 0.
    """

    low = 0.0

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes)
        self.unit = 2.0 ** -(lanes + 1)
        self.shift = (1 << lanes) - 1
        self.border = 0
