# SPDX-License-Identifier: Apache-2.0
"""Records of thresholds as the feet's units take them, and what the units make of values."""

from __future__ import annotations

import numpy as np

from xnorflow.core.geometry import Geometry

__all__ = ["Record", "random_record"]


class Record:
    """A channel's thresholds (fewer lanes than the device's leave others between) and direction."""

    def __init__(
        self, geometry: Geometry, thresholds: list[int], pool_min: int, others: list[int]
    ) -> None:
        self.geometry, self.thresholds, self.pool_min = geometry, thresholds, pool_min
        slots = (1 << geometry.max_lanes) - 1
        lanes = (len(thresholds) + 1).bit_length() - 1
        self.shift = geometry.max_lanes - lanes
        apart = 1 << self.shift
        held = list(others[:slots])
        held[apart - 1 :: apart] = thresholds
        mask = (1 << geometry.accumulator_width) - 1
        self.bits = pool_min << slots * geometry.accumulator_width
        for slot, threshold in enumerate(held):
            self.bits |= (threshold - 1 & mask) << slot * geometry.accumulator_width

    @property
    def words(self) -> list[int]:
        """Bank words, lowest first; the last one ends with the record's last bit."""
        bus = self.geometry.rows * self.geometry.weight_beat
        count = self.geometry.record_words
        bits = self.bits << count * bus - self.geometry.record_bits
        return [bits >> index * bus & ((1 << bus) - 1) for index in range(count)]

    def code(self, value: int) -> int:
        """Thresholds that a value reaches."""
        return sum(value >= threshold for threshold in self.thresholds)


def random_record(geometry: Geometry, rng: np.random.Generator, spread: int = 50) -> Record:
    """Of any number of lanes: thresholds that are spread, equal, or at the extremes."""
    lanes = int(rng.integers(1, geometry.max_lanes + 1))
    count = (1 << lanes) - 1
    top = geometry.accumulator_limit
    kind = rng.integers(4)
    if kind == 0:
        thresholds = [int(rng.integers(-spread, spread))] * count
    elif kind == 1:
        thresholds = sorted(rng.choice([-top, 1 - top, 0, top, top + 1], count).tolist())
    else:
        thresholds = sorted(rng.integers(-spread, spread, count).tolist())
    others = rng.integers(-9, 9, (1 << geometry.max_lanes) - 1).tolist()
    return Record(geometry, thresholds, int(rng.integers(2)), others)
