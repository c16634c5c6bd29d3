# SPDX-License-Identifier: Apache-2.0
"""Signs, residual binarization and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xnorflow.core.packing import lane_values
from xnorflow.train import binarize
from xnorflow.train.binarize import (
    FRACTION_BITS,
    MAX_SCALE,
    ResidualBinarizer,
    Sign,
    sign,
    unrounded_alphas,
)


def trained(lanes: int, seed: int = 0, spread: float = 1.0) -> ResidualBinarizer:
    """A binarizer that has seen one batch of normal values, in eval()."""
    generator = torch.Generator().manual_seed(seed)
    binarizer = ResidualBinarizer(lanes)
    binarizer(torch.randn(64, 32, generator=generator) * spread)
    return binarizer.eval()


def test_sign_of_zero_is_plus_one() -> None:
    x = torch.tensor([-1.5, -1e-30, -0.0, 0.0, 1e-30, 2.0])
    assert sign(x).tolist() == [-1, -1, 1, 1, 1, 1]
    assert Sign().codes(x).tolist() == [0, 0, 1, 1, 1, 1]


def test_the_gradient_of_sign_passes_within_one() -> None:
    x = torch.tensor([-1.01, -1.0, -0.3, 0.0, 1.0, 1.01], requires_grad=True)
    sign(x).backward(torch.arange(1.0, 7.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_residual_lanes_follow_equation_3() -> None:
    # x = 1, 2, -3, 6: alpha_1 = mean |x| = 3, the rest -2, -1, 0, 3: alpha_2 = 1.5.
    x = torch.tensor([1.0, 2.0, -3.0, 6.0])
    binarizer = ResidualBinarizer(2)
    assert binarizer(x).tolist() == [1.5, 1.5, -3 + 1.5, 4.5]
    assert binarizer.scales() == (3 * 2**FRACTION_BITS, 3 * 2**FRACTION_BITS // 2)
    assert binarizer.codes(x).tolist() == [0b10, 0b10, 0b01, 0b11]


def test_alpha_is_a_running_mean_that_eval_leaves_alone() -> None:
    binarizer = ResidualBinarizer(1, momentum=0.25)
    binarizer(torch.full((8,), 2.0))
    binarizer(torch.full((8,), -1.0))
    assert binarizer.running_alpha.item() == 2.0 + 0.25 * (1.0 - 2.0)
    binarizer.eval()(torch.full((8,), 9.0))
    binarizer.codes(torch.full((8,), 9.0))
    assert binarizer.running_alpha.item() == 1.75


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("spread", [1e-4, 0.05, 1.0, 30.0])
def test_value_and_code_agree_and_codes_never_fall(lanes: int, spread: float) -> None:
    binarizer = trained(lanes, spread=spread)
    scales = binarizer.scales()
    assert len(scales) == lanes
    assert list(scales) == sorted(scales, reverse=True)
    assert 1 <= scales[-1] <= scales[0] <= MAX_SCALE
    x = torch.linspace(-4 * spread, 4 * spread, 4001)
    codes = binarizer.codes(x).numpy()
    values = lane_values(codes, scales) * 2.0**-FRACTION_BITS
    np.testing.assert_array_equal(binarizer(x).numpy(), values)
    assert (np.diff(codes.astype(int)) >= 0).all()


def test_lane_weights_fall_where_the_means_do_not() -> None:
    # Nearly all values are 0, so what is left over is larger on average than the values.
    x = torch.zeros(100)
    x[:10] = 10.0
    binarizer = ResidualBinarizer(2)
    binarizer(x)
    first, second = binarizer.running_alpha.tolist()
    assert second > first
    assert binarizer.scales()[0] >= binarizer.scales()[1]


def test_each_lane_passes_its_own_gradient() -> None:
    binarizer = trained(2)
    first, second = (scale * binarizer.unit for scale in binarizer.scales())
    # Inside both signs' range; inside the second's alone; outside both.
    x = torch.tensor([0.5, 1 + first / 2, 1 + first * 1.5], requires_grad=True)
    binarizer(x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [first + second, second, 0])


@pytest.mark.parametrize("lanes", [0, 4])
def test_wrong_lanes_are_an_error(lanes: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 3, not {lanes}"):
        ResidualBinarizer(lanes)


def test_unrounded_alphas_hold_within_the_block_only() -> None:
    binarizer = trained(2)
    x = torch.linspace(-2, 2, 101)
    rounded = binarizer(x)
    with unrounded_alphas(binarizer):
        exact = binarizer(x)
    first, second = binarizer.running_alpha.tolist()
    assert exact.abs().max().item() == pytest.approx(first + second)
    assert not torch.equal(exact, rounded)
    assert torch.equal(binarizer(x), rounded)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_parts_that_fit_a_cache_change_nothing(lanes: int, monkeypatch) -> None:
    x = torch.randn(7, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    x[0, 0, 0, :2] = torch.tensor([0.0, -0.0])
    found = []
    for part in (1 << 18, 2 * 3 * 4 * 5, 1):
        monkeypatch.setattr(binarize, "PART", part)
        binarizer = Sign() if lanes == 1 else ResidualBinarizer(lanes)
        own = x.clone().requires_grad_()
        value = binarizer(own)
        value.square().sum().backward()
        found.append((value.detach(), own.grad, torch.tensor(binarizer.scales())))
    for other in found[1:]:
        for whole, parts in zip(found[0], other, strict=True):
            assert torch.equal(whole, parts)
