# SPDX-License-Identifier: Apache-2.0
"""BatchNorm's statistics over many batches, for the weights that training ended with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from xnorflow.train.layers import BatchNorm

__all__ = ["average_statistics"]


@torch.no_grad()
def average_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give each BatchNorm the mean of its batches' means and variances.

    The running averages that training leaves weigh the last ten batches most, and follow weights
    that still moved. A threshold is made of them.

    Source: Wu and Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3 (precise
    BatchNorm).

    Parameters
    ----------
    model : Module
        In ``train()``, so that each layer sees what batches' own statistics make of its inputs.
    batches : iterable of Tensor
        The model's inputs, as training has them.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    for batch in batches:
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
