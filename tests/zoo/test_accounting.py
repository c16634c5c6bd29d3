# SPDX-License-Identifier: Apache-2.0
"""Sizes and operations: the papers' figures, and sums that are plain from the definitions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xnorflow.zoo import architectures, networks
from xnorflow.zoo.accounting import Account, account, pruned_share, speedup
from xnorflow.zoo.architecture import Architecture, Convolution, MaxPool
from xnorflow.zoo.document import PUBLISHED

MIB = 1 << 20


def of(name: str) -> Account:
    return account(architectures.named(name))


def test_compact_nin() -> None:
    """Tables 2, 3, 5 and 6; 29 MB is the network in full precision."""
    whole, expanded = of("nin-imagenet").float_bytes, of("nin-imagenet-expanded").packed_bytes
    assert round(whole / MIB) == 29
    assert 29 / round(of("nin-imagenet-relu-w32last").packed_bytes / MIB, 2) == pytest.approx(
        6.02, abs=0.005
    )
    assert whole / of("nin-imagenet-w32last").packed_bytes == pytest.approx(5.98, rel=0.003)
    assert whole / of("nin-imagenet").packed_bytes == pytest.approx(27.1, rel=0.02)
    assert round(whole / expanded, 1) == 23.6
    assert round(of("alexnet-caffe").float_bytes / expanded) == 189
    assert round(expanded / MIB, 2) == 1.23


def test_compact_alexnet() -> None:
    """Table 6."""
    assert int(of("alexnet-caffe").float_bytes / MIB) == 232
    assert round(of("alexnet-caffe").packed_bytes / MIB, 2) == 7.43
    assert round(of("alexnet-caffe-w32last").packed_bytes / MIB, 1) == 22.6
    assert round(of("alexnet").float_bytes / 1e6) == 249


def test_resnet18_of_the_pruning_paper() -> None:
    """Table 2: memory with everything in it, FLOPs, speed-up; PFR of table 1."""
    whole, pruned = of("resnet18"), of("resnet18-pruned")
    assert 8 * whole.float_bytes + 32 * whole.parameters_norm == pytest.approx(374.1e6, abs=5e4)
    assert whole.memory_bits == pytest.approx(33.70e6, rel=0.002)
    assert pruned.memory_bits == pytest.approx(30.87e6, rel=0.004)
    assert whole.flops == pytest.approx(1.67e8, abs=5e5)
    assert pruned.flops == pytest.approx(1.46e8, abs=5e5)
    assert whole.float_flops == pytest.approx(1.81e9, abs=5e6)
    assert round(whole.float_flops / whole.flops, 2) == 10.86
    assert round(whole.float_flops / pruned.flops, 2) == 12.39
    share = pruned_share(architectures.named("resnet18"), architectures.named("resnet18-pruned"))
    assert share == pytest.approx(0.214, abs=5e-4)


def test_speedup_of_a_binary_convolution() -> None:
    """XNOR-Net, section 4.1: 62.27 for 256 channels and 3x3; never 64 or more."""
    assert round(speedup(256, 9), 2) == 62.27
    assert speedup(64, 1) == 32
    assert speedup(3, 1) == pytest.approx(64 * 3 / 67)
    assert speedup(1 << 20, 121) < 64


def test_published_figures_are_within_two_percent() -> None:
    for each in PUBLISHED:
        assert each.ours() == pytest.approx(each.figure, rel=0.02), each.what


def test_googlenet_variant_has_21_convolutions_of_1x1_and_3x3() -> None:
    nodes = architectures.named("googlenet-variant").nodes
    layers = [node for node in nodes if isinstance(node, Convolution)]
    assert len(layers) == 21
    assert {layer.kernel for layer in layers[1:]} == {1, 3}
    assert not layers[0].binary and not layers[-1].binary
    assert all(layer.binary for layer in layers[1:-1])


def test_a_layer_by_hand() -> None:
    layer = Convolution(
        "a", 8, 3, 2, 1, groups=2, lanes=2, bias=True, activation="prelu", alpha=True,
        input_scale=True, pool=MaxPool(2, 2),
    )  # fmt: skip
    network = Architecture("by-hand", (9, 7, 4), (layer,), "")
    (one,) = account(network).layers
    # 8 filters of 3x3x2 on a map of 5x4, which is then pooled.
    assert (one.in_shape, one.out_shape) == ((9, 7, 4), (2, 2, 8))
    assert (one.parameters_1bit, one.parameters_32bit, one.norm) == (144, 24, 8)
    assert (one.macs_1bit, one.macs_32bit, one.scalings) == (2 * 144 * 20, 0, 2 * 160)
    counted = account(network)
    assert counted.packed_bytes == 18 + 96
    assert counted.memory_bits == 144 + 32 * 24 + 32 * 8
    assert counted.float_bytes == 4 * (144 + 16)  # no alpha
    assert counted.flops == 5760 / 64 + 320
    exact = replace(layer, binary=False, alpha=False, input_scale=False, lanes=1)
    (real,) = account(replace(network, nodes=(exact,))).layers
    assert (real.parameters_1bit, real.parameters_32bit, real.norm) == (0, 160, 16)
    assert (real.macs_1bit, real.macs_32bit) == (0, 144 * 20)


def test_an_artifact_network() -> None:
    """cnv: FINN's 1.5 M weights; pixels enter as eight planes, thresholds are 32 bits."""
    counted = account(networks.named("cnv"))
    assert counted.parameters_1bit == sum(
        layer.reduction * layer.out_channels for layer in networks.named("cnv").layers
    )
    assert counted.parameters_32bit == 64 * 2 + 128 * 2 + 256 * 2 + 512 * 2 + 2 * 10
    first = counted.layers[0]
    assert first.macs_1bit == 8 * 27 * 64 * 30 * 30
    assert account(networks.named("cnv-w1a1-w8first")).layers[0].parameters_1bit == 8 * 27 * 64
    assert account(networks.named("cnv-w1a2")).layers[1].macs_1bit == 2 * 576 * 64 * 28 * 28
