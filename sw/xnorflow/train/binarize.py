# SPDX-License-Identifier: Apache-2.0
"""From real numbers to signs: the straight-through sign and the residual binarizer.

sign(0) is +1 everywhere (docs/numerics.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from xnorflow.train.distributed import joint_mean
from xnorflow.train.estimators import Estimator, clipped_identity

__all__ = [
    "FRACTION_BITS",
    "Binarizer",
    "ResidualBinarizer",
    "Sign",
    "sign",
    "signs_of",
    "unrounded_alphas",
]

FRACTION_BITS = 6
"""Fixed point of alpha: multiples of 2^-6. Behind a BatchNorm alpha_1 is 0.5 to 3: 6 to 8 bits."""

MAX_SCALE = 255
"""Largest integer that a fixed-point alpha may become, 8 bits; a larger alpha is cut."""


PART = 1 << 18
"""Values that a CPU takes through several operations at once: what its second cache holds."""


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """Views of x's images that a CPU's cache holds; x itself on other devices."""
    if x.device.type != "cpu" or x.numel() <= PART:
        return (x,)
    return torch.split(x, max(1, PART * len(x) // x.numel()))


def signs_of(x: Tensor) -> Tensor:
    """-1 or +1, without a gradient."""
    return _with_signs(x.new_ones(()), x)


def _with_signs(magnitude: Tensor, x: Tensor) -> Tensor:
    """magnitude * sign(x), in x's type."""
    result = torch.empty_like(x)
    for part, to in zip(_parts(x), _parts(result), strict=True):
        # Adding 0 makes -0 to +0. Ten times as fast as a choice between two constants.
        torch.add(part, 0.0, out=to)
        torch.copysign(magnitude, to, out=to)
    return result


class _StraightThroughSign(torch.autograd.Function):
    """sign(x) forward, the estimator backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, estimator: Estimator) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = estimator
        return signs_of(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x: Tensor = ctx.saved_tensors[0]
        gradient: Tensor = ctx.estimator(gradients[0], x)
        return gradient, None


def sign(x: Tensor, estimator: Estimator = clipped_identity) -> Tensor:
    """-1 or +1, sign(0) = +1 (Tang, Hua, Wang 2017, eq. 1), with the estimator's gradient."""
    result: Tensor = _StraightThroughSign.apply(x, estimator)  # type: ignore[no-untyped-call]
    return result


class Binarizer(nn.Module):
    """An activation with ``lanes`` bits: its value is unit * (sum_l scale_l * h_l + shift).

    h_l is -1 or +1. Codes must not fall while x rises: export relies on it. ``border`` is the
    code of the value 0 that convolutions pad with; None where no code has it.
    """

    lanes: int
    unit: float
    shift: int = 0
    border: int | None = None

    def scales(self) -> tuple[int, ...]:
        """Lane weights as the artifact stores them, falling, positive."""
        raise NotImplementedError

    def codes(self, x: Tensor) -> Tensor:
        """The code of x, uint8: lane bits (1 where h is +1) read as a binary number."""
        raise NotImplementedError


class Sign(Binarizer):
    """One lane: h = sign(x)."""

    lanes = 1
    unit = 1.0

    def __init__(self, estimator: Estimator = clipped_identity) -> None:
        super().__init__()
        self.estimator = estimator

    def scales(self) -> tuple[int, ...]:
        return (1,)

    def codes(self, x: Tensor) -> Tensor:
        return (x >= 0).to(torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        return sign(x, self.estimator)


class _ResidualSum(torch.autograd.Function):
    """sum_l alpha_l * sign(e_l), each sign with the estimated gradient of its own e_l.

    The residues' earlier signs count as constants: the slope is sum_l alpha_l * dsign(e_l)/dx.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, binarizer: ResidualBinarizer) -> Tensor:
        residues, alphas = [x], [x.new_tensor(binarizer.alpha(0, x))]
        for lane in range(1, binarizer.lanes):
            residues.append(torch.empty_like(x))
            for part, left in zip(_parts(residues[-2]), _parts(residues[-1]), strict=True):
                torch.sub(part, _with_signs(alphas[-1], part), out=left)
            alphas.append(x.new_tensor(binarizer.alpha(lane, residues[-1])))
        value, slope = torch.empty_like(x), torch.empty_like(x)
        together = zip(*(_parts(e) for e in residues), strict=True)
        for values, slopes, lanes in zip(_parts(value), _parts(slope), together, strict=True):
            pairs = list(zip(alphas, lanes, strict=True))
            steep = (binarizer.estimator(alpha.expand_as(e), e) for alpha, e in pairs)
            values.copy_(reduce(Tensor.add_, (_with_signs(alpha, e) for alpha, e in pairs)))
            slopes.copy_(reduce(Tensor.add_, steep))
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        slope: Tensor = ctx.saved_tensors[0]
        return gradients[0] * slope, None


class ResidualBinarizer(Binarizer):
    """m binarizations, each of what the ones before left over (Tang, Hua, Wang 2017, eq. 3).

        e_1 = x,   h_l = sign(e_l),   e_(l+1) = e_l - alpha_l * h_l,   x ~ sum_l alpha_l * h_l

    alpha_l is the mean of |e_l|, tracked over training as a running mean. What the network
    computes with, in training and afterwards, is that mean in fixed point, so the exported
    integers are those it was trained with: alpha_l = scale_l * 2^-FRACTION_BITS.

    Parameters
    ----------
    lanes : int
        m, 1 to 3.
    momentum : float
        Share of each batch in the running mean; the first batch sets it.
    estimator : Estimator
        Of each sign's gradient.
    """

    unit = 2.0**-FRACTION_BITS
    running_alpha: Tensor
    seen: Tensor

    def __init__(
        self, lanes: int, momentum: float = 0.1, estimator: Estimator = clipped_identity
    ) -> None:
        super().__init__()
        if not 1 <= lanes <= 3:
            raise ValueError(f"ResidualBinarizer: lanes must be from 1 to 3, not {lanes}")
        self.lanes = lanes
        self.momentum = momentum
        self.estimator = estimator
        self._rounded = True
        # Halving steps until the first batch: those of a uniform distribution.
        self.register_buffer("running_alpha", 2.0 ** -torch.arange(1, lanes + 1))
        self.register_buffer("seen", torch.tensor(False))

    def scales(self) -> tuple[int, ...]:
        result: list[int] = []
        for alpha in self.running_alpha.tolist():
            highest = result[-1] if result else MAX_SCALE
            finite = min(alpha / self.unit, MAX_SCALE) if alpha == alpha else MAX_SCALE
            result.append(min(max(round(finite), 1), highest))
        return tuple(result)

    def alpha(self, lane: int, residue: Tensor) -> float:
        """The alpha in use for e_l; in training it takes in this e_l first."""
        if self.training:
            weight = self.momentum if self.seen else 1.0
            total = torch.stack([p.abs().sum(dtype=torch.float32) for p in _parts(residue)]).sum()
            mean = joint_mean(total / residue.numel())
            self.running_alpha[lane] += weight * (mean - self.running_alpha[lane])
        exact, rounded = float(self.running_alpha[lane]), self.scales()[lane] * self.unit
        return rounded if self._rounded else exact

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        code = torch.zeros_like(x, dtype=torch.uint8)
        for lane in range(self.lanes):
            signs = signs_of(x)
            code = code * 2 + (signs > 0)
            x = torch.sub(x, signs, alpha=self.alpha(lane, x))
        return code

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _ResidualSum.apply(x, self)  # type: ignore[no-untyped-call]
        if self.training:
            self.seen.fill_(True)
        return result

    def extra_repr(self) -> str:
        return f"lanes={self.lanes}, scales={self.scales()}"


@contextmanager
def unrounded_alphas(model: nn.Module) -> Iterator[None]:
    """Within it, ``model`` uses alpha's running means as they are: what fixed point costs."""
    binarizers = [m for m in model.modules() if isinstance(m, ResidualBinarizer)]
    for binarizer in binarizers:
        binarizer._rounded = False
    try:
        yield
    finally:
        for binarizer in binarizers:
            binarizer._rounded = True
