# SPDX-License-Identifier: Apache-2.0
"""The weight banks of all columns; addresses and writes pass from hop to hop."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.layouts import bus_layout
from xnorflow.gateware.memory import BlockMemory, ecp5_cuts
from xnorflow.gateware.target import family_of
from xnorflow.gateware.weightbank import HopBanks

__all__ = ["ArrayBanks", "BankSlice", "slice_layout"]


def slice_layout(geometry: Geometry, bits: int) -> data.StructLayout:
    """What a hop hands on to the next for some bits of the banks: a read and a write."""
    address = ceil_log2(geometry.weight_depth)
    return data.StructLayout(
        {
            "read_address": address,
            "writes": geometry.columns_per_hop,  # a bit for each column of the hop
            "hop": ceil_log2(geometry.hops),
            "address": address,
            "data": bits,
        }
    )


class BankSlice(wiring.Component):
    """Some bits of the banks of a hop's columns, with registers of their own.

    Parameters
    ----------
    geometry : Geometry
    hop : int
        Which columns they are.
    bits : range
        Which bits of each bank word.
    contents : Contents or None
        What the banks hold at first.

    Members
    -------
    taking : In(slice_layout)
        A read for all columns, and a write to one.
    taken : Out(slice_layout)
        The same a cycle later, for the next hop.
    weights : Out
        Each column's bits, ``HopBanks.latency_cycles`` after their address.
    """

    def __init__(
        self, geometry: Geometry, hop: int, bits: range, *, contents: Contents | None = None
    ) -> None:
        self.geometry = geometry
        self.hop = hop
        self.bits = bits
        self.contents = contents
        super().__init__(
            {
                "taking": In(slice_layout(geometry, len(bits))),
                "taken": Out(slice_layout(geometry, len(bits))),
                "weights": Out(data.ArrayLayout(len(bits), geometry.columns_per_hop)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taking, bits = self.taking, self.bits
        taken = Signal(taking.shape(), reset_less=True)
        m.d.sync += taken.eq(taking)
        m.d.comb += self.taken.eq(taken)
        columns, contents = self.geometry.columns_per_hop, self.contents
        mask = (1 << len(bits)) - 1
        for c in range(columns):
            write = Signal(name=f"write_{c}")
            m.d.sync += write.eq(taking.writes[c] & (taking.hop == self.hop))
            words = [] if contents is None else contents.weights[self.hop * columns + c]
            m.submodules[f"bank_{c}"] = memory = BlockMemory(
                width=len(bits),
                depth=self.geometry.weight_depth,
                init=[word >> bits.start & mask for word in words],
            )
            m.d.comb += [
                memory.write_enable.eq(write),
                memory.write_address.eq(taken.address),
                memory.write_data.eq(taken.data),
                memory.read_enable.eq(1),
                memory.read_address.eq(taken.read_address),
                self.weights[c].eq(memory.read_data),
            ]
        return m


class ArrayBanks(wiring.Component):
    """The banks of all columns: those of hop h are read h cycles after those of hop 0.

    On an ECP5 each block RAM of a bank word has neighbours with the same bits of the hop's other
    columns, and a row of such slices has its own registers from hop to hop: what lies far apart in
    a column, block above block, then shares no wire.

    Members
    -------
    address : In
        What to read: a beat of weights, or a word of thresholds.
    bus : In(bus_layout)
        Configuration writes.
    weights : Out
        What each column's bank read, ``HopBanks.latency_cycles`` and its hop after the address.
    """

    def __init__(self, geometry: Geometry, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.contents = contents
        word = data.ArrayLayout(geometry.weight_beat, geometry.rows)
        super().__init__(
            {
                "address": In(ceil_log2(geometry.weight_depth)),
                "bus": In(bus_layout(geometry)),
                "weights": Out(data.ArrayLayout(word, geometry.columns)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if family_of(platform) == "ecp5":
            self._slices(m)
        else:
            self._hops(m)
        return m

    def _slices(self, m: Module) -> None:
        geometry, bus = self.geometry, self.bus
        columns = geometry.columns_per_hop
        write = bus.valid & (bus.target == Target.WEIGHT) & (bus.column < geometry.columns)
        place_bits = ceil_log2(columns)  # a power of two
        cuts = ecp5_cuts(geometry.rows * geometry.weight_beat, geometry.weight_depth)
        for number, bits in enumerate(cuts):
            taken = Signal(slice_layout(geometry, len(bits)), name=f"taking_{number}")
            m.d.comb += [
                taken.read_address.eq(self.address),
                *(
                    taken.writes[c].eq(write & (bus.column[:place_bits] == c))
                    for c in range(columns)
                ),
                taken.hop.eq(bus.column[place_bits:]),
                taken.address.eq(bus.address),
                taken.data.eq(bus.data[bits.start : bits.stop]),
            ]
            for hop in range(geometry.hops):
                m.submodules[f"slice_{hop}_{number}"] = part = BankSlice(
                    geometry, hop, bits, contents=self.contents
                )
                m.d.comb += part.taking.eq(taken)
                taken = part.taken
                for c in range(columns):
                    word = self.weights[hop * columns + c].as_value()
                    m.d.comb += word[bits.start : bits.stop].eq(part.weights[c])

    def _hops(self, m: Module) -> None:
        geometry = self.geometry
        columns = geometry.columns_per_hop
        address, bus = self.address, self.bus
        for hop in range(geometry.hops):
            if hop:
                later = Signal(len(address), name=f"address_{hop}", reset_less=True)
                m.d.sync += later.eq(address)
                address = later
            m.submodules[f"hop_{hop}"] = banks = HopBanks(geometry, hop, contents=self.contents)
            m.d.comb += [banks.address.eq(address), banks.bus.eq(bus)]
            bus = banks.taken
            for c in range(columns):
                m.d.comb += self.weights[hop * columns + c].eq(banks.weights[c])
