# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the systolic array: convolutions against the golden model.

Lines of words come after random pauses, in which the words are noise and masked; the next
convolution's weights are written into the banks meanwhile, and loaded between two maps.
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

from xnorflow.compile.lower import weight_items
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.packing import bits_to_words
from xnorflow.core.program import Target
from xnorflow.gateware.array import SystolicArray
from xnorflow.gateware.layouts import bus_layout, load_layout
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
        self.skew = [[(0, 0)] * (s * GEOMETRY.taps) for s in range(GEOMETRY.streams)]
        self.words = [(0, 0)] * GEOMETRY.streams  # word and mask of each stream in this cycle
        self.load = 0

    def drive(self) -> None:
        write = 0
        if self.pending and self.rng.random() >= PAUSE:
            write = bus_layout(GEOMETRY).const(self.pending.pop(0)).as_bits()
        late = []
        for line, now in zip(self.skew, self.words, strict=True):
            line.append(now)
            late.append(line.pop(0))
        layout = data.ArrayLayout(GEOMETRY.word_width, GEOMETRY.streams)
        self.dut.words.value = layout.const([word for word, _ in late]).as_bits()
        self.dut.masks.value = sum(mask << s for s, (_, mask) in enumerate(late))
        self.dut.load.value = self.load
        self.dut.bus.value = write
        # What is not driven anew is noise that does not count.
        self.words = [(self.rng.getrandbits(GEOMETRY.word_width), 0)] * GEOMETRY.streams
        self.load = 0

    def observe(self) -> None:
        self.sums.append(int(self.dut.sums.value))

    def sum(self, cycle: int, column: int) -> int:
        """A column's sum, seen in a cycle."""
        return self.sums[cycle] >> column * GEOMETRY.sum_width & ((1 << GEOMETRY.sum_width) - 1)

    def write_weights(self, artifact: Artifact, first: int) -> None:
        """Queue the writes of a layer's weights to the banks."""
        plan = compile_network(artifact, GEOMETRY).plans[0]
        assert plan.passes == plan.tiles == 1
        for column, items in enumerate(weight_items(plan, artifact.weight_bits("layer"))):
            for at, item in enumerate(items.tolist()):
                write = {"valid": 1, "target": Target.WEIGHT, "column": column}
                self.pending.append({**write, "address": first + at, "data": item})

    async def load_weights(self, first: int) -> None:
        """Wait for the writes, let the last words pass every row, then load."""
        while self.pending:
            await self.step()
        await self.step(GEOMETRY.hops + (GEOMETRY.streams - 1) * GEOMETRY.taps)
        for step in range(GEOMETRY.weight_load_cycles):
            beat = {"valid": 1, "address": first + step, "taps": (1 << GEOMETRY.taps) - 1}
            self.load = load_layout(GEOMETRY).const(beat).as_bits()
            await self.step()
        await self.step()

    async def stream(self, words: np.ndarray) -> dict[tuple[int, int], int]:
        """Send a map (height, width) of words; the cycle of each output's first beat."""
        streams, taps = GEOMETRY.streams, GEOMETRY.taps
        starts = {}
        for top in range(1 - streams, HEIGHT):
            while self.rng.random() < PAUSE:
                await self.step()
            for left in range(1 - taps, WIDTH + taps - 1):
                now = []
                for y in range(top, top + streams):
                    inside = 0 <= y < HEIGHT and 0 <= left < WIDTH
                    now.append((int(words[y, left]), 1) if inside else (255, 0))
                self.words = now
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
        first = index % 2 * GEOMETRY.weight_load_cycles
        await array.load_weights(first)
        if index + 1 < len(layers):
            array.write_weights(layers[index + 1], GEOMETRY.weight_load_cycles - first)
        spec = artifact.network.layers[0]
        codes = rng.integers(0, 2, spec.in_shape, dtype=np.uint8)
        starts = await array.stream(bits_to_words(codes, GEOMETRY.word_width)[..., 0])
        await array.step(latency + GEOMETRY.hops)

        expected = _golden(artifact, codes)
        real = _golden_count(artifact)
        streams, taps = GEOMETRY.streams, GEOMETRY.taps
        for (column, row, x), total in np.ndenumerate(expected):
            start = starts[row - streams + 1, x - taps + 1]
            found = array.sum(start + latency + column // GEOMETRY.columns_per_hop, column)
            n = int(real[row, x])
            assert n - 2 * found == int(total), f"layer {index}, output {row, x}, column {column}"


def _golden(artifact: Artifact, codes: np.ndarray) -> np.ndarray:
    """Accumulators (columns, rows, positions) of one map."""
    layer = GoldenLayer(artifact, artifact.network.layers[0])
    inputs = torch.from_numpy(codes).permute(2, 0, 1)[None]
    return layer.accumulate(inputs)[0].numpy()


def _golden_count(artifact: Artifact) -> np.ndarray:
    """Real inputs of each output: the sum of a map of ones under weights of ones."""
    spec = artifact.network.layers[0]
    builder = NetworkBuilder("ones", image_shape=spec.in_shape, pixel_lanes=1)
    weights = np.ones((1, *spec.kernel, spec.in_shape[2]))
    ones = builder.conv(weights, padding=spec.padding, name="layer").build()
    return _golden(ones, np.ones(spec.in_shape, np.uint8))[0]
