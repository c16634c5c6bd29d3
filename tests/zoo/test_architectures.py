# SPDX-License-Identifier: Apache-2.0
"""Descriptions: what does not fit is refused, and the layer is named."""

from __future__ import annotations

import pytest

from xnorflow.zoo.architecture import Architecture, Convolution, MaxPool, Residual, walk
from xnorflow.zoo.architectures import named, names


def test_every_name_gives_its_network() -> None:
    for name in names():
        network = named(name)
        assert network.name == name
        assert network.classes in (10, 1000)
        assert network.source
        assert network.baseline in ("", *names())
    with pytest.raises(ValueError, match="no architecture 'vgg19'; known are nin-imagenet"):
        named("vgg19")


def test_wrong_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="'a': alpha, input_scale and lanes belong to binary"):
        Convolution("a", 8, binary=False, alpha=True)
    with pytest.raises(ValueError, match="'a': 8 channels do not fall into 3 groups"):
        Convolution("a", 8, groups=3)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((Convolution("a", 8, 5),), "'a': kernel 5 is larger than the padded map"),
        ((Convolution("a", 8, groups=2),), "'a': 3 input channels do not fall into 2 groups"),
        ((Convolution("a", 8, pool=MaxPool(6, 6)),), "'a': its pool is larger than its map"),
        ((Convolution("a", 8), Convolution("a", 8)), "layer names are not unique"),
        ((Residual((Convolution("a", 8),)),), "'a': gives .4, 4, 8., but its shortcut .4, 4, 3."),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    nodes: tuple[Convolution | Residual, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture("small", (4, 4, 3), nodes, "")


def test_shapes_follow_the_layers() -> None:
    shapes = {layer.name: shape for layer, shape in walk(named("alexnet-caffe"))}
    assert shapes["conv2"] == (27, 27, 96)
    assert shapes["fc6"] == (6, 6, 256)
    assert shapes["fc8"] == (1, 1, 4096)
    shapes = {layer.name: shape for layer, shape in walk(named("nin-imagenet"))}
    assert shapes["conv4"] == (6, 6, 384)  # Caffe's pools reach past the map
    shapes = {layer.name: shape for layer, shape in walk(named("resnet18"))}
    assert shapes["conv3_1s"] == shapes["conv3_1a"] == (56, 56, 64)
    assert shapes["norm"] == (7, 7, 512)
