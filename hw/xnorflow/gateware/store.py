# SPDX-License-Identifier: Apache-2.0
"""The program store: layer rows, lane scales, and the block's constants."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits
from xnorflow.gateware.layouts import bus_layout, row_layout

__all__ = ["ProgramStore"]


class ProgramStore(wiring.Component):
    """Holds a program; the loader fills it.

    Members
    -------
    item, target, address, write : In
        From the :class:`Loader`: layer rows and constants.
    bus : In(bus_layout)
        From the loader: lane scales.
    layer : In
        Row to show.
    row : Out(row_layout)
        It, one cycle after ``layer`` changed.
    scale_index, scale_enable, scale : In, In, Out
        Lane scale, one cycle after an enabled index; else it stays.
    layers, block : Out(16)
        Layers of the program; most images in a block.
    """

    def __init__(self, geometry: Geometry, *, item_width: int) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "item": In(item_width),
                "target": In(4),
                "address": In(32),
                "write": In(1),
                "bus": In(bus_layout(geometry)),
                "layer": In(8),
                "row": Out(row_layout(geometry)),
                "scale_index": In(ceil_log2(geometry.scale_depth)),
                "scale_enable": In(1),
                "scale": Out(geometry.scale_width),
                "layers": Out(16),
                "block": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.rows = rows = Memory(
            shape=item_bits(geometry, Target.LAYER), depth=geometry.layer_depth, init=[]
        )
        row_write, row_read = rows.write_port(), rows.read_port()
        m.d.comb += [
            row_write.en.eq(self.write & (self.target == Target.LAYER)),
            row_write.addr.eq(self.address),
            row_write.data.eq(self.item),
            row_read.en.eq(1),
            row_read.addr.eq(self.layer),
            self.row.eq(row_read.data),
        ]

        m.submodules.scales = scales = Memory(
            shape=geometry.scale_width, depth=geometry.scale_depth, init=[]
        )
        scale_write, scale_read = scales.write_port(), scales.read_port()
        m.d.comb += [
            scale_write.en.eq(self.bus.valid & (self.bus.target == Target.SCALE)),
            scale_write.addr.eq(self.bus.address),
            scale_write.data.eq(self.bus.data),
            scale_read.en.eq(self.scale_enable),
            scale_read.addr.eq(self.scale_index),
            self.scale.eq(scale_read.data),
        ]

        with m.If(self.write & (self.target == Target.CONTROL)):
            with m.If(self.address == 0):
                m.d.sync += self.layers.eq(self.item)
            with m.Else():
                m.d.sync += self.block.eq(self.item)
        return m
