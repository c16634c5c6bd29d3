# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator's input: the highest bit of each byte, gathered into codes."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import PIXEL_BITS, Geometry
from xnorflow.gateware.layouts import row_layout

__all__ = ["FlatReceiver"]


class FlatReceiver(wiring.Component):
    """Takes an image's bytes and hands them on as granules of codes.

    Members
    -------
    enable : In(1)
        Bytes are taken.
    row : In(row_layout)
        The program's first row.
    pixels : In(stream)
    ends_granule, ends_word, ends_image : Out(1)
        The byte that was taken in the cycle before is the last one of those. After a word two
        cycles pass before a byte is taken.
    starved : Out(1)
        A byte could be taken, and none is there.
    write, codes : Out
        In the next cycle: a granule, its first channel in the lowest bit.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "enable": In(1),
                "row": In(row_layout(geometry)),
                "pixels": In(stream.Signature(PIXEL_BITS)),
                "ends_granule": Out(1),
                "ends_word": Out(1),
                "ends_image": Out(1),
                "starved": Out(1),
                "write": Out(1),
                "codes": Out(geometry.columns),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        count = geometry.columns
        channel = Signal(ceil_log2(geometry.word_width))  # in its word
        place = Signal(count, init=1)  # in its granule; one bit
        word = Signal(len(row.word_last))
        # Of the byte that comes: its channel is the tail's last one, a full word's last one.
        at_tail, at_end = Signal(), Signal()
        last_word, next_last = Signal(), Signal()  # the word is the last one; the one after it is
        before_tail, single, alone = Signal(len(channel)), Signal(), Signal()
        ready, take, ends, ends_word = (
            Signal(name=name) for name in ("ready", "take", "ends", "ends_word")
        )
        gathered = Signal(count, reset_less=True)
        m.d.sync += [
            before_tail.eq(row.tail - 2),
            single.eq(row.tail == 1),
            alone.eq(row.word_last == 0),
            next_last.eq(word + 1 == row.word_last),
        ]
        m.d.comb += [
            self.pixels.ready.eq(ready),
            self.starved.eq(ready & ~self.pixels.valid),
            take.eq(self.pixels.valid & ready),
            ends_word.eq(take & (ends | at_end)),
            ends.eq(last_word & at_tail),
        ]
        m.d.sync += [
            self.ends_image.eq(take & ends),
            self.ends_word.eq(ends_word),
            ready.eq(self.enable & ~ends_word & ~self.ends_word),
            self.ends_granule.eq(take & (ends | place[-1])),
            self.write.eq(self.ends_granule),
            self.codes.eq(gathered),
        ]
        bit = self.pixels.payload[-1]
        with m.If(take):
            m.d.sync += [channel.eq(channel + 1), place.eq(place.rotate_left(1))]
            for at in range(count):
                with m.If(place[at]):
                    m.d.sync += [
                        gathered[at].eq(bit),
                        *([gathered[1:].eq(0)] if at == 0 else []),
                    ]
        with m.If(take):
            m.d.sync += [
                at_tail.eq(channel == before_tail),
                at_end.eq(channel == geometry.word_width - 2),
            ]
        with m.If(self.ends_word | ~self.enable):
            m.d.sync += [channel.eq(0), place.eq(1), at_tail.eq(single), at_end.eq(0)]
        with m.If(self.ends_word):
            m.d.sync += [word.eq(word + 1), last_word.eq(next_last)]
        with m.If(self.ends_image | ~self.enable):
            m.d.sync += [word.eq(0), last_word.eq(alone)]
        return m
