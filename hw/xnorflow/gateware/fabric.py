# SPDX-License-Identifier: Apache-2.0
"""The fabric: from beats to codes. Fetch, systolic array, feet, and the tokens between them."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.array import RowSkew, SystolicArray
from xnorflow.gateware.banks import window_layout
from xnorflow.gateware.delay import delayed
from xnorflow.gateware.deskew import Deskew
from xnorflow.gateware.fetch import Fetch
from xnorflow.gateware.foot import Feet
from xnorflow.gateware.layouts import (
    beat_layout,
    bus_layout,
    code_layout,
    load_layout,
    pass_layout,
    token_layout,
)
from xnorflow.gateware.realcount import RealCount
from xnorflow.gateware.weightbank import WeightBank

__all__ = ["Fabric", "delayed"]


class Fabric(wiring.Component):
    """Everything through which words, sums and tokens flow without ever stalling.

    Members
    -------
    beat, token, load, window : In
        From the :class:`Issuer`, all of one cycle.
    double : In(1)
        Sums double from row to row; constant in a program row.
    bus : In(bus_layout)
        Configuration writes.
    addresses, bank_words : Out, In
        To and from the activation banks.
    codes, codes_valid : Out
        All columns' codes of one position; index column * pixels + pixel.
    values, values_valid : Out
        Accumulators that a token read, hop by hop.

    Timing
    ------
    Hop 0's feet get a beat's sums after ``foot_cycles``; nothing is under way any more
    ``flush_cycles`` after the last beat.
    """

    def __init__(self, geometry: Geometry, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.contents = contents
        results = geometry.columns * geometry.pixels
        address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "beat": In(beat_layout(geometry)),
                "token": In(token_layout(geometry)),
                "load": In(load_layout(geometry)),
                "window": In(pass_layout(geometry)),
                "double": In(1),
                "bus": In(bus_layout(geometry)),
                "addresses": Out(data.ArrayLayout(address, geometry.banks)),
                "bank_words": In(window_layout(geometry)),
                "codes": Out(data.ArrayLayout(code_layout(geometry), results)),
                "codes_valid": Out(1),
                "values": Out(data.ArrayLayout(Feet.value_shape(geometry), results)),
                "values_valid": Out(geometry.columns),
            }
        )

    @staticmethod
    def foot_cycles(geometry: Geometry) -> int:
        """Cycles from a beat to hop 0's feet."""
        return Fetch.latency_cycles + SystolicArray.cycles(geometry)

    @classmethod
    def flush_cycles(cls, geometry: Geometry) -> int:
        """Cycles after which nothing that entered is still under way."""
        return cls.foot_cycles(geometry) + 2 * geometry.hops + Feet.cycles(geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.fetch = fetch = Fetch(geometry)
        m.submodules.skew = skew = RowSkew(geometry)
        m.submodules.array = array = SystolicArray(geometry, contents=self.contents)
        m.submodules.realcount = realcount = RealCount(geometry)
        count = Fetch.COUNT_CYCLES
        read = delayed(m, self.load, Fetch.latency_cycles - WeightBank.latency_cycles, "load")
        m.d.comb += [
            fetch.beat.eq(self.beat),
            fetch.window.eq(self.window),
            fetch.bank_words.eq(self.bank_words),
            self.addresses.eq(fetch.addresses),
            skew.words.eq(fetch.words),
            skew.masks.eq(fetch.masks),
            skew.shift.eq(delayed(m, read.shift, WeightBank.latency_cycles, "shift")),
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.shifts.eq(skew.skewed_shifts),
            array.load.eq(read),
            array.double.eq(self.double),
            array.bus.eq(self.bus),
            realcount.real.eq(fetch.real),
            realcount.filled.eq(fetch.filled),
            realcount.lane.eq(delayed(m, self.beat.lane, count, "lane")),
            realcount.window.eq(delayed(m, self.window, count, "window")),
        ]
        self._feet(m, array, realcount)
        return m

    def _feet(self, m: Module, array: SystolicArray, realcount: RealCount) -> None:
        """Feet of each hop; tokens meet the sums, then cross the hops beside them."""
        geometry = self.geometry
        wait = self.foot_cycles(geometry)
        token = delayed(m, self.token, wait, "token")
        n = delayed(m, realcount.n, wait - Fetch.COUNT_CYCLES - RealCount.latency_cycles, "n")
        m.submodules.deskew = deskew = Deskew(geometry)
        columns = geometry.columns_per_hop
        for hop in range(geometry.hops):
            if hop:
                token = delayed(m, token, 1, f"token_hop_{hop}")
                n = delayed(m, n, 1, f"n_hop_{hop}")
            m.submodules[f"feet_{hop}"] = feet = Feet(geometry)
            m.d.comb += [feet.token.eq(token), feet.n.eq(n)]
            if hop == 0:
                m.d.comb += array.record.eq(feet.record)
            for c in range(columns):
                column = hop * columns + c
                m.d.comb += [
                    feet.records[c].eq(array.weights[column]),
                    deskew.valids[column].eq(feet.codes_valid),
                    self.values_valid[column].eq(feet.values_valid),
                ]
            for index in range(feet.count):
                at = hop * feet.count + index
                m.d.comb += [
                    feet.sums[index].eq(array.sums[at]),
                    deskew.codes[at].eq(feet.codes[index]),
                    self.values[at].eq(feet.values[index]),
                ]
        m.d.comb += [self.codes.eq(deskew.o), self.codes_valid.eq(deskew.o_valid)]
