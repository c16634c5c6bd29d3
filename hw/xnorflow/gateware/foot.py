# SPDX-License-Identifier: Apache-2.0
"""The columns' feet: lane scale, accumulator memory, threshold unit."""

from amaranth import Cat, Const, Module, Shape, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.addition import ChosenSum, add_chosen
from xnorflow.gateware.array import record_layout
from xnorflow.gateware.delay import delayed
from xnorflow.gateware.layouts import code_layout, token_layout
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.product import Product
from xnorflow.gateware.realcount import RealCount
from xnorflow.gateware.target import family_of
from xnorflow.gateware.threshold import ThresholdUnit
from xnorflow.gateware.weightbank import WeightBank

__all__ = ["Feet"]


class Feet(wiring.Component):
    """-acc[address] = (0 if first else -acc[address]) + scale * (2 * sum - n)

    for the columns of one hop, and, where the token says ``last``, the accumulators' codes. Where
    it says ``read``, the sums leave as ``values`` and nothing is stored: with ``scale`` and
    ``first`` 0, those are the accumulators themselves. Index column * pixels + pixel. Everything
    is negated, so that all arithmetic is plain additions, which FPGAs' carry chains do best.

    Parameters
    ----------
    geometry : Geometry
        Gives the widths and depths.

    Members
    -------
    token : In(token_layout)
        What to do with this cycle's ``n`` and ``sums``.
    n : In(signed(RealCount.count_width))
        Real inputs, negated.
    sums : In(sum_width), one a column and pixel stream
        Mismatches.
    record : Out(record_layout)
        A word of thresholds to read for all columns,
    records : In
        and what their banks read, ``WeightBank.latency_cycles`` later.
    codes, codes_valid : Out(code_layout), Out(1)
        Codes, ``latency_cycles`` after their token.
    values, values_valid : Out(signed(accumulator_width)), Out(1)
        Accumulators, negated, that a token read, ``SUM_CYCLES`` after it.

    Timing
    ------
    One token a cycle. Two tokens on the same address must be ``TURNAROUND_CYCLES`` apart: the
    issuer sees to it.

    Bit growth
    ----------
    ``2 * sum - n`` has sum_width + 2 bits, the product scale_width more. The compiler proves that
    no accumulator exceeds ``Geometry.accumulator_limit``, so the upper bits are never needed.
    """

    TURNAROUND_CYCLES = 4
    SUM_CYCLES = 4

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.count = count = geometry.columns_per_hop * geometry.pixels
        bank_word = geometry.rows * geometry.weight_beat
        super().__init__(
            {
                "token": In(token_layout(geometry)),
                "n": In(RealCount.shape(geometry)),
                "sums": In(data.ArrayLayout(geometry.sum_width(), count)),
                "record": Out(record_layout(geometry)),
                "records": In(data.ArrayLayout(bank_word, geometry.columns_per_hop)),
                "codes": Out(data.ArrayLayout(code_layout(geometry), count)),
                "codes_valid": Out(1),
                "values": Out(data.ArrayLayout(self.value_shape(geometry), count)),
                "values_valid": Out(1),
            }
        )

    @staticmethod
    def value_shape(geometry: Geometry) -> Shape:
        """Shape of an accumulator."""
        return signed(geometry.accumulator_width)

    @classmethod
    def cycles(cls, geometry: Geometry) -> int:
        """Cycles from a token to its codes."""
        return cls.SUM_CYCLES + ThresholdUnit.cycles(geometry)

    @classmethod
    def record_wait(cls, geometry: Geometry) -> int:
        """Cycles from a token to its request for thresholds.

        The next tile's thresholds come when the last values of this one are through.
        """
        return cls.SUM_CYCLES - WeightBank.latency_cycles + geometry.max_lanes - 1

    @property
    def latency_cycles(self) -> int:
        """Cycles from a token to its codes."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        width, pixels = geometry.accumulator_width, geometry.pixels

        m.submodules.accumulators = memory = BlockMemory(
            width=width * self.count, depth=geometry.accumulator_depth
        )
        tokens = [self.token]
        for stage in range(self.SUM_CYCLES):
            tokens.append(Signal(token_layout(geometry), name=f"token_{stage + 1}"))
            m.d.sync += tokens[-1].eq(tokens[-2])
        m.d.comb += [memory.read_enable.eq(1), memory.read_address.eq(tokens[1].address)]

        totals = []
        halves, steps = [], []
        for index in range(self.count):
            # Stage 1: mismatches to a signed sum. A DSP block may be far away.
            half = Signal(signed(len(self.n) - 1), name=f"half_{index}")
            once = self.sums[index]
            halves.append(ChosenSum(half, self.n[1:].as_signed(), once, once, Const(0)))
            signed_sum = Signal(self.n.shape(), name=f"signed_sum_{index}", reset_less=True)
            m.d.sync += signed_sum.eq(Cat(self.n[0], half))
            # Stages 2 and 3: times the lane scale.
            m.submodules[f"scaled_{index}"] = scaled = Product(
                self.n.shape(), unsigned(geometry.scale_width)
            )
            product = scaled.product[:width].as_signed()
            m.d.comb += [scaled.a.eq(signed_sum), scaled.b.eq(tokens[1].scale)]
            # Stage 4: accumulate.
            total = Signal(signed(width), name=f"total_{index}", reset_less=True)
            stored = memory.read_data[index * width : (index + 1) * width].as_signed()
            step = Signal(signed(width), name=f"step_{index}")
            steps.append(ChosenSum(step, product, Const(0), stored, tokens[3].first))
            m.d.sync += total.eq(step)
            m.d.comb += self.values[index].eq(total)
            totals.append(total)
        for sums in (halves, steps):
            add_chosen(m, family_of(platform), sums)
        done = tokens[-1]
        m.d.comb += [
            memory.write_address.eq(done.address),
            memory.write_data.eq(Cat(totals)),
            memory.write_enable.eq(done.valid & ~done.read),
            self.values_valid.eq(done.valid & done.read),
        ]

        wait = self.record_wait(geometry)
        record = delayed(m, self.token.record, wait, "record")
        m.d.comb += [
            self.record.valid.eq(record),
            self.record.address.eq(delayed(m, self.token.record_address, wait, "record_address")),
        ]
        arrives = delayed(m, record, WeightBank.latency_cycles, "arrives")
        for column in range(geometry.columns_per_hop):
            m.submodules[f"threshold_{column}"] = unit = ThresholdUnit(geometry)
            m.d.comb += [unit.record.eq(self.records[column]), unit.record_valid.eq(arrives)]
            for pixel in range(pixels):
                index = column * pixels + pixel
                m.d.comb += [
                    unit.values[pixel].eq(totals[index]),
                    self.codes[index].eq(unit.codes[pixel]),
                ]
        finished = Signal()
        m.d.comb += [
            finished.eq(done.valid & done.last),
            self.codes_valid.eq(delayed(m, finished, geometry.max_lanes, "finished")),
        ]
        return m
