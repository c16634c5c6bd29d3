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

from xnorflow.compile.lower import record_items
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.golden.model import GoldenLayer
from xnorflow.simulation.benches.networks import GEOMETRY_VARIABLE, SEED_VARIABLE
from xnorflow.simulation.benches.streams import Clocked

GEOMETRY = Geometry.parse(os.environ[GEOMETRY_VARIABLE])
SEED = int(os.environ[SEED_VARIABLE])
TILES = 3
PAUSE = 0.4
SURPLUS_CYCLES = 100
TOP = GEOMETRY.accumulator_limit


def random_layer(rng: np.random.Generator, lanes: int) -> Artifact:
    """A layer of several tiles: spread thresholds, equal ones, and ones at the extremes."""
    channels, count = TILES * GEOMETRY.columns, (1 << lanes) - 1
    spread = rng.integers(-90, 90, (channels, count))
    special = rng.choice([-TOP - 1, -TOP, -1, 0, TOP, TOP + 1], (channels, count))
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
    wide = rng.integers(-TOP, TOP + 1, (8, thresholds.shape[1]))
    ends = np.repeat([[-TOP], [1 - TOP], [TOP]], thresholds.shape[1], axis=1)
    return np.clip(np.concatenate([around, wide, ends]), -TOP, TOP)


class Unit(Clocked):
    """The unit, and what it showed in every cycle."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.agents = [self]
        self.found: list[tuple[int, int]] = []  # code, pool_min
        for name in ("values", "record", "record_valid"):
            getattr(dut, name).value = 0

    def drive(self) -> None:
        """Inputs come with ``step``."""

    def observe(self) -> None:
        codes = int(self.dut.codes.value)
        self.found.append((codes & ((1 << GEOMETRY.max_lanes) - 1), codes >> GEOMETRY.max_lanes))


@cocotb.test()
async def codes(dut: Any) -> None:
    """Layers of every number of lanes: each tile's record, then values, with gaps in both.

    A tile's record begins to come as soon as the last value of the one before is searched for.
    """
    rng, pauses = np.random.default_rng(SEED), random.Random(SEED)
    unit = Unit(dut)
    Clock(dut.clk, 10, unit="ns").start()
    await unit.reset()
    start = unit.cycle - len(unit.found)
    mask = (1 << GEOMETRY.accumulator_width) - 1
    latency = ThresholdUnit.cycles(GEOMETRY)
    for lanes in (GEOMETRY.max_lanes, *range(1, GEOMETRY.max_lanes + 1)):
        artifact = random_layer(rng, lanes)
        plan = compile_network(artifact, GEOMETRY).plans[0]
        items = record_items(plan, artifact.thresholds("layer"), artifact.pool_min("layer"))
        values = accumulators(artifact, rng)
        golden = _golden(artifact, values)
        flags = artifact.pool_min("layer")
        asked = []
        for tile, column in np.ndindex(TILES, GEOMETRY.columns):
            words = items[column].reshape(TILES, GEOMETRY.record_words)[tile]
            for word in words.tolist():
                while pauses.random() < PAUSE:
                    await unit.step(record_valid=0, record=pauses.getrandbits(8))
                await unit.step(record_valid=1, record=word)
            channel = tile * GEOMETRY.columns + column
            for row in rng.permutation(len(values)):
                while pauses.random() < PAUSE:
                    await unit.step(record_valid=0, values=0)
                asked.append((unit.cycle, int(row), channel))
                # Values come negated.
                await unit.step(record_valid=0, values=-int(values[row, channel]) & mask)
            await unit.step(latency - 1)
        await unit.step(latency)
        for cycle, row, channel in asked:
            code, flag = unit.found[cycle + latency - start]
            found = code >> (GEOMETRY.max_lanes - lanes), flag
            assert found == (int(golden[row, channel]), int(flags[channel])), f"channel {channel}"


def _golden(artifact: Artifact, values: np.ndarray) -> np.ndarray:
    """Codes (values, channels)."""
    layer = GoldenLayer(artifact.network.layers[0], artifact.weight_bits("layer"))
    inputs = torch.from_numpy(values)[:, None, None].to(layer.dtype)
    found = layer.encode(inputs, artifact.thresholds("layer"), artifact.pool_min("layer"))
    return found[:, 0, 0].numpy()
