# SPDX-License-Identifier: Apache-2.0
"""The column foot against integers: scale, accumulate, read out, threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, bus_write, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.foot import Foot

OUTPUTS = ("o", "o_valid", "value", "value_valid")
INDEX = 1


def load_threshold(geometry: Geometry, tile: int, threshold: int) -> dict[str, Any]:
    """A cycle that gives a tile of one-lane codes its threshold."""
    item = threshold & ((1 << geometry.accumulator_width) - 1)
    address = tile << geometry.max_lanes | 1
    return {"bus": bus_write(Target.THRESHOLD, INDEX, address, item)}


def token(address: int, **fields: int) -> dict[str, int]:
    """A valid token; what is not named is 0."""
    names = ("first", "last", "read", "tile", "scale")
    return {"valid": 1, "address": address, **{name: fields.get(name, 0) for name in names}}


def random_tokens(geometry: Geometry, rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Tokens and idle cycles; no address comes again before the foot can take it."""
    recent: list[int] = []
    stimulus = []
    known: set[int] = set()
    for _ in range(count):
        address = int(rng.integers(min(6, geometry.accumulator_depth)))
        n = int(rng.integers(geometry.rows * geometry.word_width + 1))
        now: dict[str, Any] = {"n": n, "sum": int(rng.integers(n + 1))}
        if address in recent or rng.random() < 0.3:
            now["token"] = {**token(address, first=1, last=1), "valid": 0}
        else:
            first = int(address not in known or rng.random() < 0.2)
            known.add(address)
            read = int(not first and rng.random() < 0.3)
            now["token"] = token(
                address,
                first=first,
                read=read,
                last=int(not read and rng.random() < 0.4),
                tile=int(rng.integers(geometry.threshold_depth)),
                scale=0 if read else int(rng.integers(200)),
            )
        stimulus.append(now)
        recent = [*recent, address if now["token"]["valid"] else -1][
            -(Foot.TURNAROUND_CYCLES - 1) :
        ]
    return stimulus


@pytest.mark.parametrize("shape", ["2x1x2x8", "3x3x4x16", "2x2x3x8"])
@pytest.mark.parametrize("max_lanes", [1, 3])
def test_accumulates_reads_and_thresholds(shape: str, max_lanes: int) -> None:
    geometry = geometry_of(shape, max_lanes=max_lanes)
    rng = np.random.default_rng([70, max_lanes])
    thresholds = [-300, -1, 0, 250]
    load = [load_threshold(geometry, tile, at) for tile, at in enumerate(thresholds)]
    load.append({"bus": {"valid": 0}})
    quiet = [{"token": {"valid": 0}}] * SURPLUS_CYCLES
    stimulus = [*load, *random_tokens(geometry, rng, 600), *quiet]

    accumulators: dict[int, int] = {}
    codes, values = {}, {}
    foot = Foot(geometry, index=INDEX)
    for cycle, now in enumerate(stimulus):
        order = now.get("token", {"valid": 0})
        if not order["valid"]:
            continue
        at = order["address"]
        if order["read"]:
            values[cycle + Foot.SUM_CYCLES] = accumulators[at]
            continue
        before = 0 if order["first"] else accumulators[at]
        accumulators[at] = before + order["scale"] * (now["n"] - 2 * now["sum"])
        if order["last"]:
            codes[cycle + foot.latency_cycles] = accumulators[at] >= thresholds[order["tile"]]
    seen = trace(foot, stimulus, *OUTPUTS)
    shift = max_lanes - 1
    assert {c: o["o"]["code"] >> shift for c, o in enumerate(seen) if o["o_valid"]} == codes
    assert {c: o["value"] for c, o in enumerate(seen) if o["value_valid"]} == values
    assert len(codes) > 50
    assert len(values) > 50
    assert {False, True} == set(codes.values())
    assert foot.latency_cycles == Foot.cycles(geometry)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("width", [12, 24, 32])
def test_the_accumulator_reaches_its_limit(width: int, sign: int) -> None:
    """The largest steps, again and again on one address, as fast as it may be used."""
    geometry = geometry_of("3x3x4x16", accumulator_width=width, scale_width=18)
    most, top = geometry.rows * geometry.word_width, (1 << geometry.scale_width) - 1
    limit = geometry.accumulator_limit
    whole, rest = divmod(limit, most * top)
    steps = [(top, most)] * whole + [(rest // most, most), (1, rest % most)]

    idle = [{"token": {"valid": 0}}] * (Foot.TURNAROUND_CYCLES - 1)
    stimulus = [load_threshold(geometry, 0, sign * limit), {"bus": {"valid": 0}}]
    for index, (scale, n) in enumerate(steps):
        order = token(5, first=index == 0, last=1, scale=scale)
        stimulus += [{"token": order, "n": n, "sum": 0 if sign > 0 else n}, *idle]
    stimulus += [{"token": token(5, read=1)}, *idle * SURPLUS_CYCLES]
    seen = trace(Foot(geometry, index=INDEX), stimulus, *OUTPUTS)

    totals = sign * np.cumsum([scale * n for scale, n in steps])
    assert totals[-1] == sign * limit
    assert [out["value"] for out in seen if out["value_valid"]] == [sign * limit]
    codes = [out["o"]["code"] >> (geometry.max_lanes - 1) for out in seen if out["o_valid"]]
    assert codes == (totals >= sign * limit).astype(int).tolist()


def test_turnaround_is_the_shortest_that_works() -> None:
    """Two tokens on one address: right at TURNAROUND_CYCLES, wrong one cycle closer."""
    geometry = geometry_of("2x1x2x8")
    for gap in (Foot.TURNAROUND_CYCLES, Foot.TURNAROUND_CYCLES - 1):
        idle = [{"token": {"valid": 0}}] * (gap - 1)
        stimulus = [
            {"token": token(2, first=1, scale=1), "n": 16, "sum": 0},
            *[{"token": {"valid": 0}}] * 9,
            {"token": token(2, scale=1), "n": 5, "sum": 0},
            *idle,
            {"token": token(2, scale=1), "n": 7, "sum": 0},
            *[{"token": {"valid": 0}}] * 9,
            {"token": token(2, read=1)},
            *[{"token": {"valid": 0}}] * 9,
        ]
        seen = trace(Foot(geometry, index=0), stimulus, *OUTPUTS)
        (value,) = (out["value"] for out in seen if out["value_valid"])
        assert (value == 28) == (gap == Foot.TURNAROUND_CYCLES)


def test_reset_drops_what_is_under_way() -> None:
    """A token that the reset meets before its write leaves its accumulator alone."""
    geometry = geometry_of("2x2x3x8")
    idle = {"rst": 0, "token": {"valid": 0}}
    keep = {"token": token(1, first=1, scale=3), "n": 4, "sum": 1}
    lost = {"token": token(1, last=1, scale=1), "n": 9, "sum": 0}
    read = {"rst": 0, "token": token(1, read=1)}
    stimulus = [keep, *[idle] * 5, lost, {**idle, "rst": 1}, *[idle] * 20, read, *[idle] * 20]
    seen = trace(Foot(geometry, index=0), stimulus, *OUTPUTS)
    assert [out["value"] for out in seen if out["value_valid"]] == [6]
    assert not any(out["o_valid"] for out in seen)
