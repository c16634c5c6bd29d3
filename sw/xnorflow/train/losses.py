# SPDX-License-Identifier: Apache-2.0
"""What training makes small: cross entropy, regularisers of hidden weights, a teacher's answers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.layers import BinaryConv2d, BinaryLinear
from xnorflow.train.recipes import Recipe

__all__ = ["bipolar", "distillation", "l2", "objective"]


def objective(
    recipe: Recipe, model: nn.Module, logits: Tensor, labels: Tensor, taught: Tensor | None = None
) -> Tensor:
    """The loss of a batch, its regularisers included.

    Parameters
    ----------
    recipe : Recipe
        Weights of the terms.
    model : Module
        Whose hidden weights are regularised.
    logits, taught : Tensor
        (N, classes) of the network and of its teacher.
    labels : Tensor
        (N,) classes.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    if taught is not None:
        share = recipe.teacher_share
        loss = (1 - share) * loss + share * distillation(logits, taught, recipe.temperature)
    if recipe.bipolar:
        loss = loss + recipe.bipolar * bipolar(model)
    if recipe.l2:
        loss = loss + recipe.l2 * l2(model)
    return loss


def _hidden(model: nn.Module) -> Iterator[Tensor]:
    """The weights behind signs."""
    for module in model.modules():
        if isinstance(module, BinaryConv2d | BinaryLinear) and module.kind in ("sign", "scaled"):
            yield module.weight


def bipolar(model: nn.Module) -> Tensor:
    """sum_l sum_ij (1 - W_l,ij^2): least where every hidden weight is -1 or +1.

    Source: Tang, Hua, Wang 2017, equation 2, without its lambda (5e-7 there). It has no least
    value unless weights are cut to [-1, 1].
    """
    return torch.stack([weight.numel() - weight.square().sum() for weight in _hidden(model)]).sum()


def l2(model: nn.Module) -> Tensor:
    """sum_l sum_ij W_l,ij^2, what equation 2 is set against."""
    return torch.stack([weight.square().sum() for weight in _hidden(model)]).sum()


def distillation(logits: Tensor, taught: Tensor, temperature: float = 1.0) -> Tensor:
    """- T^2 sum_i softmax(taught / T)_i log softmax(logits / T)_i, the mean over images.

    Source: Hinton, Vinyals, Dean, arXiv:1503.02531, section 2; T^2 keeps its gradients' size.
    """
    target = F.softmax(taught / temperature, 1)
    crossed = (target * F.log_softmax(logits / temperature, 1)).sum(1)
    return -(temperature**2) * crossed.mean()
