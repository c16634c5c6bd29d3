# SPDX-License-Identifier: Apache-2.0
"""The plain network of the benchmark is the same one, and is no slower by its own fault."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xnorflow.train.models import build, layers_of
from xnorflow.train.throughput import plain
from xnorflow.zoo.networks import named


@pytest.mark.parametrize("name", ["cnv", "nin-cifar10", "vgg11-cifar10"])
def test_plain_has_the_same_shapes_and_parameters(name: str) -> None:
    spec = named(name, shrink=16)
    model = build(spec.image_shape, spec.input_lanes, layers_of(spec))
    theirs = plain(model)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert theirs(images).shape == model(images).shape == (2, 10)
    sizes = [sorted(p.numel() for p in each.parameters()) for each in (model, theirs)]
    assert sizes[0] == sizes[1]
    assert sum(isinstance(m, nn.Hardtanh) for m in theirs) == len(spec.layers) - 1
