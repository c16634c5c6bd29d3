# SPDX-License-Identifier: Apache-2.0
"""Removing filters from a network: out of their layer, and out of the next layer's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.layers import BinaryConv2d
from xnorflow.train.recipes import Recipe
from xnorflow.train.weights import filter_scale

__all__ = ["pruned_filters", "remove_filters", "smaller"]


def smaller(recipe: Recipe, filters: Mapping[str, int]) -> Recipe:
    """The recipe with as many filters in the layers of those names."""
    names = list(recipe.build().named_blocks())
    unknown = sorted(set(filters) - set(names))
    if unknown:
        raise ValueError(f"recipe {recipe.name!r} has no layers {unknown}; it has {names}")
    layers = (
        replace(layer, channels=filters.get(name, layer.channels))
        for name, layer in zip(names, recipe.layers, strict=True)
    )
    return replace(recipe, layers=tuple(layers))


@torch.no_grad()
def remove_filters(
    recipe: Recipe, model: BinaryNetwork, kept: Mapping[str, Tensor]
) -> tuple[Recipe, BinaryNetwork]:
    """The network without some filters, and its recipe.

    In ``eval()`` it gives the bits that ``model`` gives with those filters masked: a sum loses
    addends that are 0. In a ``scaled`` layer alpha may differ in its last bit.

    Parameters
    ----------
    recipe : Recipe
        That ``model`` was built from.
    model : BinaryNetwork
        Stays as it is.
    kept : dict of str to Tensor
        By layer's name, bool (filters,): which stay. A layer that is not named keeps all.
    """
    counts = {name: int(mask.sum()) for name, mask in kept.items()}
    pruned_recipe = smaller(recipe, counts)
    pruned = pruned_recipe.build()
    before: Tensor | None = None  # which inputs stay
    for name, block in model.named_blocks().items():
        stay = kept.get(name, torch.ones(len(block.linear.weight), dtype=torch.bool)).cpu()
        state = {}
        for key, tensor in block.state_dict().items():
            if key == "linear.weight":
                convolution = isinstance(block.linear, BinaryConv2d)
                weight = _inputs(tensor, before, convolution)
                if block.linear.kind == "scaled":
                    weight = _same_scale(weight, tensor)
                state[key] = weight[stay]
            else:
                a_filter_each = key.startswith(("norm.", "prelu.")) and tensor.shape == stay.shape
                state[key] = tensor[stay] if a_filter_each else tensor
        pruned.named_blocks()[name].load_state_dict(state)
        before = stay
    return pruned_recipe, pruned.eval()


def _inputs(weight: Tensor, stay: Tensor | None, convolution: bool) -> Tensor:
    """Weights (O, I, kh, kw) or (O, H * W * I) of the inputs that stay."""
    if stay is None:
        return weight
    if convolution:
        return weight[:, stay]
    # A flattened map counts its channels last.
    return weight.reshape(len(weight), -1, len(stay))[:, :, stay].flatten(1)


def _same_scale(weight: Tensor, whole: Tensor) -> Tensor:
    """Weights that lost inputs, so that alpha, their mean magnitude, is again what it was."""
    alpha = filter_scale(weight).clamp(min=torch.finfo(weight.dtype).tiny)
    factor = filter_scale(whole) / alpha
    return weight * factor.view(-1, *[1] * (weight.dim() - 1))


def pruned_filters(filters: Mapping[str, int], kept: Mapping[str, int]) -> float:
    """PFR: the share of the filters of those layers that is gone (section 4)."""
    return 1 - sum(kept[name] for name in filters) / sum(filters.values())
