# SPDX-License-Identifier: Apache-2.0
"""The compiler: artifact x geometry -> program."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.compile.cycles import input_cycles, layer_cycles
from xnorflow.compile.errors import CompileError
from xnorflow.compile.fit import allocate, check_fit
from xnorflow.compile.lower import (
    Bases,
    layer_row,
    scale_items,
    threshold_items,
    weight_items,
)
from xnorflow.compile.plan import LayerPlan
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec
from xnorflow.core.program import Target, pack_row, packet

__all__ = ["MAX_BLOCK", "CompileError", "LayerReport", "Program", "compile_network"]

MAX_BLOCK = 64
"""Most images that share one weight load; more gains little and delays the first result."""


@dataclass(frozen=True)
class LayerReport:
    """How one layer runs in a full block.

    Parameters
    ----------
    name : str
    tiles, passes : int
        Channel tiles, and weight loads of each.
    cycles : int
        Of a whole block.
    utilisation : float
        Useful XNORs / XNORs the array could do in these cycles.
    """

    name: str
    tiles: int
    passes: int
    cycles: int
    utilisation: float


@dataclass(frozen=True)
class Program:
    """A network compiled for one geometry.

    Parameters
    ----------
    geometry : Geometry
    network : NetworkSpec
    epilogue : dict of str to ndarray
        Arrays of the float epilogue, named as in the artifact.
    plans : tuple of LayerPlan
    config : ndarray of uint32
        Words of the configuration stream.
    """

    geometry: Geometry
    network: NetworkSpec
    epilogue: dict[str, npt.NDArray[Any]]
    plans: tuple[LayerPlan, ...]
    config: npt.NDArray[np.uint32] = field(repr=False)

    @property
    def block(self) -> int:
        """Most images in one block."""
        return self.plans[0].source.block

    def block_cycles(self, n: int) -> int:
        """Exact cycles of a block of ``n`` images, if the host never waits."""
        layers = sum(layer_cycles(plan, n) for plan in self.plans)
        return input_cycles(self.plans[0], n) + layers

    def useful_xnors(self, n: int) -> int:
        """XNORs on real inputs that ``n`` images need."""
        return n * sum(layer.xnors for layer in self.network.layers)

    @cached_property
    def layers(self) -> tuple[LayerReport, ...]:
        """How each layer runs in a full block."""
        rate = self.geometry.xnors_per_cycle
        reports = []
        for plan in self.plans:
            cycles = layer_cycles(plan, self.block)
            useful = self.block * plan.spec.xnors / (cycles * rate)
            reports.append(LayerReport(plan.spec.name, plan.tiles, plan.passes, cycles, useful))
        return tuple(reports)

    @cached_property
    def usage(self) -> dict[str, tuple[int, int]]:
        """Memory by memory: words used, words there are."""
        return check_fit(self.plans)

    # -- results -----------------------------------------------------------------------------

    def results_count(self, n: int) -> int:
        """Result words of a block of ``n`` images."""
        last = self.plans[-1]
        return n * last.accumulators * last.spec.out_channels

    def unpack_results(self, words: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
        """Accumulators (n, height, width, channels) from a block's result words.

        Words come group of images by group, tile by tile, position by position, then channel.
        """
        if len(words) != self.results_count(n):
            raise ValueError(
                f"{n} images give {self.results_count(n)} result words, not {len(words)}"
            )
        last = self.plans[-1]
        height, width = last.map_shape
        columns, channels = self.geometry.columns, last.spec.out_channels
        out = np.empty((n, height, width, channels), np.int64)
        image = at = 0
        for group in last.groups(n):
            for first in range(0, channels, columns):
                count = min(columns, channels - first)
                part = words[at : at + group * height * width * count]
                out[image : image + group, ..., first : first + count] = part.reshape(
                    group, height, width, count
                )
                at += len(part)
            image += group
        return out

    def layer_codes(self, tap: npt.NDArray[Any], n: int) -> dict[str, npt.NDArray[np.uint8]]:
        """Codes (n, height, width, channels) of "input" and of each layer from a tap record.

        ``tap`` has the dtype of :data:`xnorflow.core.tap.TAP_DTYPE`.
        """
        maps = {"input": self.plans[0].source}
        maps |= {plan.spec.name: plan.target for plan in self.plans if not plan.raw}
        return {
            name: layout.codes(tap[tap["layer"] == index], n)
            for index, (name, layout) in enumerate(maps.items())
        }


def compile_network(
    artifact: Artifact, geometry: Geometry, *, max_block: int = MAX_BLOCK
) -> Program:
    """Compile a network.

    Parameters
    ----------
    artifact : Artifact
    geometry : Geometry
    max_block : int
        Most images in a block; fewer where the memories hold fewer.

    Raises
    ------
    CompileError
        If the network does not fit, or a layer cannot run; it names what, by how much, and a
        geometry that would.
    """
    plans = allocate(artifact.network, geometry, max_block)
    check_fit(plans)
    packets = [packet(geometry, Target.CONTROL, [0])]  # no program while it is replaced
    weight = scale = tile = 0
    heaps = []
    for index, plan in enumerate(plans):
        name = plan.spec.name
        try:
            row = pack_row(geometry, layer_row(plan, Bases(weight, scale, tile)))
        except ValueError as error:
            raise CompileError(
                f"layer {name!r} is beyond what a program row can say: {error}"
            ) from error
        scales = scale_items(plan)
        packets += [
            packet(geometry, Target.LAYER, [row], address=index),
            packet(geometry, Target.SCALE, scales, address=scale),
        ]
        words = weight_items(plan, artifact.weight_bits(name))
        for column in range(geometry.columns):
            packets.append(
                packet(geometry, Target.WEIGHT, words[column], column=column, address=weight)
            )
        weight += plan.weight_words
        scale += len(scales)
        if not plan.raw:
            heaps.append(threshold_items(plan, artifact.thresholds(name), artifact.pool_min(name)))
            tile += plan.tiles
    if heaps:
        items = np.concatenate(heaps, axis=1)
        packets += [
            packet(geometry, Target.THRESHOLD, items[column], column=column)
            for column in range(geometry.columns)
        ]
    # The number of layers comes last: with it, and not a word before, the program can run.
    packets.append(packet(geometry, Target.CONTROL, [plans[0].source.block], address=1))
    packets.append(packet(geometry, Target.CONTROL, [len(plans)]))
    epilogue = {
        name: array for name, array in artifact.tensors.items() if name.startswith("epilogue.")
    }
    return Program(geometry, artifact.network, epilogue, plans, np.concatenate(packets))
