# SPDX-License-Identifier: Apache-2.0
"""Weights in the iCE40 UltraPlus' single-port RAM: four blocks of 16,384 words of 16 bits."""

from __future__ import annotations

from amaranth import Cat, ClockSignal, Const, Module, Signal, Value
from amaranth.hdl import Instance
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import bus_layout

__all__ = ["SharedWeightBank"]

DEPTH = 16384
WIDTH = 16
MASK = 4
"""Bits that one write mask covers."""


class SharedWeightBank(wiring.Component):
    """The weights and thresholds of a hop's columns side by side in the same blocks.

    They have one port. That is enough: all columns of a hop read the same address, and
    configuration is written only while nothing runs.

    Members
    -------
    address : In
        What to read, as in :class:`WeightBank`.
    writes : In(columns_per_hop)
        The column takes the configuration write.
    bus : In(bus_layout)
        Configuration writes.
    weights : Out
        What was read, column by column; ``latency_cycles`` later, if nothing is written.
    """

    latency_cycles = 3

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        word = data.ArrayLayout(geometry.weight_beat, geometry.rows)
        super().__init__(
            {
                "address": In(ceil_log2(geometry.weight_depth)),
                "writes": In(geometry.columns_per_hop),
                "bus": In(bus_layout(geometry)),
                "weights": Out(data.ArrayLayout(word, geometry.columns_per_hop)),
            }
        )

    @staticmethod
    def fits(geometry: Geometry) -> bool:
        """Whether the columns' words fill blocks, four of them at most."""
        word = geometry.rows * geometry.weight_beat
        total = word * geometry.columns
        return (
            geometry.weight_depth <= DEPTH
            and word % MASK == 0
            and word * geometry.columns_per_hop % WIDTH == 0
            and total <= 4 * WIDTH
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        word = geometry.rows * geometry.weight_beat
        address = Signal(len(self.address), reset_less=True)
        read = Signal(word * geometry.columns_per_hop)
        held = Signal(len(read), reset_less=True)
        m.d.sync += [address.eq(self.address), held.eq(read)]
        m.d.comb += self.weights.eq(held)
        write = self.writes.any()
        masks = Cat(enable.replicate(word // MASK) for enable in self.writes)
        data_in = self.bus.data[:word].replicate(geometry.columns_per_hop)
        place = Signal(ceil_log2(DEPTH))
        with m.If(write):
            m.d.comb += place.eq(self.bus.address)
        with m.Else():
            m.d.comb += place.eq(address)
        for block in range(len(read) // WIDTH):
            part = slice(block * WIDTH, (block + 1) * WIDTH)
            m.submodules[f"block_{block}"] = self._block(
                place,
                write,
                masks[part.start // MASK : part.stop // MASK],
                data_in[part],
                read[part],
            )
        return m

    @staticmethod
    def _block(place: Value, write: Value, masks: Value, word: Value, read: Value) -> Instance:
        return Instance(
            "SB_SPRAM256KA",
            i_ADDRESS=place,
            i_DATAIN=word,
            i_MASKWREN=masks,
            i_WREN=write,
            i_CHIPSELECT=Const(1),
            i_CLOCK=ClockSignal(),
            i_STANDBY=Const(0),
            i_SLEEP=Const(0),
            i_POWEROFF=Const(1),  # active low
            o_DATAOUT=read,
        )
