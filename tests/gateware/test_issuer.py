# SPDX-License-Identifier: Apache-2.0
"""The issuer: segments to beats, weight loads, tokens and read-outs, cycle by cycle."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, Source, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.issuer import Issuer

OUTPUTS = ("segments.ready", "beat", "load", "tails", "token", "channels", "end")
SHAPES = ("2x1x2x8", "3x3x4x16", "2x2x3x8", "2x2x4x16")


def random_row(rng: np.random.Generator) -> dict[str, int]:
    """The row's fields that the issuer uses."""
    return {
        "column_last": int(rng.integers(3, 12)),
        "border_enable": int(rng.integers(2)),
        "stride": int(rng.integers(1, 4)),
        "pool_last": int(rng.integers(3)),
        "repeat_last": int(rng.integers(3)),
    }


def segment(geometry: Geometry, **fields: Any) -> dict[str, Any]:
    """A segment; what is not named is 0."""
    names = ("load", "read", "end", "rotation", "active", "inside", "tails", "fill", "x", "beats",
             "outputs", "taps", "weights", "address", "first", "last", "repeat", "tile", "scale",
             "channels")  # fmt: skip
    return {"addresses": [0] * geometry.streams, **dict.fromkeys(names, 0), **fields}


def line(geometry: Geometry, row: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """A line of beats that begins left of the map, in it, or right of it."""
    bits = 1 << geometry.streams
    outputs = int(rng.integers(1, 6))
    x = int(rng.integers(-4, 6))
    beats = (outputs - 1) * row["stride"] + 1 + int(rng.integers(4))
    return segment(
        geometry,
        addresses=rng.integers(geometry.activation_depth, size=geometry.streams).tolist(),
        rotation=int(rng.integers(geometry.streams)),
        **{name: int(rng.integers(bits)) for name in ("active", "inside", "tails")},
        **{name: int(rng.integers(2)) for name in ("fill", "first", "last")},
        x=x & 0xFFF,
        beats=beats - 1,
        outputs=outputs,
        address=int(rng.integers(geometry.accumulator_depth - outputs)),
        repeat=int(rng.integers(row["repeat_last"] + 1)),
        tile=int(rng.integers(geometry.threshold_depth)),
        scale=int(rng.integers(1 << geometry.scale_width)),
    )


def random_segment(
    geometry: Geometry, row: dict[str, int], rng: np.random.Generator
) -> dict[str, Any]:
    """A line of beats, or now and then a weight load or a read-out."""
    kind = rng.random()
    if kind < 0.15:
        return segment(
            geometry,
            load=1,
            weights=int(rng.integers(geometry.weight_depth - geometry.weight_load_cycles)),
            taps=int(rng.integers(1 << geometry.taps)),
            tails=int(rng.integers(1 << geometry.streams)),
        )
    if kind < 0.25:
        return segment(
            geometry,
            read=1,
            end=int(rng.integers(2)),
            address=int(rng.integers(1, geometry.accumulator_depth)),
            channels=int(rng.integers(1, geometry.columns + 1)),
        )
    return line(geometry, row, rng)


def line_events(
    geometry: Geometry, row: dict[str, int], now: dict[str, Any]
) -> list[dict[str, Any]]:
    """Beat and token of each cycle of a line, by the position's number alone."""
    events = []
    for count in range(now["beats"] + 1):
        x = (now["x"] ^ 0x800) - 0x800 + count
        in_map = 0 <= x <= row["column_last"]
        inside = [bool(in_map and now["inside"] >> s & 1) for s in range(geometry.streams)]
        counted = [bool(now["active"] >> s & 1 and (inside[s] or row["border_enable"]))
                   for s in range(geometry.streams)]  # fmt: skip
        output, skipped = divmod(count, row["stride"])
        window = output // (row["pool_last"] + 1) % (row["repeat_last"] + 1)
        token = None
        if not skipped and output < now["outputs"] and (not now["last"] or window == now["repeat"]):
            token = {name: now[name] for name in ("first", "last", "tile", "scale")}
            token |= {"valid": 1, "read": 0, "address": now["address"] + output}
        beat = {
            "addresses": [(at + x) % geometry.activation_depth for at in now["addresses"]],
            "rotation": now["rotation"],
            "mask": sum(on << s for s, on in enumerate(counted)),
            "inside": sum(on << s for s, on in enumerate(inside)),
            "tails": now["tails"],
            "fill": now["fill"],
        }
        events.append({"beat": beat, "token": token})
    return events


def load_events(geometry: Geometry, now: dict[str, Any]) -> list[dict[str, Any]]:
    """The gap, in which the last words leave the last stream's rows, then the weights."""
    gap = (geometry.streams - 1) * geometry.taps
    beats = [
        {
            "load": {"valid": 1, "address": now["weights"] + step, "taps": now["taps"]},
            "tails": now["tails"],
        }
        for step in range(geometry.weight_load_cycles)
    ]
    return [{}] * gap + beats


class Host:
    """Offers segments, takes read-outs after random times, and says what must be seen when."""

    def __init__(
        self, geometry: Geometry, row: dict[str, int], rng: np.random.Generator, idle: float
    ) -> None:
        self.geometry, self.row, self.rng = geometry, row, rng
        self.segments = [random_segment(geometry, row, rng) for _ in range(50)]
        self.source = Source(self.segments, rng, idle)
        self.expected: dict[int, dict[str, Any]] = {}
        self.taken: list[int] = []  # cycles in which a segment must be taken
        self.ends: dict[int, tuple[int, int]] = {}  # read_done's cycle: channels, end

    def stimulus(self) -> Generator[dict[str, Any], dict[str, Any], None]:
        cycle = 0
        yield {"row": self.row, "read_done": 0}
        for now in self.segments:
            cycle += 1
            offer = {"read_done": 0, **self.source.offer("segments")}
            while not self.source.valid:
                yield offer
                cycle += 1
                offer = {"read_done": 0, **self.source.offer("segments")}
            if now["read"]:
                cycle = yield from self._read(cycle, now, offer)
            else:
                events = (
                    load_events(self.geometry, now)
                    if now["load"]
                    else line_events(self.geometry, self.row, now)
                )
                for at, event in enumerate(events):
                    self.expected[cycle + at + 1] = event
                    yield offer
                cycle += len(events) - 1
            self.taken.append(cycle)
            self.source.settle(1)
        for _ in range(SURPLUS_CYCLES):
            yield {"segments.valid": 0, "read_done": 0}

    def _read(
        self, cycle: int, now: dict[str, Any], offer: dict[str, Any]
    ) -> Generator[dict[str, Any], dict[str, Any], int]:
        for position in range(now["address"]):
            token = {"valid": 1, "read": 1, "first": 0, "last": 0, "scale": 0, "address": position}
            self.expected[cycle + 1] = {"token": token}
            for _ in range(int(self.rng.integers(1, 9))):
                yield offer
                cycle += 1
            yield {**offer, "read_done": 1}
            last = int(now["end"] and position == now["address"] - 1)
            self.ends[cycle] = now["channels"], last
            cycle += 1
        return cycle - 1


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_issues_every_segment(shape: str, seed: int, idle: float) -> None:
    geometry = geometry_of(shape)
    rng = np.random.default_rng([160, seed])
    host = Host(geometry, random_row(rng), rng, idle)
    seen = trace(Issuer(geometry), host.stimulus(), *OUTPUTS)

    assert [at for at, out in enumerate(seen) if out["segments.ready"]] == host.taken
    for cycle, out in enumerate(seen):
        event = host.expected.get(cycle, {})
        beat, token, load = (event.get(name) for name in ("beat", "token", "load"))
        if beat is None:
            assert out["beat"]["mask"] == 0, f"cycle {cycle}"
        else:
            assert out["beat"] == beat, f"cycle {cycle}"
        assert out["load"]["valid"] == (load is not None), f"cycle {cycle}"
        if load is not None:
            assert (out["load"], out["tails"]) == (load, event["tails"]), f"cycle {cycle}"
        assert out["token"]["valid"] == (token is not None), f"cycle {cycle}"
        if token is not None:
            assert {name: out["token"][name] for name in token} == token, f"cycle {cycle}"
    for cycle, (channels, end) in host.ends.items():
        assert (seen[cycle]["channels"], seen[cycle]["end"]) == (channels, end)
    assert host.source.empty
    assert host.ends


def test_reset_in_mid_segment() -> None:
    """A segment begun before a reset is begun again from its first beat after it."""
    geometry = geometry_of("2x2x3x8")
    row = {"column_last": 9, "stride": 1}
    now = segment(geometry, active=3, inside=3, beats=7, outputs=8, scale=1)
    offer = {"row": row, "segments.valid": 1, "segments.payload": now}
    quiet = {"rst": 0, "segments.valid": 0}
    again = {**offer, "rst": 0}
    stimulus = [*[offer] * 4, {**quiet, "rst": 1}, *[quiet] * 20, *[again] * 8, *[quiet] * 20]
    seen = trace(Issuer(geometry), stimulus, *OUTPUTS)
    tokens = [out["token"]["address"] for out in seen if out["token"]["valid"]]
    assert tokens == [0, 1, 2, 3, *range(8)]
    assert all(out["beat"]["mask"] == 0 for out in seen[5:26])
