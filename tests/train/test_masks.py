# SPDX-License-Identifier: Apache-2.0
"""Subsidiary masks: their values, gradients and losses, against the pruning paper's formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from xnorflow.train.losses import distillation
from xnorflow.train.masks import (
    SIGMA,
    FilterMask,
    masked,
    prunable,
    size_penalty,
)
from xnorflow.train.models import Layer, build

torch.set_num_threads(1)


def mask_of(values: list[float]) -> FilterMask:
    mask = FilterMask(len(values))
    with torch.no_grad():
        mask.weight.copy_(torch.tensor(values))
    mask.selecting = True
    return mask


def test_first_values_are_uniform_and_near_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    for positive in (0.4, 0.5, 1.0):
        weight = FilterMask(20_000, positive=positive, generator=generator).weight.detach()
        assert weight.abs().max() <= SIGMA
        assert (weight > 0).float().mean().item() == pytest.approx(positive, abs=0.02)
        sizes = np.histogram(weight.abs().numpy(), 10, (0, SIGMA))[0]
        assert sizes.min() > 1800 and sizes.max() < 2200
    with pytest.raises(ValueError, match="positive must be above 0 and at most 1, not 0"):
        FilterMask(4, positive=0)


def test_iden_does_nothing_and_bin_is_zero_or_one() -> None:
    mask = mask_of([-1e-5, 1e-5, -2, 2, 0])
    torch.testing.assert_close(mask(), torch.tensor([0.0, 1, 0, 1, 1]))
    mask.selecting = False
    torch.testing.assert_close(mask(), torch.ones(5))


def test_gradient_is_that_of_equations_5_and_6() -> None:
    """dL/dM = dL/dO / 2 where |M| <= 1, else 0; for filters that are off as well."""
    values = [-1.5, -1.0, -1e-5, 1e-5, 1.0, 1.5]
    mask = mask_of(values)
    upstream = torch.tensor([3.0, 5, 7, 11, 13, 17])
    (mask() * upstream).sum().backward()
    want = [g / 2 if abs(m) <= 1 else 0 for g, m in zip(upstream.tolist(), values, strict=True)]
    assert mask.weight.grad is not None
    assert mask.weight.grad.tolist() == want


def test_penalty_is_the_norm_of_the_full_mask_and_acts() -> None:
    model = build((6, 6, 1), 4, (Layer(4, 3), Layer(8, 3, padding=1), Layer(10)))
    block = prunable(model)["conv2"]
    mask = mask_of([1e-5] * 5 + [-1e-5] * 3)
    penalty = size_penalty(mask, block)
    assert penalty.item() == 5 * 4 * 9  # filters that are on, times inputs and kernel
    penalty.backward()
    assert mask.weight.grad is not None
    assert mask.weight.grad.tolist() == [4 * 9 / 2] * 8  # also of filters that are off
    optimizer = torch.optim.Adam(mask.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        size_penalty(mask, block).backward()
        optimizer.step()
    assert (mask.weight < 0).all()
    assert mask().sum() == mask.kept().sum() == 1  # a layer is never left without a filter


def test_fixed_masks_keep_what_they_kept() -> None:
    mask = mask_of([1e-5, -1e-5, 0.0, -0.0])
    kept = mask.kept()
    mask.fix()
    assert mask.kept().tolist() == kept.tolist() == [True, False, True, True]
    empty = mask_of([-3e-5, -1e-5, -2e-5])
    empty.fix()
    assert empty().tolist() == [0, 1, 0]
    assert not empty.weight.requires_grad


def test_distillation_is_equation_7() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 5, dtype=torch.double, requires_grad=True)
    taught = torch.randn(3, 5, dtype=torch.double)
    p, q = np.exp(taught.numpy()), np.exp(logits.detach().numpy())
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    loss = distillation(logits, taught)
    assert loss.item() == pytest.approx(-(p * np.log(q)).sum(1).mean())
    (gradient,) = torch.autograd.grad(loss, logits)
    np.testing.assert_allclose(gradient.numpy(), (q - p) / 3, atol=1e-12)


def test_a_masked_map_is_zero_and_its_gradient_is_not() -> None:
    torch.manual_seed(0)
    layers = (Layer(4, 3), Layer(8, 3, pool=2), Layer(10))
    model = build((8, 8, 1), 4, layers)
    mask = mask_of([1.0, -1.0] * 4)
    images = torch.randint(0, 256, (16, 8, 8, 1), dtype=torch.uint8)
    seen = []
    last = model.named_blocks()["fc3"]
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with masked(model, {"conv2": mask}):
        F.cross_entropy(model(images), torch.arange(16) % 10).backward()
    hook.remove()
    maps = seen[0].view(16, -1, 8)
    assert (maps[:, :, 1::2] == 0).all() and (maps[:, :, ::2].abs() == 1).all()
    assert mask.weight.grad is not None and (mask.weight.grad != 0).all()
    assert not model.named_blocks()["conv2"]._forward_hooks


def test_what_cannot_be_pruned_is_refused() -> None:
    with pytest.raises(ValueError, match="a network of 2 layers cannot be pruned"):
        prunable(build((6, 6, 1), 4, (Layer(4, 3), Layer(10))))
    layers = (Layer(4, 3), Layer(8, 3), Layer(8, 1, input_scale=True), Layer(10))
    with pytest.raises(ValueError, match="layer 'conv2': the K of the layer behind it"):
        prunable(build((6, 6, 1), 4, layers))
