# SPDX-License-Identifier: Apache-2.0
"""The issuer: segments to beats, weight loads, tokens and read-outs, cycle by cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Unroll
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.issuer import Issuer
from xnorflow.gateware.pacer import READ_CYCLES, Pacer

OUTPUTS = ("segments.ready", "beat", "load", "window", "token", "promise", "channels", "end",
           "waiting", "busy")  # fmt: skip
SHAPES = ("2x1x2x8", "3x3x4x16", "2x2x3x8,pixels=2", "2x3x4x64,weight_bus=512")


def random_row(rng: np.random.Generator, geometry: Geometry, unroll: Unroll) -> dict[str, int]:
    """The row's fields that the issuer uses."""
    stride = int(rng.integers(1, 5))
    return {
        "unroll": unroll,
        "column_last": int(rng.integers(3, 12)),
        "word_stride": int(rng.integers(1, 20)),
        "stride": stride,
        "step_slot": stride // geometry.taps,
        "step_column": stride % geometry.taps,
        "pace": int(rng.integers(4)),
        "shortest": int(rng.integers(4)),
        "raw": int(rng.integers(2)),
    }


def random_segment(geometry: Geometry, rng: np.random.Generator) -> dict[str, Any]:
    """A line of beats, or now and then a weight load or a read-out."""
    depth, rows = geometry.activation_depth, geometry.rows
    kind = rng.random()
    if kind < 0.25:
        window = {name: int.from_bytes(rng.bytes(8), "little") % (1 << rows)
                  for name in ("active", "tails")}  # fmt: skip
        window |= {"tail": int(rng.integers(1, 9)), "planes": 0, "border": 1, "fill": 5}
        records = bool(rng.integers(2))
        return {
            "load": 1,
            "count": Pacer.load_cycles(geometry, records=records) - 1,
            "weights": int(rng.integers(geometry.weight_depth - 64)),
            "record": int(rng.integers(geometry.weight_depth - 64)),
            "records": int(records),
            "pass": window,
        }
    if kind < 0.4:
        return {
            "read": 1,
            "end": int(rng.integers(2)),
            "count": int(rng.integers(5)),
            "channels": int(rng.integers(1, geometry.columns + 1)),
        }
    outputs = int(rng.integers(1, 7))
    return {
        "lines": rng.integers(depth, size=geometry.streams).tolist(),
        "row": int(rng.integers(geometry.streams)),
        "inside": int(rng.integers(1 << geometry.streams)),
        "lane": int(rng.integers(8)),
        "word_column": int(rng.integers(geometry.taps)),
        "x": int(rng.integers(-4, 6)),
        "slot": int(rng.integers(depth)),
        "column": int(rng.integers(geometry.taps)),
        "count": outputs - 1,
        "address": int(rng.integers(geometry.accumulator_depth - outputs)),
        "first": int(rng.integers(2)),
        "last": int(rng.integers(2)),
        "scale": int(rng.integers(1 << geometry.scale_width)),
    }


def beats(geometry: Geometry, row: dict[str, int], now: dict[str, Any]) -> list[dict[str, Any]]:
    """Beat of each position of a line, by the position's number alone."""
    taps, found = geometry.taps, []
    for number in range(now["count"] + 1):
        x = now["x"] + number * row["stride"]
        at = now["column"] + number * row["stride"]
        slot, column = now["slot"] + at // taps, at % taps
        slots = [0] * taps
        for j in range(taps):
            kernel = row["unroll"] == Unroll.KERNEL
            offset = (column + j) // taps if kernel else j * row["word_stride"]
            bank = (column + j + now["word_column"]) % taps
            slots[bank] = (slot + offset) % geometry.activation_depth
        inside = 0
        for r in range(geometry.rows):
            i, j = divmod(r, taps)
            position = x + (j if row["unroll"] == Unroll.KERNEL else 0)
            inside |= (now["inside"] >> i & (0 <= position <= row["column_last"])) << r
        found.append(
            {
                "valid": 1,
                "lines": now["lines"],
                "slots": slots,
                "row": now["row"],
                "column": (column + now["word_column"]) % taps,
                "inside": inside,
                "lane": now["lane"],
            }
        )
    return found


@dataclass
class Model:
    """What must be seen when; ``now`` is the cycle in which the next segment may begin."""

    geometry: Geometry
    row: dict[str, int]
    room: list[int]
    now: int
    beats: dict[int, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[int, dict[str, int]] = field(default_factory=dict)
    records: dict[int, int] = field(default_factory=dict)
    loads: dict[int, dict[str, int]] = field(default_factory=dict)
    windows: dict[int, dict[str, int]] = field(default_factory=dict)
    promises: dict[int, tuple[int, int]] = field(default_factory=dict)
    waits: set[int] = field(default_factory=set)
    load_from: int = 0  # a load may begin
    read_from: int = 0  # the last sum is stored
    left: int = 0  # the words that were read before have left

    def run(self, segment: dict[str, Any]) -> None:
        if segment.get("load"):
            self._load(segment)
        elif segment.get("read"):
            self._read(segment)
        else:
            self._line(segment)

    def _load(self, segment: dict[str, Any]) -> None:
        geometry, records = self.geometry, bool(segment["records"])
        start = max(self.now, self.load_from)
        self.load_from = start + Pacer.spacing_cycles(geometry, records=records)
        self.now = start + Pacer.load_cycles(geometry, records=records)
        load = geometry.weight_load_cycles
        seen = start + Issuer.latency_cycles
        self.windows[seen] = segment["pass"]
        for step in range(load + geometry.rows - 1):
            self.loads[seen + step] = {
                "valid": 1,
                "shift": int(step < load),
                "address": segment["weights"] + step,
            }
        if records:
            first = seen + Pacer.record_offset(geometry)
            for word in range(geometry.record_words):
                self.records[first + word] = segment["record"] + word

    def _line(self, segment: dict[str, Any]) -> None:
        pace = self.row["pace"] + 1 if segment["last"] else 1
        for number, beat in enumerate(beats(self.geometry, self.row, segment)):
            issued = self.now + number * pace
            self.beats[issued + Issuer.latency_cycles] = beat
            self.tokens[issued + Issuer.latency_cycles] = {
                "read": 0,
                "address": segment["address"] + number,
                "first": segment["first"],
                "last": int(segment["last"] and not self.row["raw"]),
                "scale": segment["scale"],
            }
        self.read_from = issued + Feet.TURNAROUND_CYCLES
        self.now += max((segment["count"] + 1) * pace, self.row["shortest"] + 1)

    def _read(self, segment: dict[str, Any]) -> None:
        for number in range(segment["count"] + 1):
            at = max(self.now, self.read_from, self.left)
            while not self.room[at - 1]:
                self.waits.add(at)
                at += 1
            last = number == segment["count"]
            self.tokens[at + Issuer.latency_cycles] = {
                "read": 1, "address": number, "first": 0, "last": 0, "scale": 0,
            }  # fmt: skip
            self.promises[at + 1] = segment["channels"], int(last and segment["end"])
            self.left = at + max(segment["channels"] * self.geometry.pixels, READ_CYCLES)
            self.now = at + 1


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("unroll", list(Unroll))
@pytest.mark.parametrize("shape", SHAPES)
def test_issues_every_segment(shape: str, unroll: Unroll, idle: float) -> None:
    """Back to back, or with pauses between; a way out that has room now and then."""
    geometry = geometry_of(shape, weight_depth=256)
    rng = np.random.default_rng([160, unroll, int(2 * idle)])
    row = random_row(rng, geometry, unroll)
    room = (rng.random(20_000) < (0.3 if idle else 1.0)).astype(int).tolist()
    model = Model(geometry, row, room, now=0)
    stimulus: list[dict[str, Any]] = [{"row": row, "segments.valid": 0}] * 2
    taken = []
    for _ in range(40):
        segment = random_segment(geometry, rng)
        while rng.random() < idle:
            stimulus.append({"segments.valid": 0})
        single = not segment.get("load") and segment["count"] == 0
        if not segment.get("read"):
            single = single and row["shortest"] == 0
            single = single and not (segment.get("last") and row["pace"])
        offer = {"segments.valid": 1, "segments.payload": {**segment, "single": int(single)}}
        taken.append(max(model.now - 1, len(stimulus)))  # in the last cycle of the one before
        stimulus += [offer] * (taken[-1] + 1 - len(stimulus))
        model.now = taken[-1] + 1
        model.run(segment)
    stimulus += [{"segments.valid": 0}] * (model.now - len(stimulus) + SURPLUS_CYCLES)
    inputs = [{**now, "room": room[cycle]} for cycle, now in enumerate(stimulus)]
    seen = trace(Issuer(geometry), inputs, *OUTPUTS)

    offered = [now["segments.valid"] for now in stimulus]
    assert [c for c, out in enumerate(seen) if offered[c] and out["segments.ready"]] == taken
    assert {c for c, out in enumerate(seen) if out["waiting"]} == model.waits
    assert {c: o["beat"] for c, o in enumerate(seen) if o["beat"]["valid"]} == model.beats
    assert {c: o["load"] for c, o in enumerate(seen) if o["load"]["valid"]} == model.loads
    records = {c: o["token"]["record_address"] for c, o in enumerate(seen) if o["token"]["record"]}
    assert records == model.records
    tokens = {c: o["token"] for c, o in enumerate(seen) if o["token"]["valid"]}
    assert list(tokens) == sorted(model.tokens)
    for cycle, expected in model.tokens.items():
        assert {name: tokens[cycle][name] for name in expected} == expected, f"cycle {cycle}"
    found = {c: (o["channels"], o["end"]) for c, o in enumerate(seen) if o["promise"]}
    assert found == model.promises
    window = None
    for cycle, out in enumerate(seen):
        window = model.windows.get(cycle, window)
        assert window is None or out["window"] == window, f"cycle {cycle}"
        # A row ends only when nothing is left here.
        assert out["busy"] or not (out["token"]["valid"])


@pytest.mark.parametrize("max_lanes", [1, 3])
@pytest.mark.parametrize("shape", [*SHAPES, "3x3x4x64,weight_bus=72", "8x2x4x8"])
def test_banks_are_never_asked_for_two_words_at_once(shape: str, max_lanes: int) -> None:
    """Loads as close as may be: thresholds, on their way to the feet, meet no read of weights.

    A record's word is asked for when its token is at the feet, hop by hop with the load.
    """
    from xnorflow.gateware.array import SystolicArray
    from xnorflow.gateware.fetch import Fetch
    from xnorflow.gateware.weightbank import WeightBank

    geometry = geometry_of(shape, weight_depth=256, max_lanes=max_lanes)
    # Cycles from the issuer's output to the banks.
    load = Fetch.latency_cycles - WeightBank.latency_cycles
    record = Fetch.latency_cycles + SystolicArray.cycles(geometry) + Feet.record_wait(geometry)
    row = {"shortest": 0, "pace": 0}
    model = Model(geometry, row, [], now=0)
    window = {name: 0 for name in ("active", "tails", "tail", "planes", "border", "fill")}
    for records in (1, 1, 0, 0, 1, 0, 1, 1, 1):
        model.run({"load": 1, "weights": 0, "record": 0, "records": records, "pass": window})
    reads = [cycle + load for cycle in model.loads]
    asked = [cycle + record for cycle in model.records]
    assert len(reads) == 9 * (geometry.weight_load_cycles + geometry.rows - 1)
    assert len(asked) == 6 * geometry.record_words
    assert not set(reads) & set(asked)


def test_reset_in_mid_segment() -> None:
    """A segment begun before a reset is begun again from its first beat after it."""
    geometry = geometry_of("2x2x3x8")
    row = {"column_last": 9, "stride": 1, "step_column": 1}
    now = {"inside": 3, "count": 7, "scale": 1, "lines": [0, 0]}
    offer = {"row": row, "segments.valid": 1, "segments.payload": now, "room": 1}
    quiet = {"rst": 0, "segments.valid": 0}
    again = {**offer, "rst": 0}
    stimulus = [*[offer] * 4, {**quiet, "rst": 1}, *[quiet] * 20, *[again] * 8, *[quiet] * 20]
    seen = trace(Issuer(geometry), stimulus, *OUTPUTS)
    tokens = [out["token"]["address"] for out in seen if out["token"]["valid"]]
    assert tokens == [0, 1, *range(8)]
    assert all(out["beat"]["valid"] == 0 for out in seen[5:26])
