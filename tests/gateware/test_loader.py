# SPDX-License-Identifier: Apache-2.0
"""The loader: configuration packets to writes, bad packets to one error that stays."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, SURPLUS_CYCLES, Source, geometry_of, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits, packet, row_words
from xnorflow.gateware.loader import Loader

OUTPUTS = ("words.ready", "bus", "error")


def depth(geometry: Geometry, target: Target) -> int:
    """Items that a target holds."""
    return {
        Target.LAYER: geometry.layer_depth * row_words(geometry),
        Target.SCALE: geometry.scale_depth,
        Target.WEIGHT: geometry.weight_depth,
        Target.CONTROL: 2,
    }[target]


def random_packets(
    geometry: Geometry, rng: np.random.Generator, count: int
) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """Words of packets to every target, and the writes (target, column, address, item) in them."""
    words: list[int] = []
    writes = []
    for _ in range(count):
        target = Target(int(rng.integers(1, 1 + len(Target))))
        most = depth(geometry, target)
        address = int(rng.integers(most))
        items = [
            int.from_bytes(rng.bytes(64), "little") % (1 << item_bits(geometry, target))
            for _ in range(min(int(rng.integers(1, 5)), most - address))
        ]
        column = int(rng.integers(geometry.columns))
        words += packet(geometry, target, items, column=column, address=address).tolist()
        writes += [(target, column, address + at, item) for at, item in enumerate(items)]
    return words, writes


def sending(
    source: Source, rng: np.random.Generator, disabled: float
) -> Generator[dict[str, Any], dict[str, Any], None]:
    """Send everything while ``enable`` comes and goes, then watch."""
    before = 0
    while not source.empty:
        enable = int(rng.random() >= disabled)
        seen = yield {"enable": enable, "rst": 0, **source.offer("words")}
        assert not (seen["words.ready"] and not before)
        source.settle(seen["words.ready"])
        before = enable
    for _ in range(SURPLUS_CYCLES):
        yield {"words.valid": 0, "enable": 1}


def writes_of(geometry: Geometry, seen: list[dict[str, Any]]) -> list[tuple[int, int, int, int]]:
    """Writes as the bus shows them."""
    found = []
    for bus in (out["bus"] for out in seen):
        if bus["valid"]:
            mask = (1 << item_bits(geometry, Target(bus["target"]))) - 1
            found.append((bus["target"], bus["column"], bus["address"], bus["data"] & mask))
    return found


@pytest.mark.parametrize(("idle", "disabled"), [(0.0, 0.0), (0.5, 0.3)])
@pytest.mark.parametrize("shape", [*SHAPES, "3x1x2x64,weight_bus=256"])
def test_writes_every_item_once(shape: str, idle: float, disabled: float) -> None:
    geometry = geometry_of(shape)
    rng = np.random.default_rng(120)
    words, writes = random_packets(geometry, rng, 40)
    source = Source(words, rng, idle)
    seen = trace(Loader(geometry), sending(source, rng, disabled), *OUTPUTS)
    assert writes_of(geometry, seen) == writes
    assert not any(out["error"] for out in seen)


def bad_packets(geometry: Geometry) -> dict[str, list[int]]:
    """One word list for each way to be wrong."""

    def header(target: int, column: int, count: int, address: int) -> list[int]:
        return [target << 28 | column << 20 | count, address]

    bad = {f"target {target}": header(target, 0, 1, 0) for target in (0, *range(5, 16))}
    for target in Target:
        most = depth(geometry, target)
        bad[f"{target.name} without items"] = header(target, 0, 0, 0)
        bad[f"{target.name} past its end"] = header(target, 0, 2, most - 1)
        bad[f"{target.name} beyond its end"] = header(target, 0, 1, most)
        bad[f"{target.name} far beyond"] = header(target, 0, 1, 0xFFFFFFFF)
        bad[f"{target.name} too many"] = header(target, 0, 0xFFFFF, 0)
    bad["a column too far"] = header(Target.WEIGHT, geometry.columns, 1, 0)
    bad["the last column there could be"] = header(Target.WEIGHT, 255, 1, 0)
    return bad


@pytest.mark.parametrize("shape", ["2x1x2x8", "3x1x12x8"])
def test_a_bad_packet_stops_everything_until_reset(shape: str) -> None:
    geometry = geometry_of(shape)
    good = packet(geometry, Target.SCALE, [17, 18], address=3).tolist()
    written = [(Target.SCALE, 0, 3, 17), (Target.SCALE, 0, 4, 18)]
    foreign = [Target.CONTROL << 28 | 1] * 20
    rng = np.random.default_rng(121)
    packets = bad_packets(geometry)
    errors: list[tuple[str, int, int]] = []

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        for name, words in packets.items():
            source = Source([*good, *words, *good, *foreign], rng, 0.0)
            since = 0  # cycles since the bad packet's last word
            while not source.empty:
                seen = yield {"enable": 1, "rst": 0, **source.offer("words")}
                source.settle(seen["words.ready"])  # what follows is dropped, not held up
                since += source.taken >= len(good) + len(words)
                errors.append((name, since, seen["error"]))
            seen = yield {"words.valid": 0, "rst": 1}
            seen = yield {"rst": 0}
            assert not seen["error"], name
        for _ in range(SURPLUS_CYCLES):
            yield {"words.valid": 0}

    seen = trace(Loader(geometry), stimulus(), *OUTPUTS)
    for name, since, error in errors:
        assert error == (since > Loader.CHECK_CYCLES + 1), name
    assert writes_of(geometry, seen) == written * len(packets)


def test_the_column_does_not_matter_where_there_are_none() -> None:
    geometry = geometry_of("2x1x2x8")
    words = packet(geometry, Target.SCALE, [5], column=200).tolist()
    rng = np.random.default_rng(0)
    seen = trace(Loader(geometry), sending(Source(words, rng, 0.0), rng, 0.0), *OUTPUTS)
    assert writes_of(geometry, seen) == [(Target.SCALE, 200, 0, 5)]


@pytest.mark.parametrize("cut", range(1, 7))
def test_reset_in_mid_packet(cut: int) -> None:
    """What is left of a packet is forgotten; the next word begins a new one."""
    geometry = geometry_of("3x3x4x64", weight_bus=144)  # items of five words
    item = (1 << item_bits(geometry, Target.WEIGHT)) - 1
    broken = packet(geometry, Target.WEIGHT, [item], address=2).tolist()[:cut]
    whole = packet(geometry, Target.WEIGHT, [item // 3], column=3, address=1).tolist()
    assert len(whole) > cut
    rng = np.random.default_rng(122)

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {"enable": 1, "words.valid": 0}
        cut_off = Source(broken, rng, 0.0)
        while not cut_off.empty:
            seen = yield {**cut_off.offer("words")}
            cut_off.settle(seen["words.ready"])
        yield {"words.valid": 0, "rst": 1}
        yield from sending(Source(whole, rng, 0.0), rng, 0.0)

    seen = trace(Loader(geometry), stimulus(), *OUTPUTS)
    assert writes_of(geometry, seen) == [(Target.WEIGHT, 3, 1, item // 3)]
    assert not any(out["error"] for out in seen)
