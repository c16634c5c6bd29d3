# SPDX-License-Identifier: Apache-2.0
"""How fast a recipe trains, beside the same network in plain PyTorch.

Plain means torch's own Conv2d, Linear, BatchNorm, MaxPool2d, and Hardtanh where ours binarizes;
the same shapes, type, memory layout, optimiser and batch. The two take turns, step by step, so
that a machine with other work slows both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xnorflow.train.allocator import keep_freed_memory
from xnorflow.train.blocks import BinaryNetwork, Block
from xnorflow.train.layers import BinaryConv2d, Flatten
from xnorflow.train.recipes import Recipe
from xnorflow.train.trainer import make_optimizer, precision, train_step

__all__ = ["Throughput", "measure", "plain"]


@dataclass(frozen=True)
class Throughput:
    """Images a second over whole steps, each the best of several; and where they ran."""

    ours: float
    plain: float
    batch: int
    dtype: str
    device: str
    threads: int

    @property
    def share(self) -> float:
        """Ours as a share of plain PyTorch's."""
        return self.ours / self.plain


class _PlainInput(nn.Module):
    """uint8 images (N, H, W, C) to (N, C, H, W) in [-1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def plain(model: BinaryNetwork) -> nn.Sequential:
    """The same network of torch's own layers."""
    modules: list[nn.Module] = [_PlainInput()]
    flat = False
    for block in model.blocks:
        assert isinstance(block, Block)  # for mypy: a ModuleList yields plain modules
        linear = block.linear
        pool = [nn.MaxPool2d(block.pool, block.pool_stride)] if block.pool > 1 else []
        norm: list[nn.Module]
        if isinstance(linear, BinaryConv2d):
            out = linear.out_channels
            modules.append(
                nn.Conv2d(
                    linear.in_channels,
                    out,
                    linear.kernel_size,  # type: ignore[arg-type]
                    linear.stride,  # type: ignore[arg-type]
                    linear.padding,  # type: ignore[arg-type]
                    bias=False,
                )
            )
            norm = [nn.BatchNorm2d(out)]
        else:
            out = linear.out_features
            modules += [] if flat else [Flatten()]
            flat = True
            modules.append(nn.Linear(linear.in_features, out, bias=False))
            norm = [nn.BatchNorm1d(out)]
        modules += pool if block.pool_first else []
        modules += norm
        modules += [nn.Hardtanh()] if block.binarizer is not None else []
        modules += [] if block.pool_first else pool
    modules += [nn.AdaptiveAvgPool2d(1)] if model.average else []
    return nn.Sequential(*modules, nn.Flatten())


def measure(
    recipe: Recipe, *, batch: int | None = None, steps: int = 10, device: str = "cpu"
) -> Throughput:
    """Time ``steps`` steps of each, after two to warm up, on random images and labels."""
    keep_freed_memory()
    batch = batch or recipe.batch_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (batch, *recipe.image_shape), generator=generator, dtype=torch.uint8
    )
    labels = torch.randint(0, recipe.layers[-1].channels, (batch,), generator=generator)
    ours = recipe.build()
    theirs = plain(ours)
    for model in (ours, theirs):
        model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizers = [make_optimizer(recipe, model) for model in (ours, theirs)]

    def step_ours() -> None:
        train_step(recipe, ours, optimizers[0], images, labels, recipe.learning_rate)

    def step_theirs() -> None:
        with precision(recipe, theirs):
            logits = theirs(images.to(device)).float()
        loss = F.cross_entropy(logits, labels.to(device))
        optimizers[1].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers[1].step()
        loss.item()  # waits for an accelerator

    best = [float("inf"), float("inf")]
    for step in range(steps + 2):
        for index, work in enumerate((step_ours, step_theirs)):
            started = time.perf_counter()
            work()
            if step >= 2:
                best[index] = min(best[index], time.perf_counter() - started)
    return Throughput(
        batch / best[0], batch / best[1], batch, recipe.dtype, device, torch.get_num_threads()
    )
