# SPDX-License-Identifier: Apache-2.0
"""How many weights change their sign in a step, layer by layer.

Source: Tang, Hua, Wang 2017, figure 2: what too high a learning rate does to a binary network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from xnorflow.train.blocks import BinaryNetwork

__all__ = ["SignChanges"]


class SignChanges:
    """Shares of weights whose sign a step changes, means over the steps that are looked at.

    Parameters
    ----------
    model : BinaryNetwork
        Whose weights are watched.
    every : int
        Look at every so-manieth step: comparing all weights takes about a hundredth of it.
    """

    def __init__(self, model: BinaryNetwork, every: int = 10) -> None:
        self.model = model
        self.every = every
        self.changed = {name: 0 for name in model.named_blocks()}
        self.looks = 0

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Around step ``number`` of an epoch."""
        if number % self.every:
            yield
            return
        before = self._signs()
        yield
        for name, signs in self._signs().items():
            self.changed[name] += int((signs != before[name]).sum())
        self.looks += 1

    def _signs(self) -> dict[str, Tensor]:
        return {name: torch.ge(b.linear.weight, 0) for name, b in self.model.named_blocks().items()}

    def shares(self) -> dict[str, float]:
        """Of each layer's weights, by its name in an artifact."""
        blocks = self.model.named_blocks()
        return {
            name: changed / (max(self.looks, 1) * blocks[name].linear.weight.numel())
            for name, changed in self.changed.items()
        }
