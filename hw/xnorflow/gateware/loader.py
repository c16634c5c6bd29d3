# SPDX-License-Identifier: Apache-2.0
"""The loader: configuration packets become writes on the configuration bus."""

from itertools import pairwise

from amaranth import Cat, Module, Signal
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
        Take words from the next cycle on; 0 while a block runs.
    bus : Out(bus_layout)
        Writes of the items, one at a time; registered. They stay until the next word is taken.
    error : Out(1)
        A packet was bad. Everything is dropped until reset.

    Timing
    ------
    A word a cycle, but for ``CHECK_CYCLES`` after a packet's address, which ``error`` follows.
    """

    CHECK_CYCLES = 3

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
        word, bus = self.words.payload, self.bus
        most = max(self.words_of.values())
        left = Signal(20, reset_less=True)  # items
        end = Signal(21, reset_less=True)  # of the items' addresses
        far, empty, wrong, over, last_item, last_word = (
            Signal(name=name, reset_less=True)
            for name in ("far", "empty", "wrong", "over", "last_item", "last_word")
        )
        place = Signal(most, reset_less=True)  # one bit: the word of the item that comes
        last_place = Signal(most)  # one bit: an item's last word
        depth = Signal(21, reset_less=True)
        per_column = Signal()
        with m.Switch(bus.target):
            for kind in Target:
                with m.Case(kind):
                    m.d.sync += depth.eq(self._depth(kind))
                    m.d.comb += [
                        last_place.eq(1 << self.words_of[kind] - 1),
                        per_column.eq(kind == Target.WEIGHT),
                    ]
            with m.Default():  # nothing fits
                m.d.sync += depth.eq(0)

        # What of the bus is not valid serves as the place where a packet is put together. States
        # are registers, and so is ``ready``, which takes for granted that the address comes.
        header, addressed, items = (
            Signal(name=name, init=name == "header") for name in ("header", "addressed", "items")
        )
        checks = [Signal(name=f"check_{cycle}") for cycle in range(self.CHECK_CYCLES)]
        take = Signal()
        further = Signal()  # an item of the packet came before
        m.d.comb += take.eq(self.words.valid & self.words.ready)
        m.d.sync += [
            self.words.ready.eq(
                self.enable & ~(self.words.ready & addressed) & ~Cat(checks[:-1]).any()
            ),
            bus.valid.eq(take & items & last_word),
            checks[0].eq(take & addressed),
            *(now.eq(before) for before, now in pairwise(checks)),
            end.eq(bus.address + left),
            empty.eq(left == 0),
            wrong.eq(far | (per_column & (bus.column >= self.geometry.columns))),
            over.eq(end > depth),
        ]
        with m.If(take & header):
            m.d.sync += [
                bus.target.eq(word[28:]),
                bus.column.eq(word[20:28]),
                left.eq(word[:20]),
                header.eq(0),
                addressed.eq(1),
            ]
        with m.If(addressed):
            m.d.sync += [last_item.eq(left == 1), last_word.eq(last_place[0]), place.eq(1)]
        with m.If(take & addressed):
            m.d.sync += [
                bus.address.eq(word),
                far.eq(word[20:].any()),
                addressed.eq(0),
                further.eq(0),
            ]
        fits = ~(empty | wrong | over)
        with m.If(checks[-1]):
            m.d.sync += [items.eq(fits), self.error.eq(~fits)]
        with m.If(take & items & place[0] & further):
            m.d.sync += bus.address.eq(bus.address + 1)
        with m.If(take & items):
            m.d.sync += further.eq(1)
            for index in range(most):
                with m.If(place[index]):
                    m.d.sync += bus.data.word_select(index, 32).eq(word)
            m.d.sync += [
                place.eq(place.rotate_left(1)),
                last_word.eq((place.rotate_left(1) & last_place).any()),
            ]
        with m.If(take & items & last_word):
            m.d.sync += [
                place.eq(1),
                last_word.eq(last_place[0]),
                left.eq(left - 1),
                last_item.eq(left == 2),
                items.eq(~last_item),
                header.eq(last_item),
            ]
        return m
