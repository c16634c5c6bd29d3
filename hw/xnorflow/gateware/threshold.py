# SPDX-License-Identifier: Apache-2.0
"""The threshold unit: a pipelined binary search that turns accumulators into codes."""

from amaranth import Array, Cat, Const, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.addition import ChosenSum, add_chosen
from xnorflow.gateware.layouts import code_layout
from xnorflow.gateware.target import family_of

__all__ = ["ThresholdUnit"]


class ThresholdUnit(wiring.Component):
    """code = number of thresholds T_1 <= ... <= T_(2^m - 1) that ``value`` reaches.

    The thresholds of the column's channel rest here while its tile runs. Level k compares with
    one of 2^k of them, and its result is the code's next lower bit. A layer with m < max_lanes
    uses the upper m bits; the others are whatever its other thresholds say.

    Parameters
    ----------
    geometry : Geometry
        Gives ``max_lanes``, ``accumulator_width``, ``pixels`` and the record's size.

    Members
    -------
    record, record_valid : In
        The next word of the record, lowest bits first: T_1 - 1, T_2 - 1, ..., pooling direction.
    values : In(signed(accumulator_width)), one a pixel stream
        Accumulators, negated: then a comparison is one plain addition.
    codes : Out(code_layout), one a pixel stream
        Codes, first lane in the highest bit, and the channel's pooling direction.

    Timing
    ------
    Values every cycle, ``latency_cycles`` = max_lanes. Nothing stalls. The last value of a tile
    comes at least ``max_lanes`` cycles before the next one's record.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        value = signed(geometry.accumulator_width)
        super().__init__(
            {
                "record": In(geometry.rows * geometry.weight_beat),
                "record_valid": In(1),
                "values": In(data.ArrayLayout(value, geometry.pixels)),
                "codes": Out(data.ArrayLayout(code_layout(geometry), geometry.pixels)),
            }
        )

    @staticmethod
    def cycles(geometry: Geometry) -> int:
        """Cycles from a value to its code."""
        return geometry.max_lanes

    @property
    def latency_cycles(self) -> int:
        """Cycles from a value to its code."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        width, lanes = geometry.accumulator_width, geometry.max_lanes
        bits = geometry.record_bits

        # The record moves down as its words come in at the top.
        record = Signal(bits, reset_less=True)
        with m.If(self.record_valid):
            m.d.sync += record.eq(Cat(record, self.record)[len(self.record) :])
        thresholds = [
            record[slot * width : (slot + 1) * width].as_signed()
            for slot in range((1 << lanes) - 1)
        ]

        for pixel in range(geometry.pixels):
            value = self.values[pixel]
            code = Const(0, 0)
            for level in range(lanes):
                step = 1 << (lanes - level)
                choices = thresholds[step // 2 - 1 :: step]
                found = Signal(level + 1, name=f"code_{pixel}_{level}", reset_less=True)
                # acc >= T is -acc + (T - 1) < 0.
                excess = Signal(signed(width + 1), name=f"excess_{pixel}_{level}")
                lower, upper = choices[::2], choices[1::2] or choices
                choice = ChosenSum(
                    excess,
                    value,
                    when_1=Array(upper)[code[1:]] if level > 1 else upper[0],
                    when_0=Array(lower)[code[1:]] if level > 1 else lower[0],
                    choice=code[0] if level else Const(0),
                )
                add_chosen(m, family_of(platform), [choice])
                m.d.sync += found.eq(Cat(excess[-1], code))
                if level + 1 < lanes:
                    later = Signal(signed(width), name=f"value_{pixel}_{level}", reset_less=True)
                    m.d.sync += later.eq(value)
                    value = later
                code = found
            pool_min = Signal(name=f"pool_min_{pixel}", reset_less=True)
            m.d.sync += pool_min.eq(record[-1])
            m.d.comb += [
                self.codes[pixel].code.eq(code),
                self.codes[pixel].pool_min.eq(pool_min),
            ]
        return m
