# SPDX-License-Identifier: Apache-2.0
"""The loader: configuration packets become writes on the configuration bus."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target, item_bits, row_words
from xnorflow.gateware.layouts import bus_layout

__all__ = ["Loader"]


class Loader(wiring.Component):
    """Takes packets of core/program.py.

    Members
    -------
    words : In(stream)
        32-bit words.
    enable : In(1)
        Take words; 0 while a block runs.
    bus : Out(bus_layout)
        Writes of the items, one at a time; registered.
    error : Out(1)
        A packet was bad. Everything is dropped until reset.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.words_of = {target: -(-item_bits(geometry, target) // 32) for target in Target}
        super().__init__(
            {
                "words": In(stream.Signature(32)),
                "enable": In(1),
                "bus": Out(bus_layout(geometry)),
                "error": Out(1),
            }
        )

    def _depth(self, target: Target) -> int:
        geometry = self.geometry
        return {
            Target.LAYER: geometry.layer_depth * row_words(geometry),
            Target.SCALE: geometry.scale_depth,
            Target.WEIGHT: geometry.weight_depth,
            Target.CONTROL: 2,
        }[target]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self.words.payload
        most = max(self.words_of.values())
        target = Signal(4)
        column = Signal(8)
        left = Signal(20)  # items
        address = Signal(32)
        part = Signal(range(most + 1))
        parts = [Signal(32, name=f"part_{index}") for index in range(most)]
        item = Signal(32 * most)
        words_last = Signal(range(most))
        per_column = Signal()
        depth = Signal(32)
        with m.Switch(target):
            for kind in Target:
                with m.Case(kind):
                    m.d.comb += [
                        words_last.eq(self.words_of[kind] - 1),
                        depth.eq(self._depth(kind)),
                        per_column.eq(kind == Target.WEIGHT),
                    ]

        take = Signal()
        m.d.comb += [
            self.words.ready.eq(self.enable),
            take.eq(self.words.valid & self.words.ready),
            # The item's last word is not in its register yet.
            item.eq(Cat(Mux(part == i, word, parts[i]) for i in range(most))),
        ]
        m.d.sync += self.bus.valid.eq(0)
        with m.FSM():
            with m.State("HEADER"), m.If(take):
                m.d.sync += [target.eq(word[28:]), column.eq(word[20:28]), left.eq(word[:20])]
                m.next = "ADDRESS"
            with m.State("ADDRESS"), m.If(take):
                m.d.sync += [address.eq(word), part.eq(0)]
                m.next = "ITEMS"
                bad_column = per_column & (column >= self.geometry.columns)
                # A foreign target has no depth, so nothing fits.
                with m.If((left == 0) | (word > depth) | (word + left > depth) | bad_column):
                    m.next = "ERROR"
            with m.State("ITEMS"), m.If(take):
                for index in range(most):
                    with m.If(part == index):
                        m.d.sync += parts[index].eq(word)
                m.d.sync += part.eq(part + 1)
                with m.If(part == words_last):
                    m.d.sync += [
                        self.bus.valid.eq(1),
                        self.bus.target.eq(target),
                        self.bus.column.eq(column),
                        self.bus.address.eq(address),
                        self.bus.data.eq(item),
                        part.eq(0),
                        address.eq(address + 1),
                        left.eq(left - 1),
                    ]
                    with m.If(left == 1):
                        m.next = "HEADER"
            with m.State("ERROR"):
                m.d.comb += self.error.eq(1)
        return m
