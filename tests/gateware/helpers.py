# SPDX-License-Identifier: Apache-2.0
"""Cycle-by-cycle simulation of one component, and the geometries that the tests use."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import numpy as np
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Module,
    ResetInserter,
    ResetSignal,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import data, wiring
from amaranth.sim import Simulator

from xnorflow.core.geometry import Geometry

__all__ = [
    "SHAPES",
    "SURPLUS_CYCLES",
    "Source",
    "Stimulus",
    "bus_write",
    "geometry_of",
    "join_array_clock",
    "popcount",
    "trace",
]

SHAPES = ("2x1x2x8", "3x3x4x16", "2x2x3x8", "3x1x12x8")
"""1 and 3 hops; columns that divide a word, that a word divides, and neither."""

SURPLUS_CYCLES = 100
"""How long a test watches that nothing more comes."""

Stimulus = Iterable[dict[str, Any]] | Generator[dict[str, Any], dict[str, Any], None]


def geometry_of(shape: str, **memory: int) -> Geometry:
    """The geometry of that shape, with memories that a simulation makes quickly."""
    sizes = {
        "activation_depth": 64,
        "weight_depth": 16,
        "accumulator_depth": 16,
        "layer_depth": 4,
        "scale_depth": 8,
        "pool_depth": 8,
    }
    return Geometry.parse(shape).with_memory(**{**sizes, **memory})


def join_array_clock(m: Module) -> Module:
    """Make the array's domain, which elsewhere has a clock of its own, with the clock of ``m``."""
    m.domains.array = ClockDomain()
    m.d.comb += [
        ClockSignal("array").eq(ClockSignal()),
        ResetSignal("array").eq(ResetSignal()),
    ]
    return m


def popcount(value: int) -> int:
    """Ones of a number."""
    return bin(value).count("1")


def bus_write(target: int, column: int, address: int, item: int) -> dict[str, int]:
    """A configuration write as the columns see it."""
    return {"valid": 1, "target": target, "column": column, "address": address, "data": item}


def _decoder(shape: Any) -> Callable[[int], Any]:
    """From a sampled value's bits to integers, lists and dicts."""
    if isinstance(shape, data.ArrayLayout):
        width = Shape.cast(shape.elem_shape).width
        element, mask = _decoder(shape.elem_shape), (1 << width) - 1
        places = range(0, width * shape.length, width)
        return lambda bits: [element(bits >> at & mask) for at in places]
    if isinstance(shape, data.StructLayout):
        fields = [
            (name, field.offset, (1 << field.width) - 1, _decoder(field.shape))
            for name, field in shape
        ]
        return lambda bits: {name: part(bits >> at & mask) for name, at, mask, part in fields}
    plain = Shape.cast(shape)
    if plain.signed:
        top = 1 << (plain.width - 1)
        return lambda bits: (bits ^ top) - top if bits >= 0 else bits
    return lambda bits: bits


def _port(dut: wiring.Component, name: str) -> Any:
    """``segments.payload`` and the like."""
    for part in name.split("."):
        dut = getattr(dut, part)
    return dut


def trace(dut: wiring.Component, stimulus: Stimulus, *outputs: str) -> list[dict[str, Any]]:
    """Drive a component and see its outputs, one dict a cycle, as they are before the clock edge.

    Parameters
    ----------
    dut : Component
    stimulus : iterable or generator of dict
        Inputs of each cycle by port name; ``rst`` resets every register. What a dict does not
        name keeps its value. A generator is sent the outputs of the cycle before.
    outputs : str
        Ports to see.
    """
    rst = Signal()
    top = Module()
    top.submodules.dut = ResetInserter(rst)(dut)
    top.d.sync += Signal().eq(1)  # a component without registers needs a clock too
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    ports = {name: _port(dut, name) for name in outputs}
    decoders = {name: _decoder(port.shape()) for name, port in ports.items()}
    values = [Value.cast(port) for port in ports.values()]
    seen: list[dict[str, Any]] = []

    async def bench(ctx: Any) -> None:
        steps = stimulus if isinstance(stimulus, Generator) else iter(stimulus)
        while True:
            try:
                reactive = isinstance(steps, Generator) and seen
                inputs = steps.send(seen[-1]) if reactive else next(steps)
            except StopIteration:
                return
            for name, value in inputs.items():
                ctx.set(rst if name == "rst" else _port(dut, name), value)
            _, _, *sampled = await ctx.tick().sample(*values)
            pairs = zip(decoders.items(), sampled, strict=True)
            seen.append({name: decode(bits) for (name, decode), bits in pairs})

    simulator.add_testbench(bench)
    simulator.run()
    return seen


class Source:
    """Offers payloads to a stream of the device under test, with random idle cycles.

    A payload once offered stays until it is taken.
    """

    def __init__(self, payloads: Iterable[Any], rng: np.random.Generator, idle: float) -> None:
        self.payloads = list(payloads)
        self.rng = rng
        self.idle = idle
        self.taken = 0
        self.valid = 0

    def offer(self, name: str) -> dict[str, Any]:
        """Inputs of this cycle for the stream ``name``."""
        left = self.taken < len(self.payloads)
        self.valid = int(left and (self.valid or self.rng.random() >= self.idle))
        inputs: dict[str, Any] = {f"{name}.valid": self.valid}
        if self.valid:
            inputs[f"{name}.payload"] = self.payloads[self.taken]
        return inputs

    def settle(self, ready: int) -> bool:
        """The cycle is over and ``ready`` was the stream's; whether a payload moved."""
        moved = bool(self.valid and ready)
        self.taken += moved
        self.valid = int(self.valid and not moved)
        return moved

    @property
    def empty(self) -> bool:
        """Everything was taken."""
        return self.taken == len(self.payloads)
