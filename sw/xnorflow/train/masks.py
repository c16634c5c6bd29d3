# SPDX-License-Identifier: Apache-2.0
"""The subsidiary component of the pruning paper: masks that learn which filters to keep.

Source: Y. Xu and others, A Main/Subsidiary Network Framework for Simplifying Binary Neural
Networks, CVPR 2019, section 3. The paper multiplies a filter's weights by its mask, and says that
a filter which is removed takes its output map with it. Zero weights alone would leave a map of
BatchNorm's shift, which is -1 or +1 after the sign; so here the mask multiplies the map, and a
filter of mask 0 gives the next layer exactly what a filter that is not there gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.binarize import sign
from xnorflow.train.blocks import BinaryNetwork, Block

__all__ = ["FilterMask", "masked", "prunable", "size_penalty"]

SIGMA = 1e-5
"""Largest first magnitude of a subsidiary weight: "less than 10^-5", section 3.1.1."""


class FilterMask(nn.Module):
    """Subsidiary weights M of one layer, one value a filter, and the mask O that they give.

    While ``selecting`` is false, O is 1 (Iden): the main network learns as if there were no mask.
    The paper writes O = M there, with M near 0, and adds that the masked weights are then about W
    itself, which holds for 1 only. Once it is true (Bin),

        O = (sign(M) + 1) / 2,   dO/dM = 1/2 where |M| <= 1, else 0      (equations 1 and 6)

    A layer is never left without a filter: where all M are negative, the largest one's stays.

    Parameters
    ----------
    filters : int
        Of the layer.
    positive : float
        Share of them that are kept at first (PNR, section 4.1.2): at least 0.4, it says.
    generator : torch.Generator or None
        Draws M from the uniform distribution U(-SIGMA, SIGMA), its signs by ``positive``.
    """

    def __init__(
        self, filters: int, *, positive: float = 0.5, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not 0 < positive <= 1:
            raise ValueError(f"FilterMask: positive must be above 0 and at most 1, not {positive}")
        size, share = torch.rand(2, filters, generator=generator)
        self.weight = nn.Parameter(torch.where(share < positive, size, -size) * SIGMA)
        self.selecting = False

    def forward(self) -> Tensor:
        """O, (filters,)."""
        if not self.selecting:
            return torch.ones_like(self.weight)
        mask = (sign(self.weight) + 1) / 2
        if not mask.any():
            mask = mask + F.one_hot(self.weight.argmax(), len(mask))
        return mask

    @torch.no_grad()
    def kept(self) -> Tensor:
        """Which filters stay, bool (filters,)."""
        mask: Tensor = self()
        return mask > 0

    def fix(self) -> None:
        """Learn no more, and be exactly what ``kept`` says."""
        kept = self.kept()
        self.weight.requires_grad_(False)
        self.weight.copy_(torch.where(kept, self.weight.abs(), -self.weight.abs() - SIGMA))

    def keep(self, kept: Tensor) -> None:
        """Be fixed at a mask that something else has chosen."""
        self.weight.requires_grad_(False)
        self.weight.copy_(torch.where(kept, SIGMA, -SIGMA))
        self.selecting = True

    def hook(self, block: nn.Module, arguments: tuple[Tensor, ...], maps: Tensor) -> Tensor | None:
        """A forward hook of a block: multiplies its output maps, (N, C, H, W) or (N, C)."""
        if not self.selecting:
            return None
        mask: Tensor = self().to(maps.dtype)
        return maps * (mask[:, None, None] if maps.dim() == 4 else mask)


def prunable(model: BinaryNetwork) -> dict[str, Block]:
    """The blocks between the first and the last, by their layers' names (section 4).

    Raises
    ------
    ValueError
        If there are none, or a block's K averages over channels that would be removed.
    """
    blocks = model.named_blocks()
    for name, block in blocks.items():
        if block.magnitude:
            raise ValueError(
                f"layer {name!r}: the K of the layer behind it is a mean over all its maps, so "
                "none can be removed; prune a network without input_scale"
            )
    inner = dict(list(blocks.items())[1:-1])
    if not inner:
        raise ValueError(
            f"a network of {len(blocks)} layers cannot be pruned: the first and the last stay as "
            "they are"
        )
    return inner


@contextmanager
def masked(model: BinaryNetwork, masks: Mapping[str, FilterMask]) -> Iterator[None]:
    """Within it, the blocks of those names give masked maps."""
    blocks = model.named_blocks()
    hooks = [blocks[name].register_forward_hook(mask.hook) for name, mask in masks.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def size_penalty(mask: FilterMask, block: Block) -> Tensor:
    """L_reg = |O|_1 over the mask's full shape, (filters, inputs, kernel, kernel) (equation 2).

    All values of a filter are one, so this is their number times sum O. O is never negative, so
    the sum is its norm; unlike that of abs, its gradient does not vanish where O is 0.
    """
    values: Tensor = mask()
    return values.sum() * block.linear.weight[0].numel()
