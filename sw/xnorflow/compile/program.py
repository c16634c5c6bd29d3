# SPDX-License-Identifier: Apache-2.0
"""The compiler: artifact x geometry -> program."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.compile.cycles import row_cycles, row_losses
from xnorflow.compile.errors import CompileError
from xnorflow.compile.fit import check_layers, memory_usage
from xnorflow.compile.lower import record_items, scale_items, skewed_words, weight_beats
from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.rows import Bases, Row, row_values
from xnorflow.compile.schedule import Schedule, find_schedule
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec
from xnorflow.core.program import ROW_WORD_BITS, Target, pack_row, packet, row_words

__all__ = ["MAX_BLOCK", "CompileError", "LayerReport", "Program", "compile_network", "plan_network"]

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
    lost : dict of str to float
        Cycles lost, by reason (:func:`xnorflow.compile.cycles.row_losses`).
    """

    name: str
    tiles: int
    passes: int
    cycles: int
    utilisation: float
    lost: dict[str, float]


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
    schedule : Schedule
    config : ndarray of uint32
        Words of the configuration stream.
    """

    geometry: Geometry
    network: NetworkSpec
    epilogue: dict[str, npt.NDArray[Any]]
    plans: tuple[LayerPlan, ...]
    schedule: Schedule
    config: npt.NDArray[np.uint32] = field(repr=False)

    @property
    def block(self) -> int:
        """Most images in one block."""
        return self.schedule.units * self.geometry.pixels

    def units(self, n: int) -> int:
        """Units of a block of ``n`` images."""
        return -(-n // self.geometry.pixels)

    def block_cycles(self, n: int) -> int:
        """Exact cycles of a block of ``n`` images, if they never keep the array waiting."""
        return self.schedule.cycles(self.units(n))

    def useful_xnors(self, n: int) -> int:
        """XNORs on real inputs that ``n`` images need."""
        return n * sum(layer.xnors for layer in self.network.layers)

    @cached_property
    def layers(self) -> tuple[LayerReport, ...]:
        """How each layer runs in a full block."""
        return layer_reports(self.plans, self.schedule)

    @cached_property
    def usage(self) -> dict[str, tuple[int, int]]:
        """Memory by memory: words used, words there are."""
        return memory_usage(self.plans, self.schedule)

    # -- results -----------------------------------------------------------------------------

    def results_count(self, n: int) -> int:
        """Result words of a block of ``n`` images."""
        return sum(self._row_results(row, n) for row in self._raw_rows)

    @property
    def _raw_rows(self) -> tuple[Row, ...]:
        return tuple(row for row in self.schedule.rows if row.plan.raw)

    def _row_results(self, row: Row, n: int) -> int:
        positions = row.map_lines * row.plan.map_width
        return (
            row.units(self.units(n))
            * self.geometry.pixels
            * positions
            * (row.plan.spec.out_channels)
        )

    def unpack_results(self, words: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
        """Accumulators (n, height, width, channels) from a block's result words.

        Words come row by row of the program, tile by tile, unit by unit, position by position,
        then by image of the unit, then channel.
        """
        if len(words) != self.results_count(n):
            raise ValueError(
                f"{n} images give {self.results_count(n)} result words, not {len(words)}"
            )
        geometry, last = self.geometry, self.plans[-1].spec
        height, width = last.map_shape
        columns, channels, pixels = geometry.columns, last.out_channels, geometry.pixels
        units = self.units(n)
        out = np.empty((units, pixels, height, width, channels), np.int64)
        at = 0
        for row in self._raw_rows:
            count = row.units(units)
            part = out[row.first : row.first + count, :, row.line : row.line + row.lines]
            for first in range(0, channels, columns):
                size = min(columns, channels - first)
                shape = (count, row.lines, width, pixels, size)
                chosen = words[at : at + int(np.prod(shape))].reshape(shape)
                part[..., first : first + size] = chosen.transpose(0, 3, 1, 2, 4)
                at += chosen.size
        return out.reshape(-1, height, width, channels)[:n]

    def layer_codes(self, tap: npt.NDArray[Any], n: int) -> dict[str, npt.NDArray[np.uint8]]:
        """Codes (n, height, width, channels) of each layer from a tap record.

        ``tap`` has the dtype of :data:`xnorflow.core.tap.TAP_DTYPE`.
        """
        codes: dict[str, npt.NDArray[np.uint8]] = {}
        units, pixels = self.units(n), self.geometry.pixels
        for index, row in enumerate(self.schedule.rows):
            count = row.units(units)
            if row.plan.raw or not count:
                continue
            whole = codes.setdefault(
                row.plan.spec.name,
                np.zeros((units * pixels, *row.plan.spec.out_shape), np.uint8),
            )
            skip = (row.first - row.target_first) * pixels
            found = row.target.codes(tap[tap["row"] == index], skip + count * pixels)[skip:]
            lines = slice(row.line, row.line + row.lines)
            images = slice(row.first * pixels, (row.first + count) * pixels)
            whole[images, lines] = found[:, lines]
        return {name: whole[:n] for name, whole in codes.items()}


def layer_reports(plans: tuple[LayerPlan, ...], schedule: Schedule) -> tuple[LayerReport, ...]:
    """How each layer runs in a full block."""
    geometry = plans[0].geometry
    reports = []
    for index, plan in enumerate(plans):
        rows = [row for row in schedule.rows if row.layer == index]
        cycles = sum(row_cycles(row, row.count) for row in rows)
        lost: dict[str, float] = {}
        for row in rows:
            for reason, count in row_losses(row, row.count).items():
                lost[reason] = lost.get(reason, 0.0) + count
        useful = schedule.units * geometry.pixels * plan.spec.xnors
        share = useful / (cycles * geometry.xnors_per_cycle)
        reports.append(LayerReport(plan.spec.name, plan.tiles, plan.passes, cycles, share, lost))
    return tuple(reports)


def plan_network(
    network: NetworkSpec, geometry: Geometry, *, max_block: int = MAX_BLOCK
) -> tuple[tuple[LayerPlan, ...], Schedule]:
    """How a network's layers map to an array, and when they run. Needs no weights.

    Raises
    ------
    CompileError
        If the network does not fit, or a layer cannot run; it names what, by how much, and a
        geometry that would. ValueError if ``max_block`` is not positive.
    """
    if max_block < 1:
        raise ValueError(f"max_block must be at least 1, not {max_block}")
    plans = tuple(
        LayerPlan(geometry, layer, first=index == 0) for index, layer in enumerate(network.layers)
    )
    check_layers(plans)
    return plans, find_schedule(plans, geometry, max(1, max_block // geometry.pixels))


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
    network = artifact.network
    plans, schedule = plan_network(network, geometry, max_block=max_block)
    packets = [packet(geometry, Target.CONTROL, [0])]  # no program while it is replaced
    weight = scale = 0
    record = sum(plan.weight_words for plan in plans) + geometry.rows - 1
    bases, beats, records = [], [], []
    for plan in plans:
        name = plan.spec.name
        bases.append(Bases(weight, record, scale))
        scales = scale_items(plan)
        packets.append(packet(geometry, Target.SCALE, scales, address=scale))
        beats.append(weight_beats(plan, artifact.weight_bits(name)))
        if not plan.raw:
            records.append(record_items(plan, artifact.thresholds(name), artifact.pool_min(name)))
        weight += plan.weight_words
        record += plan.records
        scale += len(scales)
    items = np.concatenate(
        [skewed_words(geometry, np.concatenate(beats, axis=1)), *records], axis=1
    )
    packets += [
        packet(geometry, Target.WEIGHT, items[column], column=column)
        for column in range(geometry.columns)
    ]
    packets.append(packet(geometry, Target.LAYER, _row_items(schedule, bases)))
    # The number of rows comes last: with it, and not a word before, the program can run.
    block = schedule.units * geometry.pixels
    packets.append(packet(geometry, Target.CONTROL, [block], address=1))
    packets.append(packet(geometry, Target.CONTROL, [len(schedule.rows)]))
    epilogue = {
        name: array for name, array in artifact.tensors.items() if name.startswith("epilogue.")
    }
    return Program(geometry, network, epilogue, plans, schedule, np.concatenate(packets))


def _row_items(schedule: Schedule, bases: list[Bases]) -> list[int]:
    """Words of the row memory."""
    items = []
    for row in schedule.rows:
        geometry = row.plan.geometry
        values = row_values(row, bases[row.layer], chunk=schedule.chunk, double=schedule.double)
        try:
            packed = pack_row(geometry, values)
        except ValueError as error:
            raise CompileError(
                f"layer {row.plan.spec.name!r} is beyond what a program row can say: {error}"
            ) from error
        mask = (1 << ROW_WORD_BITS) - 1
        items += [packed >> (at * ROW_WORD_BITS) & mask for at in range(row_words(geometry))]
    return items
