# SPDX-License-Identifier: Apache-2.0
"""Layers and the network builder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xnorflow.core.network import pixel_scales
from xnorflow.core.packing import lane_values, pixel_codes
from xnorflow.train.layers import (
    BatchNorm,
    BinaryConv2d,
    BinaryLinear,
    Flatten,
    PixelInput,
    PReLU,
    project,
)
from xnorflow.train.models import Layer, build

torch.set_num_threads(1)


def random_norm(channels: int, seed: int) -> BatchNorm:
    """A BatchNorm in eval() with random constants, every third channel falling."""
    generator = torch.Generator().manual_seed(seed)
    norm = BatchNorm(channels).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.rand(channels, generator=generator) + 0.1)
        norm.weight[::3] *= -1
        norm.bias.copy_(torch.randn(channels, generator=generator))
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.randn(channels, generator=generator))
    norm.running_var.copy_(torch.rand(channels, generator=generator) * 9)
    return norm


@pytest.mark.parametrize("lanes", range(1, 9))
def test_pixels_are_the_lane_values_of_their_highest_bits(lanes: int) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 8, 2)
    values = PixelInput(lanes)(torch.from_numpy(images))
    expected = lane_values(pixel_codes(images, lanes), pixel_scales(lanes)) / 2**lanes
    np.testing.assert_array_equal(values.numpy(), expected.transpose(0, 3, 1, 2))


def test_flatten_counts_row_by_row_channel_last() -> None:
    maps = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)  # (N, C, H, W)
    expected = maps.numpy().transpose(0, 2, 3, 1).reshape(2, -1)
    np.testing.assert_array_equal(Flatten()(maps).numpy(), expected)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4, 3)])
def test_batch_norm_is_torchs_in_both_modes(shape: tuple[int, ...]) -> None:
    norm = random_norm(5, seed=1)
    reference = nn.BatchNorm2d(5) if len(shape) == 4 else nn.BatchNorm1d(5)
    reference.load_state_dict(norm.state_dict())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 5
    torch.testing.assert_close(norm(x), reference.eval()(x))
    torch.testing.assert_close(norm.train()(x), reference.train()(x))
    torch.testing.assert_close(norm.running_var, reference.running_var)


def test_batch_norm_in_eval_gives_the_same_bits_in_every_layout() -> None:
    norm = random_norm(7, seed=3)
    x = torch.randn(9, 7, 6, 5, generator=torch.Generator().manual_seed(4)) * 100
    whole = norm(x)
    assert torch.equal(norm(x.to(memory_format=torch.channels_last)), whole)
    assert torch.equal(torch.cat([norm(part) for part in x.split(1)]), whole)
    assert torch.equal(norm(x[:, :, 2, 3]), whole[:, :, 2, 3])


def test_batch_norm_takes_maps_and_vectors_only() -> None:
    with pytest.raises(ValueError, match=r"\(N, C\)"):
        random_norm(5, seed=0)(torch.zeros(2, 5, 3))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4, 3)])
def test_prelu_is_torchs(shape: tuple[int, ...]) -> None:
    prelu = PReLU(5)
    with torch.no_grad():
        prelu.weight.copy_(torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(prelu(x), nn.functional.prelu(x, prelu.weight))


def test_layers_use_the_signs_of_their_weights_only() -> None:
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(6))
    conv = BinaryConv2d(3, 4, 3, stride=2, padding=1)
    linear = BinaryLinear(5, 4)
    with torch.no_grad():
        conv.weight[0, 0, 0, 0] = 0.0
    signs = torch.where(conv.weight >= 0, 1.0, -1.0)
    expected = nn.functional.conv2d(x, signs, stride=2, padding=1)
    torch.testing.assert_close(conv(x), expected)
    signs = torch.where(linear.weight >= 0, 1.0, -1.0)
    torch.testing.assert_close(linear(x), x @ signs.T)


def test_project_brings_weights_and_slopes_back() -> None:
    model = nn.Sequential(BinaryLinear(2, 2), PReLU(2), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        for module in (model[0], model[2]):
            module.weight.copy_(torch.tensor([[-3.0, 0.5], [1.0, 2.0]]))
        model[1].weight.copy_(torch.tensor([-0.5, 3.0]))
    project(model)
    assert model[0].weight.tolist() == [[-1.0, 0.5], [1.0, 1.0]]
    assert model[1].weight.tolist() == [0.0, 3.0]
    assert model[2].weight.tolist() == [[-3.0, 0.5], [1.0, 2.0]]


def test_build_follows_the_maps_shape() -> None:
    layers = (
        Layer(4, kernel=3, stride=2, padding=1, pool=2, prelu=True),
        Layer(6, kernel=2, lanes=3, pool=2, pool_first=False),
        Layer(5),
        Layer(3),
    )
    model = build((19, 23, 2), 3, layers)
    # 19x23 -> 10x12 -> pool 5x6 -> 4x5 -> pool 2x2 (a ragged column is dropped) -> 2 * 2 * 6
    assert model.blocks[2].linear.in_features == 24
    logits = model(torch.zeros(2, 19, 23, 2, dtype=torch.uint8))
    assert logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((), "at least one"),
        ((Layer(4, kernel=3, pool=4),), "nothing is left of the map"),
        ((Layer(4, pool=2),), "layer 0 is fully connected and cannot pool"),
        ((Layer(4), Layer(4, kernel=1)), "layer 1 is a convolution after"),
    ],
)
def test_build_refuses_what_cannot_be(layers: tuple[Layer, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build((5, 5, 1), 8, layers)
