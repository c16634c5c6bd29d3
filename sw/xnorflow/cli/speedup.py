# SPDX-License-Identifier: Apache-2.0
"""A picture of the speed-up of binary convolutions: XNOR-Net, figure 4 (b) and (c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xnorflow.core.network import NetworkSpec
from xnorflow.zoo.accounting import PARALLEL, account, speedup
from xnorflow.zoo.architecture import Architecture, Convolution, walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["binary_windows", "plot_speedup"]

CHANNELS, SIDE = 256, 3
"""What the other panel keeps fixed, as the paper does."""
LINE, POINT = "#1971c2", "#d9480f"


def binary_windows(network: NetworkSpec | Architecture) -> list[tuple[str, int, int]]:
    """Name, input channels in a group and kernel side of every binary layer."""
    if isinstance(network, NetworkSpec):
        return [(layer.name, layer.in_shape[2], layer.kernel[0]) for layer in network.layers]
    return [
        (layer.name, shape[2] // layer.groups, layer.kernel)
        for layer, shape in walk(network)
        if isinstance(layer, Convolution) and layer.binary
    ]


def plot_speedup(network: NetworkSpec | Architecture) -> Figure:
    """64 c N_W / (c N_W + 64) over c and over the kernel's side, with the network's layers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    counted = account(network)
    whole = counted.float_flops / counted.flops
    figure.suptitle(
        f"Speed-up of binary convolutions; the layers of {network.name} ({whole:.1f}x as a whole)",
        fontsize=11,
    )
    windows = binary_windows(network)
    left, right = figure.subplots(1, 2, sharey=True)
    channels = np.geomspace(1, 2048, 200)
    sides = sorted({side for _, _, side in windows} | {SIDE})
    for side, style in zip(sides, ("-", "--", ":", "-.", (0, (1, 4))), strict=False):
        curve = [speedup(c, side**2) for c in channels]
        left.plot(channels, curve, color=LINE, ls=style, label=f"{side}x{side}")
    left.scatter(
        [c for _, c, _ in windows], [speedup(c, side**2) for _, c, side in windows],
        color=POINT, zorder=3, s=18,
    )  # fmt: skip
    left.set(xscale="log", xlabel="input channels c", ylabel="times fewer operations")
    left.set_xticks([4**power for power in range(6)], [str(4**power) for power in range(6)])
    left.legend(title="kernel", frameon=False, loc="lower right", fontsize=8)
    lengths = np.arange(1, 21)
    right.plot(lengths, [speedup(CHANNELS, int(s) ** 2) for s in lengths], color=LINE, marker=".")
    right.set(xlabel=f"side of the kernel, c = {CHANNELS}")
    right.set_xticks(range(0, 21, 5))
    at = speedup(CHANNELS, SIDE**2)
    right.annotate(f"{SIDE}x{SIDE}: {at:.2f}", (SIDE, at), xytext=(5, 54), fontsize=9,
                   arrowprops={"arrowstyle": "-", "color": "grey"})  # fmt: skip
    for axes in (left, right):
        _frame(axes)
    return figure


def _frame(axes: Axes) -> None:
    axes.axhline(PARALLEL, color="grey", lw=0.8)
    axes.set_ylim(0, PARALLEL * 1.05)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
