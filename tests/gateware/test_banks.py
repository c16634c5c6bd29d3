# SPDX-License-Identifier: Apache-2.0
"""Activation banks against lists of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, geometry_of, trace

from xnorflow.gateware.banks import ActivationBanks
from xnorflow.gateware.memory import BlockMemory


def number(rng: np.random.Generator, bits: int) -> int:
    return int.from_bytes(rng.bytes(-(-bits // 8)), "little") % (1 << bits)


@pytest.mark.parametrize("shape", [*SHAPES, "2x1x2x64", "2x2x4x8,pixels=2"])
def test_banks_write_granules_of_some_streams_and_read(shape: str) -> None:
    """Any read beside any write, except of the word that is being written."""
    geometry = geometry_of(shape, activation_depth=16)
    rng = np.random.default_rng(90)
    granules = geometry.word_width // geometry.granule
    depth, pixels = geometry.activation_depth, geometry.pixels
    banks = range(geometry.banks)
    stimulus: list[dict[str, Any]] = []
    for cycle in range(200):
        # First every word once, whole; then granules anywhere.
        fill = cycle < depth
        write = [
            {
                "enable": [(1 << granules) - 1 if fill else number(rng, granules)
                           for _ in range(pixels)],
                "address": cycle if fill else int(rng.integers(depth)),
                "data": [number(rng, geometry.word_width) for _ in range(pixels)],
            }
            for _ in banks
        ]  # fmt: skip
        addresses = [(write[b]["address"] + int(rng.integers(1, depth))) % depth for b in banks]
        stimulus.append({"writes": write, "addresses": addresses})
    seen = trace(ActivationBanks(geometry), stimulus, "words")

    memory = [[[0] * depth for _ in banks] for _ in range(pixels)]
    for cycle, now in enumerate(stimulus[: -BlockMemory.latency_cycles]):
        out = seen[cycle + BlockMemory.latency_cycles]
        each = ((pixel, pair) for pixel in range(pixels) for pair in enumerate(now["writes"]))
        for pixel, (bank, write) in each:
            held = memory[pixel][bank]
            if cycle >= depth:
                found = out["words"][pixel][bank]
                assert found == held[now["addresses"][bank]], f"cycle {cycle}, bank {bank}"
            for granule in range(granules):
                if write["enable"][pixel] >> granule & 1:
                    mask = ((1 << geometry.granule) - 1) << granule * geometry.granule
                    old = held[write["address"]]
                    held[write["address"]] = old & ~mask | write["data"][pixel] & mask
