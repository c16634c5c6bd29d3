# SPDX-License-Identifier: Apache-2.0
"""Straight-through estimators: what stands in for the derivative of sign, which is 0.

Each takes the gradient of sign's result and sign's argument x, and gives the gradient of x.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["ESTIMATORS", "Estimator", "approx_sign", "clipped_identity", "swish_sign"]

Estimator = Callable[[Tensor, Tensor], Tensor]

SWISH_BETA = 5.0
"""Steepness of swish-sign; the paper tries 5 and 10."""


def clipped_identity(gradient: Tensor, x: Tensor) -> Tensor:
    """d sign / dx ~ 1 where |x| <= 1, else 0.

    Source: Courbariaux and others, BinaryNet, arXiv:1602.02830, equation 4; XNOR-Net, section
    3.1; the 1_(|A| <= 1) of Tang, Hua, Wang 2017, algorithm 1.
    """
    # One pass. hardtanh's own derivative is 0 on its ends, so they lie one step past 1.
    end = 1 + torch.finfo(x.dtype).eps
    result: Tensor = torch.ops.aten.hardtanh_backward(gradient, x, -end, end)
    return result


def approx_sign(gradient: Tensor, x: Tensor) -> Tensor:
    """d sign / dx ~ 2 - 2 |x| where |x| <= 1, else 0: a piecewise parabola's derivative.

    Source: Liu and others, Bi-Real Net, ECCV 2018, arXiv:1808.00278, equation 7.
    """
    return gradient * x.abs().mul_(-2).add_(2).clamp_(min=0)


def swish_sign(gradient: Tensor, x: Tensor) -> Tensor:
    """d sign / dx ~ beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x)), beta = SWISH_BETA.

    Source: Darabi and others, BNN+, arXiv:1812.11800, equation 4: the derivative of
    SS(x) = 2 sigma(beta x) (1 + beta x (1 - sigma(beta x))) - 1.
    """
    steep = x * SWISH_BETA
    # 1 / (1 + cosh z) = 2 sigma(z) sigma(-z) overflows nowhere.
    share = torch.sigmoid(steep) * torch.sigmoid(-steep) * 2
    return gradient * (2 - steep * torch.tanh(steep / 2)) * share * SWISH_BETA


ESTIMATORS: dict[str, Estimator] = {
    "identity": clipped_identity,
    "approx": approx_sign,
    "swish": swish_sign,
}
"""By the names that recipes use."""
