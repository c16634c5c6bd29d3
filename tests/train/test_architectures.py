# SPDX-License-Identifier: Apache-2.0
"""Torch modules of the papers' networks: as many parameters as described, and they learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from xnorflow.train.architectures import ScaledBinaryConv2d, build, project
from xnorflow.zoo.accounting import account
from xnorflow.zoo.architecture import Convolution
from xnorflow.zoo.architectures import named, names

SMALL = {"nin-imagenet": 96, "nin-imagenet-expanded": 96, "resnet18": 64, "googlenet-variant": 64}
"""Side of the images that a step is tried on, where 32 or the network's own is not it."""


@pytest.mark.parametrize("name", names())
def test_parameters_are_those_described(name: str) -> None:
    with torch.device("meta"):
        network = build(named(name))
    counted = account(named(name))
    alphas = sum(layer.others.get("alpha", 0) for layer in counted.layers)
    described = counted.parameters_1bit + counted.parameters_32bit + counted.parameters_norm
    assert sum(weight.numel() for weight in network.parameters()) == described - alphas


@pytest.mark.parametrize("name", [*SMALL, "resnet18-cifar10"])
def test_a_step_lowers_the_loss(name: str) -> None:
    torch.manual_seed(0)
    side = SMALL.get(name, 32)
    description = replace(named(name), image_shape=(side, side, 3))
    network = build(description)
    images, labels = torch.randn(4, 3, side, side), torch.arange(4)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        logits = network(images)
        assert logits.shape == (4, description.classes)
        loss = F.cross_entropy(logits, labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        for parameter in network.parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
        optimizer.step()
        project(network)
    assert losses[-1] < losses[0]
    for module in network.modules():
        if isinstance(module, ScaledBinaryConv2d):
            assert module.weight.abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "alexnet-caffe"])
def test_a_step_of_alexnet(name: str) -> None:
    network = build(named(name))
    side = named(name).image_shape[0]
    loss = F.cross_entropy(network(torch.randn(2, 3, side, side)), torch.arange(2))
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_xnor_convolution_is_equation_11() -> None:
    """(sign(I) * sign(W)) K alpha, written out with loops."""
    torch.manual_seed(1)
    layer = Convolution("a", 3, 3, 2, 1, alpha=True, input_scale=True)
    module = ScaledBinaryConv2d(layer, 2)
    images = torch.randn(1, 2, 5, 5)
    with torch.no_grad():
        got = module(images)[0].numpy()
    padded = np.pad(images[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    weights = module.weight.detach().numpy()
    for channel, row, column in np.ndindex(got.shape):
        window = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        sums = (np.sign(window) * np.where(weights[channel] >= 0, 1, -1)).sum()
        k = np.abs(window).mean(0).sum() / 9
        want = sums * k * np.abs(weights[channel]).mean()
        assert got[channel, row, column] == pytest.approx(want, abs=1e-5)


def test_groups_and_lanes_reach_the_convolution() -> None:
    layer = Convolution("a", 4, 1, groups=2, lanes=2, norm=False)
    module = ScaledBinaryConv2d(layer, 4)
    assert module.weight.shape == (4, 2, 1, 1)
    values = module.binarizer(torch.linspace(-2, 2, 64))
    assert len(values.unique()) == 4
