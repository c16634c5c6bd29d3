# SPDX-License-Identifier: Apache-2.0
"""Activation banks and the fetch unit against lists of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.banks import ActivationBanks, Fetch


def random_word(geometry: Geometry, rng: np.random.Generator) -> int:
    return int(rng.integers(1 << geometry.word_width, dtype=np.uint64))


@pytest.mark.parametrize("shape", [*SHAPES, "2x1x2x64"])
def test_banks_write_granules_and_read_a_cycle_later(shape: str) -> None:
    """Any read beside any write; a read of the word that is being written gives the old one."""
    geometry = geometry_of(shape, activation_depth=16)
    rng = np.random.default_rng(90)
    granules = geometry.word_width // geometry.granule
    banks = range(geometry.streams)
    stimulus: list[dict[str, Any]] = []
    for cycle in range(300):
        # First every word once, whole; then granules anywhere.
        fill = cycle < geometry.activation_depth
        write = [
            {
                "enable": (1 << granules) - 1 if fill else int(rng.integers(1 << granules)),
                "address": cycle if fill else int(rng.integers(geometry.activation_depth)),
                "data": random_word(geometry, rng),
            }
            for _ in banks
        ]
        addresses = [int(rng.integers(geometry.activation_depth)) for _ in banks]
        stimulus.append({"writes": write, "addresses": addresses})
    seen = trace(ActivationBanks(geometry), stimulus, "words")

    memory = [[0] * geometry.activation_depth for _ in banks]
    for cycle, now in enumerate(stimulus[:-1]):
        for bank, write in enumerate(now["writes"]):
            word = memory[bank][now["addresses"][bank]]
            if cycle >= geometry.activation_depth:
                assert seen[cycle + 1]["words"][bank] == word, f"cycle {cycle}, bank {bank}"
            for granule in range(granules):
                if write["enable"] >> granule & 1:
                    mask = ((1 << geometry.granule) - 1) << granule * geometry.granule
                    old = memory[bank][write["address"]]
                    memory[bank][write["address"]] = old & ~mask | write["data"] & mask


@pytest.mark.parametrize("tail", [1, -1, 0])
@pytest.mark.parametrize("shape", [*SHAPES, "2x1x2x64"])
def test_fetch(shape: str, tail: int) -> None:
    """Stream s reads bank (s + rotation) mod streams; outside the map it sees the border's bit."""
    geometry = geometry_of(shape)
    rng = np.random.default_rng([91, tail % 3])
    streams, width = geometry.streams, geometry.word_width
    channels = tail if tail > 0 else width + tail
    bits = 1 << streams
    stimulus: list[dict[str, Any]] = []
    for _ in range(250):
        beat: dict[str, Any] = {
            name: int(rng.integers(bits)) for name in ("mask", "inside", "tails")
        }
        beat["addresses"] = rng.integers(geometry.activation_depth, size=streams).tolist()
        beat["rotation"] = int(rng.integers(streams))
        beat["fill"] = int(rng.integers(2))
        words = [random_word(geometry, rng) for _ in range(streams)]
        stimulus.append({"beat": beat, "bank_words": words, "tail": channels})
    fetch = Fetch(geometry)
    seen = trace(fetch, stimulus, "addresses", "words", "masks")

    for cycle, now in enumerate(stimulus[: -fetch.latency_cycles]):
        beat, out = now["beat"], seen[cycle + fetch.latency_cycles]
        assert out["masks"] == beat["mask"]
        for stream in range(streams):
            bank = (stream + beat["rotation"]) % streams
            assert seen[cycle]["addresses"][bank] == beat["addresses"][stream]
            if beat["inside"] >> stream & 1:
                # The banks answer a cycle after the addresses.
                word = stimulus[cycle + 1]["bank_words"][bank]
            else:
                real = channels if beat["tails"] >> stream & 1 else width
                word = (1 << real) - 1 if beat["fill"] else 0
            assert out["words"][stream] == word, f"cycle {cycle}, stream {stream}"


def test_fetch_reset_masks_everything() -> None:
    geometry = geometry_of("3x1x12x8")
    stimulus = [{"beat": {"mask": 7}}] * 5 + [{"rst": 1}] + [{"rst": 0, "beat": {"mask": 0}}] * 20
    seen = trace(Fetch(geometry), stimulus, "masks")
    assert seen[5]["masks"] == 7
    assert all(out["masks"] == 0 for out in seen[6:])
