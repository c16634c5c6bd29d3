# SPDX-License-Identifier: Apache-2.0
"""The program store: program rows, lane scales, and the block's constants."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.core.program import ROW_WORD_BITS, Target, row_fields, row_words
from xnorflow.gateware.layouts import bus_layout, row_layout
from xnorflow.gateware.memory import BlockMemory

__all__ = ["ProgramStore", "block_constants"]


def block_constants(m: Module, bus: data.View, contents: Contents | None) -> tuple[Signal, Signal]:
    """Rows of the program, and most images in a block, two cycles after configuration writes them.

    Where a network is baked in, a reset leaves them as they are, because it leaves the memories as
    they are: the program may be another one by then.
    """
    first = (0, 0) if contents is None else (contents.rows, contents.block)
    rows, block = (
        Signal(16, name=name, init=init, reset_less=contents is not None)
        for name, init in zip(("rows", "block"), first, strict=True)
    )
    value = Signal(16, name="block_constant", reset_less=True)
    m.d.sync += value.eq(bus.data)
    for address, register in enumerate((rows, block)):
        takes = Signal(name=f"takes_{register.name}")
        ours = bus.valid & (bus.target == Target.CONTROL) & (bus.address[0] == address)
        m.d.sync += takes.eq(ours)
        with m.If(takes):
            m.d.sync += register.eq(value)
    return rows, block


class ProgramStore(wiring.Component):
    """Holds a program; the loader fills it.

    Parameters
    ----------
    geometry : Geometry
    contents : Contents or None
        What it holds at first.

    Members
    -------
    bus : In(bus_layout)
        Configuration writes. What they change is known two cycles later, so the last one to a
        row must not come with a ``fetch``: programs end with other writes.
    rewind, fetch, take : In(1)
        The next row is row 0; fetch the next row; ``row`` is the one that was fetched, from
        ``fetch_cycles`` after ``fetch`` on.
    row : Out(row_layout)
        The row that was taken.
    first_row, first_row_valid : Out(row_layout), Out(1)
        Row 0, once it was fetched; a row that is written makes it unknown, and ends a fetch.
    scale_index, scale : In, Out
        Lane scale, ``SCALE_CYCLES`` after its index.
    rows, block : Out(16)
        Rows of the program; most images in a block.
    """

    SCALE_CYCLES = BlockMemory.latency_cycles

    def __init__(self, geometry: Geometry, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.contents = contents
        super().__init__(
            {
                "bus": In(bus_layout(geometry)),
                "rewind": In(1),
                "fetch": In(1),
                "take": In(1),
                "row": Out(row_layout(geometry)),
                "first_row": Out(row_layout(geometry)),
                "first_row_valid": Out(1),
                "scale_index": In(ceil_log2(geometry.scale_depth)),
                "scale": Out(geometry.scale_width),
                "rows": Out(16),
                "block": Out(16),
            }
        )

    @staticmethod
    def fetch_cycles(geometry: Geometry) -> int:
        """Cycles from ``fetch`` until the row can be taken."""
        return row_words(geometry) + 1 + BlockMemory.latency_cycles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        words = row_words(geometry)
        # Of the memories' own: what the bus says here, a cycle later.
        bus = Signal(self.bus.shape(), reset_less=True)
        m.d.sync += bus.eq(self.bus)

        def writes(target: Target) -> Signal:
            own = Signal(name=f"writes_{target.name.lower()}")
            m.d.sync += own.eq(self.bus.valid & (self.bus.target == target))
            return own

        # A row moves into a register word by word, from the top, while another one runs.
        contents = self.contents
        m.submodules.program = memory = BlockMemory(
            width=ROW_WORD_BITS,
            depth=geometry.layer_depth * words,
            init=() if contents is None else contents.layer,
        )
        address = Signal(len(memory.read_address))
        left = Signal(range(words + 1))
        # Of the word that the memory gives: it is asked for, it is row 0's.
        asked, of_first = Signal(BlockMemory.latency_cycles), Signal(BlockMemory.latency_cycles)
        last = Signal(BlockMemory.latency_cycles)
        arrives, first, row_ends = asked[-1], Signal(), last[-1]
        written = writes(Target.LAYER)
        m.d.comb += [
            memory.write_enable.eq(written),
            memory.write_address.eq(bus.address),
            memory.write_data.eq(bus.data),
            memory.read_enable.eq(1),
            memory.read_address.eq(address),
        ]
        coming = ~(self.rewind | written)  # what is asked for is still wanted
        m.d.sync += [
            asked.eq(Mux(coming, Cat(left != 0, asked), 0)),
            of_first.eq(Cat(first, of_first)),
            last.eq(Cat(left == 1, last)),
        ]
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        with m.If(self.fetch):
            m.d.sync += [left.eq(words), first.eq(address == 0)]
        with m.If(~coming):  # also in the middle of a row
            m.d.sync += [address.eq(0), left.eq(0)]
        taken = Signal(sum(field.stored for field in row_fields(geometry)))
        shifted = Signal(words * ROW_WORD_BITS)
        held = Signal(words * ROW_WORD_BITS)
        held_first = Signal(words * ROW_WORD_BITS)
        m.d.comb += [
            shifted.eq(Cat(held[ROW_WORD_BITS:], memory.read_data)),
            *self._unpacked(self.first_row, held_first),
            *self._unpacked(self.row, taken),
        ]
        with m.If(arrives):
            m.d.sync += held.eq(shifted)
        keeps = Signal()  # the word that arrives is row 0's, which is not known
        m.d.sync += keeps.eq(coming & asked[-2] & of_first[-2] & ~self.first_row_valid)
        with m.If(keeps):
            m.d.sync += [held_first.eq(shifted), self.first_row_valid.eq(row_ends)]
        with m.If(written):
            m.d.sync += self.first_row_valid.eq(0)
        with m.If(self.take):
            m.d.sync += taken.eq(held)

        m.submodules.scales = scales = BlockMemory(
            width=geometry.scale_width,
            depth=geometry.scale_depth,
            init=() if contents is None else contents.scale,
        )
        m.d.comb += [
            scales.write_enable.eq(writes(Target.SCALE)),
            scales.write_address.eq(bus.address),
            scales.write_data.eq(bus.data),
            scales.read_enable.eq(1),
            scales.read_address.eq(self.scale_index),
            self.scale.eq(scales.read_data),
        ]

        rows, block = block_constants(m, self.bus, contents)
        m.d.comb += [self.rows.eq(rows), self.block.eq(block)]
        return m

    def _unpacked(self, row: data.View, packed: Signal) -> list[Any]:
        """A row's fields from its bits; a field that is fixed takes none."""
        at = 0
        fields = []
        for field in row_fields(self.geometry):
            bits = packed[at : at + field.stored]
            fields.append(row[field.name].eq(bits if field.fixed is None else field.fixed))
            at += field.stored
        return fields
