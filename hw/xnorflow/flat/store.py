# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator's program: the row that runs, and the block's constants."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import ROW_WORD_BITS, Target, row_fields, row_words
from xnorflow.gateware.layouts import bus_layout, row_layout
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.store import block_constants

__all__ = ["FlatStore"]


class FlatStore(wiring.Component):
    """One row at a time, read word by word.

    Parameters
    ----------
    geometry : Geometry
    contents : Contents or None
        What it holds at first.

    Members
    -------
    bus : In(bus_layout)
        Configuration writes.
    fetch, index : In
        Read row ``index``.
    fetched : Out(1)
        ``row`` is that row from the next cycle on.
    row : Out(row_layout)
    rows, block : Out(16)
        Rows of the program; most images in a block.
    """

    def __init__(self, geometry: Geometry, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.contents = contents
        super().__init__(
            {
                "bus": In(bus_layout(geometry)),
                "fetch": In(1),
                "index": In(ceil_log2(geometry.layer_depth)),
                "fetched": Out(1),
                "row": Out(row_layout(geometry)),
                "rows": Out(16),
                "block": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, bus = self.geometry, self.bus
        words = row_words(geometry)
        m.submodules.program = memory = BlockMemory(
            width=ROW_WORD_BITS,
            depth=geometry.layer_depth * words,
            init=() if self.contents is None else self.contents.layer,
        )
        address = Signal(len(memory.read_address))
        asked = Signal(words + BlockMemory.latency_cycles)  # one bit: cycles since the first word
        with m.If(self.fetch):
            m.d.sync += address.eq(self.index * words)
        with m.Else():
            m.d.sync += address.eq(address + 1)
        m.d.sync += asked.eq(asked << 1 | self.fetch)
        packed = Signal(words * ROW_WORD_BITS)
        for word in range(words):
            with m.If(asked[word + BlockMemory.latency_cycles]):
                m.d.sync += packed.word_select(word, ROW_WORD_BITS).eq(memory.read_data)
        m.d.comb += [
            memory.read_enable.eq(1),
            memory.read_address.eq(address),
            memory.write_enable.eq(bus.valid & (bus.target == Target.LAYER)),
            memory.write_address.eq(bus.address),
            memory.write_data.eq(bus.data),
            self.fetched.eq(asked[-1]),
        ]
        at = 0
        for field in row_fields(geometry):
            bits = packed[at : at + field.stored]
            m.d.comb += self.row[field.name].eq(bits if field.fixed is None else field.fixed)
            at += field.stored
        rows, block = block_constants(m, bus, self.contents)
        m.d.comb += [self.rows.eq(rows), self.block.eq(block)]
        return m
