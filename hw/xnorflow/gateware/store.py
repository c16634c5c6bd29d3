# SPDX-License-Identifier: Apache-2.0
"""The program store: program rows, lane scales, and the block's constants."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import ROW_WORD_BITS, Target, row_words
from xnorflow.gateware.layouts import bus_layout, row_layout

__all__ = ["ProgramStore"]


class ProgramStore(wiring.Component):
    """Holds a program; the loader fills it.

    Members
    -------
    bus : In(bus_layout)
        Configuration writes.
    rewind, fetch : In(1)
        The next row is row 0; fetch the next row.
    row : Out(row_layout)
        The row fetched last, ``row_words + 2`` cycles after ``fetch``, until the next one.
    first_row, first_row_valid : Out(row_layout), Out(1)
        Row 0, once it was fetched.
    scale_index, scale_enable, scale : In, In, Out
        Lane scale, one cycle after an enabled index; else it stays.
    rows, block : Out(16)
        Rows of the program; most images in a block.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "bus": In(bus_layout(geometry)),
                "rewind": In(1),
                "fetch": In(1),
                "row": Out(row_layout(geometry)),
                "first_row": Out(row_layout(geometry)),
                "first_row_valid": Out(1),
                "scale_index": In(ceil_log2(geometry.scale_depth)),
                "scale_enable": In(1),
                "scale": Out(geometry.scale_width),
                "rows": Out(16),
                "block": Out(16),
            }
        )

    @staticmethod
    def fetch_cycles(geometry: Geometry) -> int:
        """Cycles from ``fetch`` to the row."""
        return row_words(geometry) + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, bus = self.geometry, self.bus
        words = row_words(geometry)

        def writes(target: Target) -> Signal:
            return bus.valid & (bus.target == target)

        # Rows move into their register word by word, from the top.
        m.submodules.memory = memory = Memory(
            shape=ROW_WORD_BITS, depth=geometry.layer_depth * words, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        address = Signal(len(read.addr))
        left = Signal(range(words + 1))
        arrives = Signal()
        first, first_arrives = Signal(), Signal()  # the row that is fetched is row 0
        m.d.comb += [
            write.en.eq(writes(Target.LAYER)),
            write.addr.eq(bus.address),
            write.data.eq(bus.data),
            read.en.eq(1),
            read.addr.eq(address),
        ]
        m.d.sync += [arrives.eq((left != 0) & ~self.rewind), first_arrives.eq(first)]
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        with m.If(self.fetch):
            m.d.sync += [left.eq(words), first.eq(address == 0)]
        with m.If(self.rewind):  # also in the middle of a row
            m.d.sync += [address.eq(0), left.eq(0)]
        size = self.row.shape().size
        shifted = Signal(words * ROW_WORD_BITS)
        held = Signal(words * ROW_WORD_BITS)
        held_first = Signal(words * ROW_WORD_BITS)
        m.d.comb += [
            shifted.eq(Cat(held[ROW_WORD_BITS:], read.data)),
            self.row.eq(held[:size]),
            self.first_row.eq(held_first[:size]),
        ]
        with m.If(arrives):
            m.d.sync += held.eq(shifted)
            with m.If(first_arrives & ~self.first_row_valid):
                m.d.sync += held_first.eq(shifted)
                m.d.sync += self.first_row_valid.eq(left == 0)
        with m.If(writes(Target.LAYER)):
            m.d.sync += self.first_row_valid.eq(0)

        m.submodules.scales = scales = Memory(
            shape=geometry.scale_width, depth=geometry.scale_depth, init=[]
        )
        scale_write, scale_read = scales.write_port(), scales.read_port()
        m.d.comb += [
            scale_write.en.eq(writes(Target.SCALE)),
            scale_write.addr.eq(bus.address),
            scale_write.data.eq(bus.data),
            scale_read.en.eq(self.scale_enable),
            scale_read.addr.eq(self.scale_index),
            self.scale.eq(scale_read.data),
        ]

        with m.If(writes(Target.CONTROL)):
            with m.If(bus.address == 0):
                m.d.sync += self.rows.eq(bus.data)
            with m.Else():
                m.d.sync += self.block.eq(bus.data)
        return m
