# SPDX-License-Identifier: Apache-2.0
"""The threshold unit: a pipelined binary search that turns an accumulator into a code."""

from amaranth import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.layouts import bus_layout, code_layout

__all__ = ["ThresholdUnit"]


class ThresholdUnit(wiring.Component):
    """code = number of thresholds T_1 <= ... <= T_(2^m - 1) that ``value`` reaches.

    Thresholds form a heap (core/program.py); level k compares with one of 2^k of them, and its
    result is the code's next lower bit. A layer with m < max_lanes uses the upper m bits; the
    others are whatever its unused levels hold.

    Parameters
    ----------
    geometry : Geometry
        Gives ``max_lanes``, ``accumulator_width`` and ``threshold_depth``.
    index : int
        Column, for configuration writes.

    Members
    -------
    value : In(signed(accumulator_width))
        Accumulator.
    valid : In(1)
        ``value`` and ``tile`` are to be looked up.
    tile : In
        Channel tile.
    bus : In(bus_layout)
        Configuration writes.
    o : Out(code_layout)
        Code, first lane in the highest bit, and the channel's pooling direction.
    o_valid : Out(1)
        ``o`` is a result.

    Timing
    ------
    One value a cycle, ``latency_cycles`` = 2 * max_lanes. Nothing stalls.
    """

    def __init__(self, geometry: Geometry, *, index: int) -> None:
        self.geometry = geometry
        self.index = index
        super().__init__(
            {
                "value": In(signed(geometry.accumulator_width)),
                "valid": In(1),
                "tile": In(ceil_log2(geometry.threshold_depth)),
                "bus": In(bus_layout(geometry)),
                "o": Out(code_layout(geometry)),
                "o_valid": Out(1),
            }
        )

    @staticmethod
    def cycles(geometry: Geometry) -> int:
        """Cycles from a value to its code."""
        return 2 * geometry.max_lanes

    @property
    def latency_cycles(self) -> int:
        """Cycles from a value to its code."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        width, levels = geometry.accumulator_width, geometry.max_lanes
        node = self.bus.address[:levels]
        tile_written = self.bus.address[levels:]
        selected = (
            self.bus.valid & (self.bus.target == Target.THRESHOLD) & (self.bus.column == self.index)
        )

        value, valid, tile = self.value, self.valid, self.tile
        code = Const(0, 0)
        pool_min = Signal()
        for level in range(levels):
            spare = 1 if level == 0 else 0  # the root also holds pool_min
            m.submodules[f"level_{level}"] = memory = Memory(
                shape=width + spare, depth=geometry.threshold_depth << level, init=[]
            )
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(selected & (node >> level == 1)),
                write.addr.eq(Cat(node[:level], tile_written)),
                write.data.eq(self.bus.data),
                # Cycle 1: read the node that the bits so far lead to.
                read.addr.eq(Cat(code, tile)),
                read.en.eq(1),
            ]
            values = [Signal(signed(width), name=f"value_{level}_{step}") for step in range(2)]
            valids = [Signal(name=f"valid_{level}_{step}") for step in range(2)]
            tiles = [Signal(len(tile), name=f"tile_{level}_{step}") for step in range(2)]
            so_far = Signal(level, name=f"so_far_{level}") if level else Const(0, 0)
            found = Signal(level + 1, name=f"code_{level}")
            m.d.sync += [
                values[0].eq(value),
                valids[0].eq(valid),
                tiles[0].eq(tile),
                # Cycle 2: compare.
                values[1].eq(values[0]),
                valids[1].eq(valids[0]),
                tiles[1].eq(tiles[0]),
                found.eq(Cat(values[0] >= read.data[:width].as_signed(), so_far)),
            ]
            if level:
                m.d.sync += so_far.eq(code)
            direction = [Signal(name=f"pool_min_{level}_{step}") for step in range(2)]
            m.d.sync += direction[0].eq(pool_min)
            m.d.sync += direction[1].eq(read.data[width] if level == 0 else direction[0])
            value, valid, tile = values[1], valids[1], tiles[1]
            code, pool_min = found, direction[1]
        m.d.comb += [self.o.code.eq(code), self.o.pool_min.eq(pool_min), self.o_valid.eq(valid)]
        return m
