# SPDX-License-Identifier: Apache-2.0
"""Block memory in both forms, against a dict; the ECP5's block RAM as its data sheet has it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from tests.gateware.helpers import trace

from xnorflow.gateware import memory as module
from xnorflow.gateware.memory import BlockMemory, ecp5_blocks
from xnorflow.gateware.target import Target

SHAPES = (
    {"width": 36, "depth": 512},
    {"width": 64, "depth": 16},
    {"width": 40, "depth": 300, "granularity": 8},
    {"width": 64, "depth": 1024, "granularity": 32},
    {"width": 18, "depth": 700},
    {"width": 12, "depth": 2048},
    {"width": 12, "depth": 1500, "granularity": 4},
    {"width": 7, "depth": 4096},
    {"width": 3, "depth": 8192},
    {"width": 2, "depth": 16384, "granularity": 1},
)


class BlockRam(Elaboratable):
    """DP16KD, port A writing and port B reading, each with its output register.

    At 36 bits (pseudo dual port) the four lowest address pins of A enable bytes of nine, at 18 the
    two lowest; the data fill A's pins, then B's, on both sides.
    """

    def __init__(self, kind: str, **ports: Any) -> None:
        assert kind == "DP16KD"
        self.ports = {name: value for name, value in ports.items() if name[:2] in ("i_", "o_")}
        self.parameters = {name: value for name, value in ports.items() if name[:2] == "p_"}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins = self.ports
        bits = self.parameters["p_DATA_WIDTH_A"]
        assert bits == self.parameters["p_DATA_WIDTH_B"]
        assert self.parameters["p_REGMODE_B"] == "OUTREG"
        assert bits < 36 or self.parameters["p_REGMODE_A"] == "OUTREG"
        constant = {"CSA0": 0, "CSA1": 0, "CSA2": 0, "CSB0": 0, "CSB1": 0, "CSB2": 0, "RSTA": 0,
                    "RSTB": 0, "WEB": 0, "OCEA": 1, "OCEB": 1}  # fmt: skip
        for pin, value in constant.items():
            assert Value.cast(pins[f"i_{pin}"]).value == value, pin
        low = {36: 5, 18: 4, 9: 3, 4: 2, 2: 1, 1: 0}[bits]
        lanes = max(1, bits // 9)
        m.submodules.memory = memory = Memory(shape=bits, depth=1 << (14 - low), init=[])
        write = memory.write_port(granularity=bits // lanes)
        read = memory.read_port()
        names = [f"{'AB'[bit // 18]}{bit % 18}" for bit in range(bits)]
        enables = Cat(pins[f"i_ADA{lane}"] for lane in range(lanes)) if bits >= 18 else 1
        m.d.comb += [
            write.addr.eq(Cat(pins[f"i_ADA{pin}"] for pin in range(low, 14))),
            write.data.eq(Cat(pins.get(f"i_DI{name}", 0) for name in names)),
            write.en.eq(Mux(pins["i_WEA"] & pins["i_CEA"], enables, 0)),
            read.addr.eq(Cat(pins[f"i_ADB{pin}"] for pin in range(low, 14))),
            read.en.eq(pins["i_CEB"]),
        ]
        held = Signal(bits)
        m.d.sync += held.eq(read.data)
        for bit, name in enumerate(names):
            port = f"o_DO{name if bits == 36 else f'B{bit}'}"
            if port in pins:
                m.d.comb += pins[port].eq(held[bit])
        return m


@pytest.mark.parametrize("family", ["portable", "ecp5"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reads_what_was_written(
    shape: dict[str, int], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes of some granules and reads at any time; a read that collides may give either."""
    monkeypatch.setattr(module, "Instance", BlockRam)

    class Formed(BlockMemory):
        def elaborate(self, platform: object) -> Module:
            return super().elaborate(Target(family))

    dut = Formed(**shape)
    rng = random.Random(1)
    width, depth = shape["width"], shape["depth"]
    granule = shape.get("granularity", width)
    addresses = [0, 1, depth - 1, *(rng.randrange(depth) for _ in range(5))]
    # Every address is written first: memories begin undefined.
    whole = (1 << (width // granule)) - 1
    inputs = []
    for cycle in range(400):
        first = cycle < len(addresses)
        inputs.append(
            {
                "write_enable": whole if first else rng.getrandbits(width // granule),
                "write_address": addresses[cycle] if first else rng.choice(addresses),
                "write_data": rng.getrandbits(width),
                "read_enable": int(not first and rng.random() < 0.7),
                "read_address": rng.choice(addresses),
            }
        )
    seen = trace(dut, inputs, "read_data")
    words: dict[int, int] = {}
    expected: int | None = None
    arriving: list[int | None] = [None] * dut.latency_cycles
    for cycle, now in enumerate(inputs):
        if arriving[0] is not None:
            assert seen[cycle]["read_data"] == arriving[0], f"cycle {cycle}"
        if now["read_enable"]:
            collides = now["write_enable"] and now["write_address"] == now["read_address"]
            expected = None if collides else words[now["read_address"]]
        arriving = [*arriving[1:], expected]
        for number in range(width // granule):
            if now["write_enable"] >> number & 1:
                mask = ((1 << granule) - 1) << number * granule
                old = words.get(now["write_address"], 0)
                words[now["write_address"]] = old & ~mask | now["write_data"] & mask


@pytest.mark.parametrize(
    ("width", "depth", "granularity", "blocks"),
    [
        (36, 512, 36, 1),
        (64, 512, 64, 2),
        (64, 1024, 64, 4),
        (64, 1024, 32, 4),
        (36, 2048, 36, 4),
        (24, 512, 24, 1),
        (24, 1024, 24, 2),
        (36, 8192, 36, 18),
        (16, 512, 4, 1),
        (1, 16384, 1, 1),
    ],
)
def test_blocks(width: int, depth: int, granularity: int, blocks: int) -> None:
    found = ecp5_blocks(width, depth, granularity)
    assert found is not None
    assert len(found[1]) == blocks
    lanes = [lane for block in found[1] for lane in block]
    assert [bit for lane in lanes for bit in range(lane.start, lane.start + lane.width)] == list(
        range(width)
    )
    assert all(lane.start // granularity == lane.granule for lane in lanes)
    assert all((lane.start + lane.width - 1) // granularity == lane.granule for lane in lanes)


def test_deeper_than_a_block() -> None:
    assert ecp5_blocks(8, 16385, 8) is None
