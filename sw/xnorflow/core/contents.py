# SPDX-License-Identifier: Apache-2.0
"""What a device's memories hold once a configuration stream is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits

__all__ = ["Contents"]

HEADER_WORDS = 2


@dataclass(frozen=True)
class Contents:
    """A network as memories' words: what gateware begins with if the network is baked in.

    Parameters
    ----------
    geometry : Geometry
    layer : tuple of int
        Row memory.
    scale : tuple of int
        Lane scales.
    weights : tuple of tuple of int
        Weights and thresholds of each column's bank.
    rows, block : int
        Rows of the program; most images in a block.
    """

    geometry: Geometry
    layer: tuple[int, ...]
    scale: tuple[int, ...]
    weights: tuple[tuple[int, ...], ...]
    rows: int
    block: int

    def check(self, geometry: Geometry) -> None:
        """ValueError unless it was compiled for this geometry."""
        if self.geometry != geometry:
            raise ValueError(f"A network compiled for {self.geometry} cannot begin in {geometry}")

    @property
    def weight_words(self) -> int:
        """Words of the longest weight bank."""
        return max(map(len, self.weights))

    @classmethod
    def of(cls, geometry: Geometry, config: npt.NDArray[np.uint32]) -> Contents:
        """What the loader would write, from the words that the driver would send.

        Raises
        ------
        ValueError
            If the words are not whole packets.
        """
        memories: dict[tuple[Target, int], list[int]] = {}
        for target, column, address, items in _packets(geometry, config):
            memory = memories.setdefault((target, column), [])
            memory += [0] * (address + len(items) - len(memory))
            memory[address : address + len(items)] = items

        def memory_of(target: Target, column: int = 0) -> tuple[int, ...]:
            return tuple(memories.get((target, column), ()))

        rows, block = memory_of(Target.CONTROL)
        return cls(
            geometry,
            layer=memory_of(Target.LAYER),
            scale=memory_of(Target.SCALE),
            weights=tuple(memory_of(Target.WEIGHT, c) for c in range(geometry.columns)),
            rows=rows,
            block=block,
        )


def _packets(
    geometry: Geometry, config: npt.NDArray[np.uint32]
) -> Iterator[tuple[Target, int, int, list[int]]]:
    """Target, column, first address and items of each packet of core/program.py."""
    at = 0
    while at < len(config):
        header = int(config[at])
        target, column, count = Target(header >> 28), header >> 20 & 0xFF, header & 0xFFFFF
        words = -(-item_bits(geometry, target) // 32)
        begin = at + HEADER_WORDS
        at = begin + count * words
        if at > len(config):
            raise ValueError(
                f"The configuration ends in the middle of a packet for {target.name}: "
                f"{count} items of {words} words, of which {len(config) - begin} words are there"
            )
        yield target, column, int(config[begin - 1]), _items(config[begin:at], words)


def _items(words: npt.NDArray[np.uint32], each: int) -> list[int]:
    """Items of ``each`` words, low word first."""
    parts: npt.NDArray[Any] = words.astype("<u4").reshape(-1, each)
    return [int.from_bytes(part.tobytes(), "little") for part in parts]
