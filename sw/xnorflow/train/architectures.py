# SPDX-License-Identifier: Apache-2.0
"""Torch modules of the papers' networks, built from their descriptions.

    network = build(named("resnet18-cifar10"))      # images (N, 3, H, W) -> logits (N, classes)

A network for training and comparison; what the array runs is :mod:`xnorflow.train.models`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.binarize import ResidualBinarizer, Sign
from xnorflow.train.layers import PReLU, Scale, box_filtered
from xnorflow.train.weights import filter_scale, quantized
from xnorflow.zoo.architecture import (
    Architecture,
    AveragePool,
    Convolution,
    MaxPool,
    Node,
    Norm,
    Residual,
    walk,
)
from xnorflow.zoo.architecture import Scale as ScaleNode

__all__ = ["ScaledBinaryConv2d", "build", "project"]


class ScaledBinaryConv2d(nn.Conv2d):
    """The binary convolution of XNOR-Net: (sign(I) * sign(W)) K alpha, equation 11.

    alpha is mean |W| of each filter (equation 6), K the mean |I| under the kernel (section 3.2).

    Parameters
    ----------
    layer : Convolution
        The description.
    channels : int
        Input channels.
    """

    def __init__(self, layer: Convolution, channels: int) -> None:
        super().__init__(
            channels, layer.channels, layer.kernel, layer.stride, layer.padding,
            groups=layer.groups, bias=layer.bias,
        )  # fmt: skip
        self.scaled, self.input_scaled = layer.alpha, layer.input_scale
        self.binarizer = Sign() if layer.lanes == 1 else ResidualBinarizer(layer.lanes)

    def forward(self, input: Tensor) -> Tensor:
        weight = quantized(self.weight, "scaled" if self.scaled else "sign")
        sums = F.conv2d(
            self.binarizer(input), weight, None, self.stride, self.padding, groups=self.groups
        )
        if self.scaled:
            sums = sums * filter_scale(self.weight)[:, None, None]
        if self.input_scaled:
            sums = sums * self.input_scale(input)
        return sums if self.bias is None else sums + self.bias[:, None, None]

    def input_scale(self, input: Tensor) -> Tensor:
        """K, (N, 1, H', W')."""
        magnitude = input.abs().mean(1, keepdim=True)
        return box_filtered(magnitude, self)


class _ResidualSum(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x) + self.shortcut(x)
        return result


def build(architecture: Architecture) -> nn.Module:
    """A network with random weights from torch's default generator.

    Raises
    ------
    ValueError
        If a layer does not fit its input; the message names it.
    """
    inputs = {layer.name: shape[2] for layer, shape in walk(architecture)}
    modules = [_module(node, inputs) for node in architecture.nodes]
    return nn.Sequential(*modules, nn.Flatten())


def _module(node: Node, inputs: dict[str, int]) -> nn.Module:
    """The module of a node; ``inputs`` are the input channels of layers by name."""
    if isinstance(node, Convolution):
        return _convolution(node, inputs[node.name])
    if isinstance(node, Residual):
        body = nn.Sequential(*(_convolution(layer, inputs[layer.name]) for layer in node.body))
        beside = node.shortcut
        return _ResidualSum(
            body, nn.Identity() if beside is None else _convolution(beside, inputs[beside.name])
        )
    if isinstance(node, Norm):
        return nn.Sequential(nn.BatchNorm2d(inputs[node.name]), nn.ReLU())
    if isinstance(node, AveragePool):
        return nn.AdaptiveAvgPool2d(1)
    assert isinstance(node, ScaleNode)
    return Scale(1)


def _convolution(layer: Convolution, channels: int) -> nn.Module:
    """B-A-C-P for a binary layer, C-B-A-P for one in full precision."""
    parts: list[nn.Module] = []
    if layer.binary:
        parts += [nn.BatchNorm2d(channels)] if layer.norm else []
        parts.append(ScaledBinaryConv2d(layer, channels))
    else:
        parts.append(
            nn.Conv2d(
                channels, layer.channels, layer.kernel, layer.stride, layer.padding,
                groups=layer.groups, bias=layer.bias,
            )
        )  # fmt: skip
        parts += [nn.BatchNorm2d(layer.channels)] if layer.norm else []
    if layer.activation != "none":
        parts.append(nn.ReLU() if layer.activation == "relu" else PReLU(layer.channels))
    if layer.pool is not None:
        parts.append(_pool(layer.pool))
    return nn.Sequential(*parts)


def _pool(pool: MaxPool) -> nn.Module:
    return nn.MaxPool2d(pool.kernel, pool.stride, pool.padding, ceil_mode=pool.ceil)


@torch.no_grad()
def project(network: nn.Module) -> None:
    """After an optimiser step: hidden weights into [-1, 1] (compact-BNN paper, algorithm 1)."""
    for module in network.modules():
        if isinstance(module, ScaledBinaryConv2d):
            module.weight.clamp_(-1, 1)
