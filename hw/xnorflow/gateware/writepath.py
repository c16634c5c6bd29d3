# SPDX-License-Identifier: Apache-2.0
"""The way of writes into the activation banks: collector and formatter share it."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import write_layout

__all__ = ["WritePath"]


class WritePath(wiring.Component):
    """Merges two writers and carries what they write to the banks.

    A bank row has registers of its own, so that no net spans the chip. Banks that always take the
    same word from the collector (:class:`LaneWriter`) share registers within their row.

    Members
    -------
    collected, formatted : In(write_layout), one a bank
        Writes; only one of both writes in a cycle.
    collects : In(1)
        It is the collector.
    writes : Out(write_layout), one a bank
        To the banks, ``latency_cycles`` later.

    Timing
    ------
    Nothing reads a word so soon after its write: the program row that does must be started first.
    """

    latency_cycles = 2

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        writes = data.ArrayLayout(write_layout(geometry), geometry.banks)
        super().__init__(
            {
                "collected": In(writes),
                "formatted": In(writes),
                "collects": In(1),
                "writes": Out(writes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        taps = geometry.taps
        one_lane, one_word = geometry.max_lanes == 1, geometry.write_words == 1
        merged: dict[tuple[int, int], tuple[Signal, Signal]] = {}
        for row in range(geometry.streams):
            m.submodules[f"row_{row}"] = last = BankRow(geometry)
            for column in range(taps):
                bank = row * taps + column
                ours, theirs = self.collected[bank], self.formatted[bank]
                key = (0 if one_lane else row, 0 if one_word else column)
                if key not in merged:
                    merged[key] = self._merge(m, key)
                address, bits = merged[key]
                enable = Signal(ours.enable.shape(), name=f"enable_{bank}")
                m.d.sync += enable.eq(ours.enable.as_value() | theirs.enable.as_value())
                m.d.comb += [
                    last.i[column].enable.eq(enable),
                    last.i[column].address.eq(address),
                    last.i[column].data.eq(bits),
                    self.writes[bank].eq(last.o[column]),
                ]
        return m

    def _merge(self, m: Module, key: tuple[int, int]) -> tuple[Signal, Signal]:
        """Address and words for the banks of this key."""
        geometry = self.geometry
        rows = range(geometry.streams) if geometry.max_lanes == 1 else (key[0],)
        columns = range(geometry.taps) if geometry.write_words == 1 else (key[1],)
        banks = [row * geometry.taps + column for row in rows for column in columns]
        ours, theirs = self.collected[banks[0]], self.formatted[banks[0]]
        address = Signal(ours.address.shape(), name=f"address_{key[0]}_{key[1]}", reset_less=True)
        bits = Signal(ours.data.shape(), name=f"data_{key[0]}_{key[1]}", reset_less=True)
        m.d.sync += [
            address.eq(Mux(self.collects, ours.address, theirs.address)),
            bits.eq(Mux(self.collects, ours.data, theirs.data)),
        ]
        return address, bits


class BankRow(wiring.Component):
    """A bank row's registers; a module by itself, so that synthesis does not merge the rows'.

    Members
    -------
    i, o : In, Out(write_layout), one a bank column
        ``o`` is ``i`` of the cycle before.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        writes = data.ArrayLayout(write_layout(geometry), geometry.taps)
        super().__init__({"i": In(writes), "o": Out(writes)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        shared: dict[int, tuple[Signal, Signal]] = {}
        for column in range(geometry.taps):
            i, o = self.i[column], self.o[column]
            key = 0 if geometry.write_words == 1 else column
            if key not in shared:
                shared[key] = (
                    Signal(i.address.shape(), name=f"address_{key}", reset_less=True),
                    Signal(i.data.shape(), name=f"data_{key}", reset_less=True),
                )
                m.d.sync += [shared[key][0].eq(i.address), shared[key][1].eq(i.data)]
            enable = Signal(i.enable.shape(), name=f"enable_{column}")
            m.d.sync += enable.eq(i.enable)
            m.d.comb += [
                o.enable.eq(enable),
                o.address.eq(shared[key][0]),
                o.data.eq(shared[key][1]),
            ]
        return m
