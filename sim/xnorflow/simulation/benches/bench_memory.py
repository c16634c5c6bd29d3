# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of a block memory: random writes and reads against a list of words."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock

from xnorflow.gateware.memory import BlockMemory
from xnorflow.simulation.benches.networks import SEED_VARIABLE
from xnorflow.simulation.benches.streams import Clocked

SHAPE_VARIABLE = "XNORFLOW_BENCH_MEMORY"
"""Environment variable: width, depth and granularity of the memory, separated by commas."""
CYCLES = 3000
ADDRESSES = 24
"""So few that a word is read soon after it was written; they are spread over the depth."""


@cocotb.test()
async def random_accesses(dut: Any) -> None:
    """Every word that is read is what was last written, ``latency_cycles`` later; it stays."""
    width, depth, granularity = map(int, os.environ[SHAPE_VARIABLE].split(","))
    rng = random.Random(int(os.environ[SEED_VARIABLE]))
    Clock(dut.clk, 10, unit="ns").start()
    bench = Clocked(dut)
    places = rng.sample(range(depth), min(ADDRESSES, depth))
    granules, mask = width // granularity, (1 << granularity) - 1
    words = {place: [0] * granules for place in places}
    for place in places:  # all of it, before anything is read
        words[place] = [rng.getrandbits(granularity) for _ in range(granules)]
        value = sum(bits << granularity * at for at, bits in enumerate(words[place]))
        await bench.step(
            write_enable=(1 << granules) - 1, write_address=place, write_data=value,
            read_enable=0, read_address=0,
        )  # fmt: skip
    expected: list[int | None] = [None] * BlockMemory.latency_cycles  # what is seen, cycle by cycle
    for _ in range(CYCLES):
        to, source = rng.choice(places), rng.choice(places)
        enable, value = rng.getrandbits(granules), rng.getrandbits(width)
        reads = rng.random() < 0.7 and (to != source or not enable)  # else it is undefined
        await bench.step(
            write_enable=enable, write_address=to, write_data=value,
            read_enable=int(reads), read_address=source,
        )  # fmt: skip
        seen = expected.pop(0)
        if seen is not None:
            assert int(dut.read_data.value) == seen
        word = sum(bits << granularity * at for at, bits in enumerate(words[source]))
        expected.append(word if reads else expected[-1])
        for at in range(granules):
            if enable >> at & 1:
                words[to][at] = value >> granularity * at & mask
