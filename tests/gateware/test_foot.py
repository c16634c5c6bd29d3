# SPDX-License-Identifier: Apache-2.0
"""A hop's feet against integers: scale, accumulate, read out, threshold; all of it negated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace
from tests.gateware.records import Record, random_record

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.gateware.weightbank import WeightBank

OUTPUTS = ("codes", "codes_valid", "values", "values_valid", "record")
NONE = {"valid": 0, "record": 0}


def token(address: int, **fields: int) -> dict[str, int]:
    """A valid token; what is not named is 0."""
    names = ("first", "last", "read", "record", "record_address", "scale")
    return {"valid": 1, "address": address, **{name: fields.get(name, 0) for name in names}}


class Banks:
    """The columns' weight banks, which answer the feet; they hold the tiles' records."""

    def __init__(self, geometry: Geometry, tiles: list[list[Record]]) -> None:
        size = geometry.record_words
        words = [
            [word for record in tile for word in record.words] for tile in zip(*tiles, strict=True)
        ]
        self.words = words
        self.size = size
        self.asked: list[int | None] = [None] * WeightBank.latency_cycles

    def answer(self, record: dict[str, int]) -> dict[str, Any]:
        """``records``, for a request of ``latency_cycles`` ago; else noise."""
        self.asked.append(record["address"] if record["valid"] else None)
        at = self.asked.pop(0)
        return {"records": [bank[at] if at is not None else 0 for bank in self.words]}


def stimulus_of(
    geometry: Geometry, rng: np.random.Generator, tiles: list[list[Record]], count: int
) -> list[dict[str, Any]]:
    """Tokens tile by tile; a tile's records are asked for right behind the last token before.

    An address comes again when the foot can take it, and not earlier.
    """
    stimulus: list[dict[str, Any]] = []
    recent = [-1] * (Feet.TURNAROUND_CYCLES - 1)
    known: set[int] = set()
    for tile in range(len(tiles)):
        for word in range(geometry.record_words):
            address = tile * geometry.record_words + word
            stimulus.append({"token": {**NONE, "record": 1, "record_address": address}})
        stimulus += [{"token": NONE}] * (geometry.max_lanes - 1)
        gap = geometry.record_words + geometry.max_lanes - 1
        recent = [*recent, *[-1] * gap][-len(recent) :]
        for step in range(count):
            address = int(rng.integers(min(6, geometry.accumulator_depth)))
            most = geometry.rows * geometry.word_width
            ns = int(rng.integers(most + 1))
            sums = rng.integers(ns + 1, size=geometry.columns_per_hop * geometry.pixels).tolist()
            now: dict[str, Any] = {"n": -ns, "sums": sums}
            if address in recent or (rng.random() < 0.3 and 0 < step < count - 1):
                now["token"] = {**token(address, first=1, last=1), "valid": 0}
            else:
                first = int(address not in known or rng.random() < 0.2)
                known.add(address)
                read = int(not first and rng.random() < 0.3)
                last = int(not read and (rng.random() < 0.4 or step in (0, count - 1)))
                scale = 0 if read else int(rng.integers(200))
                now["token"] = token(address, first=first, read=read, last=last, scale=scale)
                now["tile"] = tile
            stimulus.append(now)
            recent = [*recent, address if now["token"]["valid"] else -1][1:]
    return stimulus


@pytest.mark.parametrize("shape", ["2x1x2x8", "3x3x4x16", "2x2x3x8", "2x2x6x8,pixels=2"])
@pytest.mark.parametrize("max_lanes", [1, 2, 3])
def test_accumulates_reads_and_thresholds(shape: str, max_lanes: int) -> None:
    geometry = geometry_of(shape, max_lanes=max_lanes, weight_depth=256)
    rng = np.random.default_rng([70, max_lanes])
    columns, pixels = geometry.columns_per_hop, geometry.pixels
    tiles = [[random_record(geometry, rng, 3000) for _ in range(columns)] for _ in range(6)]
    # Memories hold nothing at first: addresses are known from their first token on.
    stimulus = stimulus_of(geometry, rng, tiles, 60)
    banks = Banks(geometry, tiles)
    feet = Feet(geometry)

    def inputs() -> Any:
        seen = yield {key: value for key, value in stimulus[0].items() if key != "tile"}
        for now in [*stimulus[1:], *[{"token": NONE}] * SURPLUS_CYCLES]:
            answer = banks.answer(seen["record"])
            # The banks' clock: what was asked for in the cycle before is one cycle under way.
            seen = yield {key: value for key, value in now.items() if key != "tile"} | answer

    banks.asked = banks.asked[1:]  # ``answer`` sees a request a cycle late
    seen = trace(feet, inputs(), *OUTPUTS)

    accumulators: dict[int, list[int]] = {}
    codes: dict[int, list[tuple[int, int]]] = {}
    values: dict[int, list[int]] = {}
    shifts: dict[int, list[Record]] = {}
    for cycle, now in enumerate(stimulus):
        order = now["token"]
        if not order["valid"]:
            continue
        at = order["address"]
        if order["read"]:
            values[cycle + Feet.SUM_CYCLES] = [-value for value in accumulators[at]]
            continue
        before = [0] * feet.count if order["first"] else accumulators[at]
        steps = [order["scale"] * (-now["n"] - 2 * total) for total in now["sums"]]
        accumulators[at] = [old + step for old, step in zip(before, steps, strict=True)]
        if order["last"]:
            records = [tiles[now["tile"]][index // pixels] for index in range(feet.count)]
            shifts[cycle + feet.latency_cycles] = records
            codes[cycle + feet.latency_cycles] = [
                (record.code(value), record.pool_min)
                for record, value in zip(records, accumulators[at], strict=True)
            ]
    assert {c: o["values"] for c, o in enumerate(seen) if o["values_valid"]} == values
    assert [c for c, o in enumerate(seen) if o["codes_valid"]] == list(codes)
    for cycle, expected in codes.items():
        found = [
            (out["code"] >> record.shift, out["pool_min"])
            for out, record in zip(seen[cycle]["codes"], shifts[cycle], strict=True)
        ]
        assert found == expected, f"cycle {cycle}"
    assert len(codes) > 30
    assert len(values) > 30
    assert len({code for row in codes.values() for code, _ in row}) > max_lanes
    assert feet.latency_cycles == Feet.cycles(geometry)
    assert Feet.cycles(geometry) == Feet.SUM_CYCLES + ThresholdUnit.cycles(geometry)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("width", [12, 24, 32])
def test_the_accumulator_reaches_its_limit(width: int, sign: int) -> None:
    """The largest steps, again and again on one address, as fast as it may be used."""
    geometry = geometry_of("3x3x4x16", accumulator_width=width, scale_width=18)
    most, top = geometry.rows * geometry.word_width, (1 << geometry.scale_width) - 1
    limit = geometry.accumulator_limit
    whole, rest = divmod(limit, most * top)
    steps = [(top, most)] * whole + [(rest // most, most), (1, rest % most)]

    idle = [{"token": NONE}] * (Feet.TURNAROUND_CYCLES - 1)
    stimulus: list[dict[str, Any]] = []
    for index, (scale, n) in enumerate(steps):
        order = token(5, first=index == 0, scale=scale)
        sums = [0 if sign > 0 else n] * geometry.columns_per_hop
        stimulus += [{"token": order, "n": -n, "sums": sums}, *idle]
    stimulus += [{"token": token(5, read=1)}, *idle, *[{}] * SURPLUS_CYCLES]
    seen = trace(Feet(geometry), stimulus, *OUTPUTS)
    found = [out["values"] for out in seen if out["values_valid"]]
    assert found == [[-sign * limit] * geometry.columns_per_hop]
