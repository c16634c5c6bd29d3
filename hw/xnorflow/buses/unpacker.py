# SPDX-License-Identifier: Apache-2.0
"""Words of four bytes to the device's byte stream of pixels."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BYTES", "ByteUnpacker", "word_layout"]

BYTES = 4
"""Of a word."""

word_layout = data.StructLayout({"data": 8 * BYTES, "keep": BYTES})
"""A word, and which of its bytes count (bit 0: the lowest byte, which goes first)."""


class ByteUnpacker(wiring.Component):
    """The kept bytes of each word, lowest first.

    Members
    -------
    words : In(stream)
        ``word_layout``. Words of no byte are dropped.
    pixels : Out(stream)
        Bytes.

    Timing
    ------
    A byte a cycle; one that is not kept takes a cycle, unless only such bytes follow. ``ready``
    of the words depends on ``ready`` of the pixels in the same cycle.
    """

    def __init__(self) -> None:
        words, pixels = stream.Signature(word_layout), stream.Signature(8)
        super().__init__({"words": In(words), "pixels": Out(pixels)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(word_layout)
        moves = Signal()  # the lowest byte is done with
        m.d.comb += [
            self.pixels.valid.eq(held.keep[0]),
            self.pixels.payload.eq(held.data[:8]),
            moves.eq(self.pixels.ready | ~held.keep[0]),
            self.words.ready.eq(moves & ~held.keep[1:].any()),
        ]
        with m.If(self.words.ready):
            m.d.sync += held.data.eq(self.words.payload.data)
            m.d.sync += held.keep.eq(self.words.payload.keep & self.words.valid.replicate(BYTES))
        with m.Elif(moves):
            m.d.sync += [held.data.eq(held.data >> 8), held.keep.eq(held.keep >> 1)]
        return m
