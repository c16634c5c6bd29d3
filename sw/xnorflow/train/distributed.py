# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one network, each on its share of every batch.

    torchrun --nproc-per-node 2 $(which xnorflow) train RECIPE

Means over a batch (BatchNorm's, the alphas') are those of the joint batch, so that n processes
compute what one would, but for the order in which floats are added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "agreed",
    "barrier",
    "joint_mean",
    "processes",
    "rank",
    "total",
    "world_size",
    "wrapped",
]


@contextmanager
def processes(device: str) -> Iterator[None]:
    """Join the processes that ``torchrun`` started; nothing where there is one alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Which process this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wrapped(model: nn.Module) -> nn.Module:
    """The model, with gradients that are means over all processes."""
    if world_size() == 1:
        return model
    return DistributedDataParallel(model, broadcast_buffers=False)


def joint_mean(x: Tensor) -> Tensor:
    """The mean of every process's ``x``, with gradient."""
    if world_size() == 1:
        return x
    summed: Tensor = all_reduce(x.contiguous())  # type: ignore[no-untyped-call]
    return summed / world_size()


def total(*values: float) -> list[float]:
    """Sums over all processes."""
    if world_size() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    if dist.get_backend() == "nccl":
        sums = sums.float().cuda()
    dist.all_reduce(sums)
    return [float(value) for value in sums]


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        dist.barrier()


def agreed(value: bool) -> bool:
    """The first process's answer, in every process."""
    return bool(total(float(value and rank() == 0))[0])
