# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the systolic array: convolutions against the golden model.

Windows of words come after random pauses, in which the words are noise and masked; the next
convolution's weights are written into the banks meanwhile, and fall to their rows while the first
windows of its map are on their way.
"""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
import numpy as np
import torch
from amaranth.lib import data
from cocotb.clock import Clock

from xnorflow.compile.lower import skewed_words, weight_beats
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.packing import bits_to_words
from xnorflow.core.program import Target
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.layouts import bus_layout, load_layout
from xnorflow.gateware.weightbank import WeightBank
from xnorflow.golden.model import GoldenLayer
from xnorflow.simulation.benches.networks import GEOMETRY_VARIABLE, SEED_VARIABLE
from xnorflow.simulation.benches.streams import Clocked

GEOMETRY = Geometry.parse(os.environ[GEOMETRY_VARIABLE])
SEED = int(os.environ[SEED_VARIABLE])
HEIGHT, WIDTH = 6, 9
PAUSE = 0.4


def random_layer(rng: np.random.Generator) -> Artifact:
    """One convolution that the array does in one pass; its channels do not fill a word."""
    streams, taps = GEOMETRY.streams, GEOMETRY.taps
    channels = GEOMETRY.word_width - 1
    builder = NetworkBuilder("array", image_shape=(HEIGHT, WIDTH, channels), pixel_lanes=1)
    weights = rng.choice(np.array([-1, 1]), (GEOMETRY.columns, streams, taps, channels))
    return builder.conv(weights, padding=(streams - 1, taps - 1), name="layer").build()


class Array(Clocked):
    """The array, its inputs, and every cycle's sums."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.rng = random.Random(SEED)
        self.agents = [self]
        self.sums: list[int] = []
        self.pending: list[dict[str, int]] = []  # configuration writes
        self.skew = [[(0, 0)] * row for row in range(GEOMETRY.rows)]
        self.shifts = [[0] * row for row in range(GEOMETRY.rows)]
        self.under_way = [0] * WeightBank.latency_cycles  # shifts, until the banks answer
        self.window = [(0, 0)] * GEOMETRY.rows  # word and mask of each row in this cycle
        self.reads: list[dict[str, int]] = []  # of the banks
        for name in ("record", "double"):
            getattr(dut, name).value = 0

    def drive(self) -> None:
        write = 0
        if self.pending and self.rng.random() >= PAUSE:
            write = bus_layout(GEOMETRY).const(self.pending.pop(0)).as_bits()
        read = self.reads.pop(0) if self.reads else {"valid": 0, "shift": 0, "address": 0}
        self.under_way.append(read["shift"])
        shift = self.under_way.pop(0)
        late, shifts = [], 0
        for row in range(GEOMETRY.rows):
            self.skew[row].append(self.window[row])
            late.append(self.skew[row].pop(0))
            self.shifts[row].append(shift)
            shifts |= self.shifts[row].pop(0) << row
        words = data.ArrayLayout(GEOMETRY.word_width, GEOMETRY.rows)
        self.dut.words.value = words.const([word for word, _ in late]).as_bits()
        self.dut.masks.value = sum(mask << row for row, (_, mask) in enumerate(late))
        self.dut.shifts.value = shifts
        self.dut.load.value = load_layout(GEOMETRY).const(read).as_bits()
        self.dut.bus.value = write
        # What is not driven anew is noise that does not count.
        noise = self.rng.getrandbits(GEOMETRY.word_width)
        self.window = [(noise, 0)] * GEOMETRY.rows

    def observe(self) -> None:
        self.sums.append(int(self.dut.sums.value))

    def sum(self, cycle: int, column: int) -> int:
        """A column's sum, seen in a cycle."""
        width = GEOMETRY.sum_width()
        return self.sums[cycle] >> column * width & ((1 << width) - 1)

    def write_weights(self, artifact: Artifact, first: int) -> None:
        """Queue the writes of a layer's weights to the banks."""
        plan = compile_network(artifact, GEOMETRY).plans[0]
        assert plan.passes == plan.tiles == 1
        items = skewed_words(GEOMETRY, weight_beats(plan, artifact.weight_bits("layer")))
        for column in range(GEOMETRY.columns):
            for at, item in enumerate(items[column].tolist()):
                write = {"valid": 1, "target": Target.WEIGHT, "column": column}
                self.pending.append({**write, "address": first + at, "data": item})

    async def load_weights(self, first: int) -> None:
        """Wait for the writes, then load; returns as row 0 has its last beat.

        The rows below get theirs a cycle later each, as their words come.
        """
        while self.pending:
            await self.step()
        await self.step(GEOMETRY.hops + 2)
        load = GEOMETRY.weight_load_cycles
        self.reads = [
            {"valid": 1, "shift": int(step < load), "address": first + step}
            for step in range(load + GEOMETRY.rows - 1)
        ]
        await self.step(load + WeightBank.latency_cycles)

    async def stream(self, words: np.ndarray) -> dict[tuple[int, int], int]:
        """Send the windows of a map (height, width) of words; the cycle of each."""
        taps = GEOMETRY.taps
        starts: dict[tuple[int, int], int] = {}
        for top, left in np.ndindex(HEIGHT + GEOMETRY.streams - 1, WIDTH + taps - 1):
            while self.rng.random() < PAUSE and starts:
                await self.step()
            now = []
            for row in range(GEOMETRY.rows):
                y = top - GEOMETRY.streams + 1 + row // taps
                x = left - taps + 1 + row % taps
                inside = 0 <= y < HEIGHT and 0 <= x < WIDTH
                now.append((int(words[y, x]), 1) if inside else (255, 0))
            self.window = now
            starts[top, left] = self.cycle
            await self.step()
        return starts


@cocotb.test()
async def convolutions(dut: Any) -> None:
    """Three layers one after another: every sum of every output, with exact zero padding."""
    rng = np.random.default_rng(SEED)
    array = Array(dut)
    Clock(dut.clk, 10, unit="ns").start()
    await array.reset()
    latency = SystolicArray.cycles(GEOMETRY)
    layers = [random_layer(rng) for _ in range(3)]
    array.write_weights(layers[0], 0)
    for index, artifact in enumerate(layers):
        size = GEOMETRY.weight_load_cycles + GEOMETRY.rows - 1
        await array.load_weights(index % 2 * size)
        if index + 1 < len(layers):
            array.write_weights(layers[index + 1], (index + 1) % 2 * size)
        spec = artifact.network.layers[0]
        codes = rng.integers(0, 2, spec.in_shape, dtype=np.uint8)
        starts = await array.stream(bits_to_words(codes, GEOMETRY.word_width)[..., 0])
        await array.step(latency + GEOMETRY.hops)

        expected = _golden(artifact, codes)
        real = _golden_count(artifact)
        for (column, row, x), total in np.ndenumerate(expected):
            start = starts[row, x]
            found = array.sum(start + latency + column // GEOMETRY.columns_per_hop, column)
            n = int(real[row, x])
            assert n - 2 * found == int(total), f"layer {index}, output {row, x}, column {column}"


def _golden(artifact: Artifact, codes: np.ndarray) -> np.ndarray:
    """Accumulators (columns, rows, positions) of one map."""
    layer = GoldenLayer(artifact.network.layers[0], artifact.weight_bits("layer"))
    return layer.accumulate(torch.from_numpy(codes)[None])[0].permute(2, 0, 1).numpy()


def _golden_count(artifact: Artifact) -> np.ndarray:
    """Real inputs of each output: the sum of a map of ones under weights of ones."""
    spec = artifact.network.layers[0]
    builder = NetworkBuilder("ones", image_shape=spec.in_shape, pixel_lanes=1)
    weights = np.ones((1, *spec.kernel, spec.in_shape[2]))
    ones = builder.conv(weights, padding=spec.padding, name="layer").build()
    return _golden(ones, np.ones(spec.in_shape, np.uint8))[0]
