# SPDX-License-Identifier: Apache-2.0
"""A short queue in LUT memory (iCE40: block memory), with a register behind it."""

from amaranth import Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.gateware.memory import early_read

__all__ = ["Queue"]


class Queue(wiring.Component):
    """Takes an item whenever ``push`` is 1: its user counts how many are inside.

    Every control signal comes from a register, so that long paths may end at ``push`` and begin
    at ``items``.

    Parameters
    ----------
    shape : ShapeLike
        Of an item.
    depth : int
        Items that it holds, beside the one in ``items``; a power of two.

    Members
    -------
    push, item : In
        Put an item in.
    taken : Out(1)
        An item has left the memory in the cycle before.
    items : Out(stream)
        The oldest item, ``latency_cycles`` after its push at the earliest.
    """

    latency_cycles = 2

    def __init__(self, shape: ShapeLike, *, depth: int) -> None:
        self.shape = shape
        self.depth = depth
        super().__init__(
            {
                "push": In(1),
                "item": In(shape),
                "taken": Out(1),
                "items": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = memory.write_port(), early_read(m, memory, platform)
        level = Signal(range(self.depth + 1))
        some = Signal()  # the memory is not empty
        take = Signal()
        upper, lower = (Signal(len(level), name=name) for name in ("upper", "lower"))
        m.d.comb += [
            upper.eq(level + self.push),
            lower.eq(Mux(self.push, level, level - 1)),
            write.en.eq(self.push),
            write.data.eq(self.item),
            take.eq(some & (~self.items.valid | self.items.ready)),
        ]
        with m.If(self.push):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(self.items.ready):
            m.d.sync += self.items.valid.eq(0)
        m.d.sync += [
            level.eq(Mux(take, lower, upper)),
            some.eq(Mux(take, level > 1, level != 0) | self.push),
            self.taken.eq(take),
        ]
        with m.If(take):
            m.d.sync += [
                read.addr.eq(read.addr + 1),
                self.items.valid.eq(1),
                self.items.payload.eq(read.data),
            ]
        return m
