# SPDX-License-Identifier: Apache-2.0
"""The register block against the table of core/registers.py."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateware.helpers import SHAPES, trace

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import INTERFACE_VERSION, MAGIC, REGISTERS, Command
from xnorflow.gateware.registers import RegisterBlock

BUILD_HASH = 0xDEADBEEF
INPUTS = {
    "status": 0x80000001,
    "error": 2,
    "blocks": 0x10203040,
    "cycles": 0xFFFFFFFF,
    "wait_cycles": 12345,
}
OPTIONS = (
    "activation_depth=100,weight_depth=200,accumulator_depth=300,layer_depth=5,pixels=2,"
    "weight_bus=77,scale_depth=60,pool_depth=7,max_lanes=2,accumulator_width=20,scale_width=10,"
    "popcount_levels=1"
)


def read_all(block: RegisterBlock, before: list[dict[str, Any]] | None = None) -> list[int]:
    """Every index from 0 to 255, one a cycle."""
    before = before or []
    reads = [{"write": 0, "address": index, **INPUTS} for index in range(256)]
    seen = trace(block, [*before, *reads, {}], "read_data")
    return [out["read_data"] for out in seen[len(before) + 1 :]]


@pytest.mark.parametrize("shape", [*SHAPES, "8x8x128x64"])
def test_every_register_reads_as_the_table_says(shape: str) -> None:
    geometry = Geometry.parse(f"{shape},{OPTIONS}")
    streams, taps, columns, width = (int(part) for part in shape.split("x"))
    expected = {
        "magic": MAGIC,
        "version": INTERFACE_VERSION,
        "build_hash": BUILD_HASH,
        "shape": int.from_bytes([streams, taps, columns, width], "little"),
        "activation_depth": 100,
        "weight_depth": 200,
        "accumulator_depth": 300,
        "pixels_and_bus": 77 << 16 | 2,
        "layer_depth": 5,
        "scale_depth": 60,
        "pool_depth": 7,
        "widths": int.from_bytes([2, 20, 10, 1], "little"),
        "command": 0,
        "images": 0,
        "limits": 0,
        **INPUTS,
    }
    assert set(expected) == set(REGISTERS)
    found = read_all(RegisterBlock(geometry, build_hash=BUILD_HASH))
    by_name = {name: found[register.index] for name, register in REGISTERS.items()}
    assert by_name == expected
    used = {register.index for register in REGISTERS.values()}
    assert all(value == 0 for index, value in enumerate(found) if index not in used)


def test_only_images_can_be_written() -> None:
    geometry = Geometry.parse("2x1x2x8")
    writes = [
        {"write": 1, "address": index, "write_data": 0x1F500 + index, **INPUTS}
        for index in range(256)
    ]
    before = read_all(RegisterBlock(geometry, build_hash=BUILD_HASH))
    after = read_all(RegisterBlock(geometry, build_hash=BUILD_HASH), writes)
    images = REGISTERS["images"].index
    assert after[images] == 0xF500 + images  # 16 bits
    assert [*after[:images], *after[images + 1 :]] == [*before[:images], *before[images + 1 :]]


def test_commands_are_pulses_in_the_cycle_after_their_write() -> None:
    command, images = REGISTERS["command"].index, REGISTERS["images"].index
    stimulus = [
        {"write": write, "address": address, "write_data": value}
        for write in (0, 1)
        for address in (command, images, command + 1, command + 64)
        for value in (0, 1, 2, 3, 1 << 31 | 1)
    ]
    block = RegisterBlock(Geometry.parse("2x1x2x8"), build_hash=0)
    seen = trace(block, [*stimulus, {"write": 0}, {}], "run", "abort")
    for now, out in zip(stimulus, seen[1:-1], strict=True):
        given = now["write"] and now["address"] == command
        assert out["run"] == (given and now["write_data"] == Command.RUN)
        assert out["abort"] == (given and now["write_data"] == Command.ABORT)
    assert seen[-1] == {"run": 0, "abort": 0}


def test_reset_clears_images() -> None:
    images = REGISTERS["images"].index
    write = {"write": 1, "address": images, "write_data": 9}
    read = {"rst": 0, "write": 0, "address": images}
    block = RegisterBlock(Geometry.parse("2x1x2x8"), build_hash=0)
    seen = trace(block, [write, read, {**read, "rst": 1}, read, read], "images", "read_data")
    assert [out["images"] for out in seen] == [0, 9, 9, 0, 0]
