# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the threshold unit: random accumulators against the golden model's codes."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
import numpy as np
import torch
from cocotb.clock import Clock

from xnorflow.compile.lower import threshold_items
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.layouts import bus_layout
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.golden.model import GoldenLayer
from xnorflow.simulation.benches.networks import GEOMETRY_VARIABLE, INDEX, SEED_VARIABLE
from xnorflow.simulation.benches.streams import Clocked

GEOMETRY = Geometry.parse(os.environ[GEOMETRY_VARIABLE])
SEED = int(os.environ[SEED_VARIABLE])
TILES = 3
PAUSE = 0.4
SURPLUS_CYCLES = 100
TOP = (1 << GEOMETRY.accumulator_width - 1) - 1


def random_layer(rng: np.random.Generator, lanes: int) -> Artifact:
    """A layer of several tiles: spread thresholds, equal ones, and ones at the extremes."""
    channels, count = TILES * GEOMETRY.columns, (1 << lanes) - 1
    spread = rng.integers(-90, 90, (channels, count))
    special = rng.choice([-TOP - 1, -TOP, -1, 0, TOP - 1, TOP], (channels, count))
    thresholds = np.sort(np.where(rng.random((channels, 1)) < 0.6, spread, special), axis=1)
    builder = NetworkBuilder("threshold", image_shape=(1, 1, 8), pixel_lanes=1)
    builder.conv(
        np.ones((channels, 1, 1, 8)),
        thresholds=thresholds,
        pool_min=rng.integers(0, 2, channels),
        name="layer",
    )
    return builder.conv(np.ones((1, 1, 1, channels)), name="last").build()


def accumulators(artifact: Artifact, rng: np.random.Generator) -> np.ndarray:
    """(values, channels): each channel's thresholds, their neighbours, extremes, any."""
    thresholds = artifact.thresholds("layer").astype(np.int64).T  # (count, channels)
    around = np.concatenate([thresholds - 1, thresholds, thresholds + 1])
    wide = rng.integers(-TOP - 1, TOP + 1, (8, thresholds.shape[1]))
    ends = np.repeat([[-TOP - 1], [-TOP], [TOP]], thresholds.shape[1], axis=1)
    return np.clip(np.concatenate([around, wide, ends]), -TOP - 1, TOP)


class Unit(Clocked):
    """The unit, and what came out of it."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.agents = [self]
        self.found: list[tuple[int, int, int]] = []  # cycle, code, pool_min
        for name in ("value", "valid", "tile", "bus"):
            getattr(dut, name).value = 0

    def drive(self) -> None:
        """Inputs come with ``step``."""

    def observe(self) -> None:
        if int(self.dut.o_valid.value):
            o = int(self.dut.o.value)
            code = o & ((1 << GEOMETRY.max_lanes) - 1)
            self.found.append((self.cycle, code, o >> GEOMETRY.max_lanes))


@cocotb.test()
async def codes(dut: Any) -> None:
    """Layers of every number of lanes, loaded over each other; gaps in writes and lookups."""
    rng, pauses = np.random.default_rng(SEED), random.Random(SEED)
    unit = Unit(dut)
    Clock(dut.clk, 10, unit="ns").start()
    await unit.reset()
    mask = (1 << GEOMETRY.accumulator_width) - 1
    for lanes in (GEOMETRY.max_lanes, *range(1, GEOMETRY.max_lanes + 1)):
        artifact = random_layer(rng, lanes)
        plan = compile_network(artifact, GEOMETRY).plans[0]
        heaps = threshold_items(plan, artifact.thresholds("layer"), artifact.pool_min("layer"))
        for column, items in enumerate(heaps):
            for address, item in enumerate(items.tolist()):
                write = {"target": Target.THRESHOLD, "column": column, "address": address}
                layout = bus_layout(GEOMETRY).const({**write, "valid": 1, "data": item})
                while pauses.random() < PAUSE:
                    await unit.step(bus=0)
                await unit.step(bus=layout.as_bits())
        await unit.step(bus=0)

        values = accumulators(artifact, rng)
        asked = []
        for number in rng.permutation(len(values) * TILES):
            row, tile = divmod(int(number), TILES)
            channel = tile * GEOMETRY.columns + INDEX
            while pauses.random() < PAUSE:
                await unit.step(valid=0)
            asked.append((unit.cycle, row, channel))
            await unit.step(valid=1, tile=tile, value=int(values[row, channel]) & mask)
        await unit.step(SURPLUS_CYCLES, valid=0)

        golden = _golden(artifact, values)
        flags = artifact.pool_min("layer")
        shift = GEOMETRY.max_lanes - lanes
        latency = ThresholdUnit.cycles(GEOMETRY)
        expected = [(c + latency, int(golden[row, ch]), int(flags[ch])) for c, row, ch in asked]
        assert [(c, code >> shift, flag) for c, code, flag in unit.found] == expected
        unit.found.clear()


def _golden(artifact: Artifact, values: np.ndarray) -> np.ndarray:
    """Codes (values, channels)."""
    layer = GoldenLayer(artifact, artifact.network.layers[0])
    inputs = torch.from_numpy(values)[:, :, None, None]
    return layer.encode(inputs.to(layer.dtype))[:, :, 0, 0].numpy()
