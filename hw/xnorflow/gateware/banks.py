# SPDX-License-Identifier: Apache-2.0
"""Activation banks, and the fetch unit that turns addresses into the streams' words.

A map's row y, channel word c, lane l lies in bank (y + c + l) mod streams. So a kernel's lines,
a position's words and a word's lanes are each in different banks, and never collide.
"""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import beat_layout, write_layout

__all__ = ["ActivationBanks", "Fetch", "rotate"]


def rotate(values: list, rotation: Signal, *, back: bool = False) -> list:
    """``values[(i + rotation) % len(values)]`` for each i; with ``back``, ``i - rotation``.

    ``rotation`` must be below ``len(values)``.
    """
    count = len(values)
    step = -1 if back else 1
    return [
        Array(values[(index + step * by) % count] for by in range(count))[rotation]
        for index in range(count)
    ]


class ActivationBanks(wiring.Component):
    """``streams`` memories with one read and one write a cycle each.

    Members
    -------
    addresses : In
        Read address of each bank.
    words : Out
        What each bank read, one cycle later.
    writes : In(write_layout), one a bank
        Words to write; ``enable`` has a bit for each granule of channels.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        streams = geometry.streams
        super().__init__(
            {
                "addresses": In(data.ArrayLayout(ceil_log2(geometry.activation_depth), streams)),
                "words": Out(data.ArrayLayout(geometry.word_width, streams)),
                "writes": In(data.ArrayLayout(write_layout(geometry), streams)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bank in range(self.geometry.streams):
            m.submodules[f"bank_{bank}"] = memory = Memory(
                shape=self.geometry.word_width, depth=self.geometry.activation_depth, init=[]
            )
            write = memory.write_port(granularity=self.geometry.granule)
            read = memory.read_port()
            m.d.comb += [
                write.en.eq(self.writes[bank].enable),
                write.addr.eq(self.writes[bank].address),
                write.data.eq(self.writes[bank].data),
                read.en.eq(1),
                read.addr.eq(self.addresses[bank]),
                self.words[bank].eq(read.data),
            ]
        return m


class Fetch(wiring.Component):
    """Reads one word a stream and puts border values where the map ends.

    A position outside the map is masked, unless the layer's border has a code: then every real
    channel holds the code's bit of this lane.

    Members
    -------
    beat : In(beat_layout)
        Addresses and masks of all streams.
    tail : In(7)
        Channels in a position's last word; constant in a layer.
    addresses, bank_words : Out, In
        To and from :class:`ActivationBanks`.
    words, masks : Out
        The streams' words, ``latency_cycles`` after their beat.
    """

    latency_cycles = 2

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        streams = geometry.streams
        words = data.ArrayLayout(geometry.word_width, streams)
        super().__init__(
            {
                "beat": In(beat_layout(geometry)),
                "tail": In(7),
                "addresses": Out(data.ArrayLayout(ceil_log2(geometry.activation_depth), streams)),
                "bank_words": In(words),
                "words": Out(words),
                "masks": Out(streams),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        streams = range(geometry.streams)

        # Cycle 1: bank b serves stream (b - rotation) mod streams.
        by_bank = rotate([self.beat.addresses[s] for s in streams], self.beat.rotation, back=True)
        m.d.comb += [self.addresses[bank].eq(by_bank[bank]) for bank in streams]
        beat = Signal(beat_layout(geometry))
        m.d.sync += beat.eq(self.beat)

        # Cycle 2: back to streams; fill the border.
        real = Signal(geometry.word_width)
        m.d.sync += real.eq((1 << self.tail) - 1)
        by_stream = rotate([self.bank_words[b] for b in streams], beat.rotation)
        for stream in streams:
            channels = Mux(beat.tails[stream], real, (1 << geometry.word_width) - 1)
            border = Mux(beat.fill, channels, 0)
            m.d.sync += [
                self.words[stream].eq(Mux(beat.inside[stream], by_stream[stream], border)),
                self.masks[stream].eq(beat.mask[stream]),
            ]
        return m
