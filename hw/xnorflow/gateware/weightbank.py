# SPDX-License-Identifier: Apache-2.0
"""Weight banks: each column's weights and thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.layouts import bus_layout
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.spram import SharedWeightBank
from xnorflow.gateware.target import device_family

__all__ = ["HopBanks", "WeightBank"]


class WeightBank(wiring.Component):
    """One column's weights and thresholds.

    Parameters
    ----------
    geometry : Geometry
    init : sequence of int
        What the bank holds at first.

    Members
    -------
    address : In
        What to read: a beat of weights, or a word of thresholds.
    write : In(1)
        Take the configuration write.
    bus : In(bus_layout)
        Configuration writes.
    weights : Out
        What was read: next beat of every row, ``latency_cycles`` later.
    """

    latency_cycles = 1 + BlockMemory.latency_cycles

    def __init__(self, geometry: Geometry, *, init: Sequence[int] = ()) -> None:
        self.geometry = geometry
        self.init = init
        super().__init__(
            {
                "address": In(ceil_log2(geometry.weight_depth)),
                "write": In(1),
                "bus": In(bus_layout(geometry)),
                "weights": Out(data.ArrayLayout(geometry.weight_beat, geometry.rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.block = memory = BlockMemory(
            width=geometry.rows * geometry.weight_beat,
            depth=geometry.weight_depth,
            init=self.init,
        )
        # A column's blocks lie far apart.
        address = Signal(len(self.address), reset_less=True)
        write = Signal()
        bus = Signal(self.bus.shape(), reset_less=True)
        m.d.sync += [address.eq(self.address), write.eq(self.write), bus.eq(self.bus)]
        m.d.comb += [
            memory.write_enable.eq(write),
            memory.write_address.eq(bus.address),
            memory.write_data.eq(bus.data),
            memory.read_enable.eq(1),
            memory.read_address.eq(address),
            self.weights.eq(memory.read_data),
        ]
        return m


class HopBanks(wiring.Component):
    """The banks of a hop's columns: one each, or the single-port RAM that they share.

    Parameters
    ----------
    geometry : Geometry
    hop : int
        Which columns they are.
    contents : Contents or None
        What they hold at first. Single-port RAM can hold nothing at first, so it is not used then.

    Members
    -------
    address : In
        As of :class:`WeightBank`, the same for all columns.
    bus : In(bus_layout)
        Configuration writes.
    taken : Out(bus_layout)
        The same a cycle later, for the next hop.
    weights : Out
        What each column's bank read, ``WeightBank.latency_cycles`` after its address.
    """

    def __init__(self, geometry: Geometry, hop: int, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.hop = hop
        self.contents = contents
        word = data.ArrayLayout(geometry.weight_beat, geometry.rows)
        super().__init__(
            {
                "address": In(ceil_log2(geometry.weight_depth)),
                "bus": In(bus_layout(geometry)),
                "taken": Out(bus_layout(geometry)),
                "weights": Out(data.ArrayLayout(word, geometry.columns_per_hop)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, bus = self.geometry, self.bus
        columns = range(geometry.columns_per_hop)
        taken = Signal(bus.shape(), reset_less=True)
        writes = Signal(len(columns))
        chosen = bus.valid & (bus.target == Target.WEIGHT)
        m.d.sync += [
            taken.eq(bus),
            *(writes[c].eq(chosen & (bus.column == self.hop * len(columns) + c)) for c in columns),
        ]
        m.d.comb += self.taken.eq(taken)
        contents = self.contents
        shares = device_family(platform) == "ice40" and SharedWeightBank.fits(geometry)
        if shares and contents is None:
            m.submodules.shared = shared = SharedWeightBank(geometry)
            m.d.comb += [
                shared.address.eq(self.address),
                shared.writes.eq(writes),
                shared.bus.eq(taken),
                self.weights.eq(shared.weights),
            ]
            return m
        for c in columns:
            init = () if contents is None else contents.weights[self.hop * len(columns) + c]
            m.submodules[f"bank_{c}"] = bank = WeightBank(geometry, init=init)
            m.d.comb += [
                bank.address.eq(self.address),
                bank.write.eq(writes[c]),
                bank.bus.eq(taken),
                self.weights[c].eq(bank.weights),
            ]
        return m
