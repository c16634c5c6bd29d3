# SPDX-License-Identifier: Apache-2.0
"""Activation banks.

A map's position (y, x), channel word w, lane l lies in bank row (y + w // taps + l) mod streams and
bank column (x + w) mod taps. So a window of kernel lines and columns, or of channel words, or the
lanes of one word, are each in different banks, and never collide.
"""

from amaranth import Array, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import write_layout
from xnorflow.gateware.memory import BlockMemory

__all__ = ["ActivationBanks", "rotate", "window_layout"]


def rotate(values: list, rotation: Signal, *, back: bool = False) -> list:
    """``values[(i + rotation) % len(values)]`` for each i; with ``back``, ``i - rotation``.

    ``rotation`` must be below ``len(values)``.
    """
    count = len(values)
    step = -1 if back else 1
    if count == 1:
        return list(values)
    return [
        Array(values[(index + step * by) % count] for by in range(count))[rotation]
        for index in range(count)
    ]


def window_layout(geometry: Geometry) -> data.ArrayLayout:
    """A word for each row (or bank), for each pixel stream."""
    words = data.ArrayLayout(geometry.word_width, geometry.rows)
    return data.ArrayLayout(words, geometry.pixels)


class ActivationBanks(wiring.Component):
    """``banks`` memories for each pixel stream, with one read and one write a cycle each.

    Members
    -------
    addresses : In
        Read address of each bank, the same for all pixel streams.
    words : Out(window_layout)
        What each bank read, ``BlockMemory.latency_cycles`` later.
    writes : In(write_layout), one a bank
        Words to write; ``enable`` has a bit for each granule of channels.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "addresses": In(data.ArrayLayout(address, geometry.banks)),
                "words": Out(window_layout(geometry)),
                "writes": In(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        for pixel in range(geometry.pixels):
            for bank in range(geometry.banks):
                m.submodules[f"bank_{pixel}_{bank}"] = memory = BlockMemory(
                    width=geometry.word_width,
                    depth=geometry.activation_depth,
                    granularity=geometry.granule,
                )
                m.d.comb += [
                    memory.write_enable.eq(self.writes[bank].enable[pixel]),
                    memory.write_address.eq(self.writes[bank].address),
                    memory.write_data.eq(self.writes[bank].data[pixel]),
                    memory.read_enable.eq(1),
                    memory.read_address.eq(self.addresses[bank]),
                    self.words[pixel][bank].eq(memory.read_data),
                ]
        return m
