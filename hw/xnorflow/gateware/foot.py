# SPDX-License-Identifier: Apache-2.0
"""The column foot: lane scale, accumulator memory, threshold unit."""

from amaranth import Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import bus_layout, code_layout, token_layout
from xnorflow.gateware.threshold import ThresholdUnit

__all__ = ["Foot"]


class Foot(wiring.Component):
    """acc[address] = (0 if first else acc[address]) + scale * (n - 2 * sum)

    and, where the token says ``last``, the accumulator's code. Where it says ``read``, the sum
    leaves as ``value`` and nothing is stored: with ``scale`` and ``first`` 0, that is the
    accumulator itself.

    Parameters
    ----------
    geometry : Geometry
        Gives the widths and depths.
    index : int
        Column, for configuration writes.

    Members
    -------
    token : In(token_layout)
        What to do with this cycle's ``n`` and ``sum``.
    n, sum : In(sum_width)
        Real inputs and mismatches.
    bus : In(bus_layout)
        Configuration writes.
    o, o_valid : Out(code_layout), Out(1)
        Codes, ``latency_cycles`` after their token.
    value, value_valid : Out(signed(accumulator_width)), Out(1)
        Accumulators that a token read.

    Timing
    ------
    One token a cycle. Two tokens on the same address must be ``TURNAROUND_CYCLES`` apart: the
    compiler makes no segment shorter than that.

    Bit growth
    ----------
    ``n - 2 * sum`` has sum_width + 1 bits, the product scale_width more. The compiler proves that
    no accumulator exceeds ``Geometry.accumulator_limit``, so the upper bits are never needed.
    """

    TURNAROUND_CYCLES = 3
    SUM_CYCLES = 3

    def __init__(self, geometry: Geometry, *, index: int) -> None:
        self.geometry = geometry
        self.index = index
        super().__init__(
            {
                "token": In(token_layout(geometry)),
                "n": In(geometry.sum_width),
                "sum": In(geometry.sum_width),
                "bus": In(bus_layout(geometry)),
                "o": Out(code_layout(geometry)),
                "o_valid": Out(1),
                "value": Out(self.value_shape(geometry)),
                "value_valid": Out(1),
            }
        )

    @staticmethod
    def value_shape(geometry: Geometry) -> Shape:
        """Shape of an accumulator."""
        return signed(geometry.accumulator_width)

    @classmethod
    def cycles(cls, geometry: Geometry) -> int:
        """Cycles from a token to its code."""
        return cls.SUM_CYCLES + ThresholdUnit.cycles(geometry)

    @property
    def latency_cycles(self) -> int:
        """Cycles from a token to its code."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        width = geometry.accumulator_width

        m.submodules.accumulators = memory = Memory(
            shape=signed(width), depth=geometry.accumulator_depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        tokens = [self.token]
        for stage in range(self.SUM_CYCLES):
            tokens.append(Signal(token_layout(geometry), name=f"token_{stage + 1}"))
            m.d.sync += tokens[-1].eq(tokens[-2])

        # Stage 1: mismatches to a signed sum.
        signed_sum = Signal(signed(geometry.sum_width + 1))
        m.d.sync += signed_sum.eq(self.n - (self.sum << 1))

        # Stage 2: lane scale; read the accumulator.
        product = Signal(signed(width))
        m.d.sync += product.eq(signed_sum * tokens[1].scale)
        m.d.comb += [read.addr.eq(tokens[1].address), read.en.eq(1)]

        # Stage 3: accumulate.
        total = Signal(signed(width))
        m.d.sync += total.eq(product + Mux(tokens[2].first, 0, read.data))
        m.d.comb += [
            write.addr.eq(tokens[3].address),
            write.data.eq(total),
            write.en.eq(tokens[3].valid & ~tokens[3].read),
            self.value.eq(total),
            self.value_valid.eq(tokens[3].valid & tokens[3].read),
        ]

        m.submodules.threshold = threshold = ThresholdUnit(geometry, index=self.index)
        m.d.comb += [
            threshold.value.eq(total),
            threshold.valid.eq(tokens[3].valid & tokens[3].last),
            threshold.tile.eq(tokens[3].tile),
            threshold.bus.eq(self.bus),
            self.o.eq(threshold.o),
            self.o_valid.eq(threshold.o_valid),
        ]
        return m
