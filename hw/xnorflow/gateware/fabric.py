# SPDX-License-Identifier: Apache-2.0
"""The fabric: from beats to codes. Fetch, systolic array, feet, and the tokens between them."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.array import StreamSkew, SystolicArray
from xnorflow.gateware.banks import Fetch
from xnorflow.gateware.deskew import Deskew
from xnorflow.gateware.foot import Foot
from xnorflow.gateware.layouts import (
    beat_layout,
    bus_layout,
    code_layout,
    load_layout,
    token_layout,
)
from xnorflow.gateware.realcount import RealCount

__all__ = ["Fabric"]


class Fabric(wiring.Component):
    """Everything through which words, sums and tokens flow without ever stalling.

    Members
    -------
    beat, load, tails, token : In
        From the :class:`Issuer`, all of one cycle.
    tail : In(7)
        Channels in a position's last word; constant in a layer.
    bus : In(bus_layout)
        Configuration writes.
    addresses, bank_words : Out, In
        To and from the activation banks.
    codes, codes_valid : Out
        All columns' codes of one position.
    values, values_valid : Out
        Accumulators that a token read, hop by hop.

    Timing
    ------
    Column 0's foot gets a beat's sum after ``foot_cycles``; nothing is under way any more
    ``flush_cycles`` after the last beat.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        columns, streams = geometry.columns, geometry.streams
        super().__init__(
            {
                "beat": In(beat_layout(geometry)),
                "load": In(load_layout(geometry)),
                "tails": In(streams),
                "token": In(token_layout(geometry)),
                "tail": In(7),
                "bus": In(bus_layout(geometry)),
                "addresses": Out(data.ArrayLayout(ceil_log2(geometry.activation_depth), streams)),
                "bank_words": In(data.ArrayLayout(geometry.word_width, streams)),
                "codes": Out(data.ArrayLayout(code_layout(geometry), columns)),
                "codes_valid": Out(1),
                "values": Out(data.ArrayLayout(Foot.value_shape(geometry), columns)),
                "values_valid": Out(columns),
            }
        )

    @staticmethod
    def foot_cycles(geometry: Geometry) -> int:
        """Cycles from a beat to column 0's foot."""
        return Fetch.latency_cycles + SystolicArray.cycles(geometry)

    @classmethod
    def flush_cycles(cls, geometry: Geometry) -> int:
        """Cycles after which nothing that entered is still under way."""
        return cls.foot_cycles(geometry) + 2 * geometry.hops + Foot.cycles(geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.fetch = fetch = Fetch(geometry)
        m.submodules.skew = skew = StreamSkew(geometry)
        m.submodules.array = array = SystolicArray(geometry)
        m.submodules.realcount = realcount = RealCount(geometry)
        load = Signal(load_layout(geometry))
        tails = Signal(geometry.streams)
        m.d.sync += [load.eq(self.load), tails.eq(self.tails)]
        m.d.comb += [
            fetch.beat.eq(self.beat),
            fetch.tail.eq(self.tail),
            fetch.bank_words.eq(self.bank_words),
            self.addresses.eq(fetch.addresses),
            skew.words.eq(fetch.words),
            skew.masks.eq(fetch.masks),
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.load.eq(load),
            array.bus.eq(self.bus),
            realcount.masks.eq(skew.skewed_masks),
            realcount.load.eq(load),
            realcount.tails.eq(tails),
            realcount.tail.eq(self.tail),
        ]
        self._feet(m, array, realcount)
        return m

    def _feet(self, m: Module, array: SystolicArray, realcount: RealCount) -> None:
        """A foot for each column; tokens meet the sums, then cross the hops beside them."""
        geometry = self.geometry
        token, n, bus = self.token, realcount.n, self.bus
        for cycle in range(self.foot_cycles(geometry)):
            later = Signal(token_layout(geometry), name=f"token_{cycle}")
            m.d.sync += later.eq(token)
            token = later
        m.submodules.deskew = deskew = Deskew(geometry)
        for index in range(geometry.columns):
            if index and index % geometry.columns_per_hop == 0:
                hop = index // geometry.columns_per_hop
                moved = [
                    Signal(signal.shape(), name=f"{name}_hop_{hop}")
                    for name, signal in (("token", token), ("n", n), ("bus", bus))
                ]
                m.d.sync += [new.eq(old) for new, old in zip(moved, (token, n, bus), strict=True)]
                token, n, bus = moved
            m.submodules[f"foot_{index}"] = foot = Foot(geometry, index=index)
            m.d.comb += [
                foot.token.eq(token),
                foot.n.eq(n),
                foot.sum.eq(array.sums[index]),
                foot.bus.eq(bus),
                deskew.codes[index].eq(foot.o),
                deskew.valids[index].eq(foot.o_valid),
                self.values[index].eq(foot.value),
                self.values_valid[index].eq(foot.value_valid),
            ]
        m.d.comb += [self.codes.eq(deskew.o), self.codes_valid.eq(deskew.o_valid)]
