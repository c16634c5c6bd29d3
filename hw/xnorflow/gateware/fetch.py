# SPDX-License-Identifier: Apache-2.0
"""The fetch unit turns a beat into the rows' words."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import PIXEL_BITS, PIXEL_CHANNELS, Geometry
from xnorflow.gateware.banks import window_layout
from xnorflow.gateware.layouts import beat_layout, pass_layout
from xnorflow.gateware.selector import Selector
from xnorflow.gateware.target import device_family

__all__ = ["Fetch"]

SLICE_BITS = 16
"""Bits of a word that have controls of their own: what they select lies all over the chip."""


class WindowSlice(wiring.Component):
    """Some bits of a window, from banks to rows.

    Members
    -------
    read : In
        Those bits of each bank.
    of_line, of_word : In
        Controls: of a line's bank row, two cycles after ``read``; of a row's bank column, three.
    border : In
        Those bits of a border word, with ``of_word``.
    placed : Out
        Those bits of each row's word, three cycles after ``read``.
    """

    def __init__(self, geometry: Geometry, family: str, width: int) -> None:
        self.geometry = geometry
        self.lines = Selector(family, geometry.streams)
        self.words = Selector(family, geometry.taps + 1)
        window = data.ArrayLayout(width, geometry.rows)
        super().__init__(
            {
                "read": In(window),
                "of_line": In(data.ArrayLayout(self.lines.width, geometry.streams)),
                "of_word": In(data.ArrayLayout(self.words.width, geometry.rows)),
                "border": In(width),
                "placed": Out(window),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams, taps, rows = self.geometry.streams, self.geometry.taps, self.geometry.rows

        def register(name: str, source: Value) -> Value:
            held = Signal(source.shape(), name=name, reset_less=True)
            m.d.sync += held.eq(source)
            return held

        of_line = [register(f"of_line_{i}", self.of_line[i]) for i in range(streams)]
        of_word = [register(f"of_word_{r}", self.of_word[r]) for r in range(rows)]
        border = register("border_bits", self.border)
        read = [register(f"read_{r}", self.read[r]) for r in range(rows)]
        turned = []
        for r in range(rows):
            i, c = divmod(r, taps)
            of_column = [read[b * taps + c] for b in range(streams)]
            turned.append(register(f"turned_{r}", self.lines.select(of_column, of_line[i])))
        for r in range(rows):
            line = turned[r // taps * taps : (r // taps + 1) * taps]
            chosen = self.words.select([*line, border], of_word[r])
            m.d.comb += self.placed[r].eq(register(f"placed_{r}", chosen))
        return m


def planes_of_rows(geometry: Geometry) -> list[list[int | None]]:
    """For each row and group of planes: the bit of a pixel that it holds, if any."""
    count = geometry.planes_per_pass
    if not count:
        return [[] for _ in range(geometry.rows)]
    groups = -(-PIXEL_BITS // count)
    table: list[list[int | None]] = []
    for r in range(geometry.rows):
        bits = [(groups - 1 - group) * count + count - 1 - r for group in range(groups)]
        table.append([bit if r < count and bit < PIXEL_BITS else None for bit in bits])
    return table


class RowWord(wiring.Component):
    """A row's word: as it was placed, or the window's bits of the row's plane.

    Members
    -------
    placed : In
        The words of all rows.
    planes, lane : In
        Whether it is a plane, and of which group; a cycle before ``placed``.
    word : Out
        A cycle after ``placed``.
    """

    def __init__(self, geometry: Geometry, row: int) -> None:
        self.row = row
        self.bits = planes_of_rows(geometry)[row]
        width = geometry.word_width
        super().__init__(
            {
                "placed": In(data.ArrayLayout(width, geometry.rows)),
                "planes": In(1),
                "lane": In(3),
                "word": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        own = self.placed[self.row]
        word = Signal(len(own), reset_less=True)
        m.d.comb += self.word.eq(word)
        if all(bit is None for bit in self.bits):
            m.d.sync += word.eq(own)
            return m
        planes, lane = Signal(), Signal(len(self.lane))
        m.d.sync += [planes.eq(self.planes), lane.eq(self.lane)]
        choices = [
            Cat(
                source[channel * PIXEL_BITS + (bit or 0)]
                for source in self.placed
                for channel in range(PIXEL_CHANNELS)
            )
            for bit in self.bits
        ]
        gathered = Array(choices)[lane] if len(choices) > 1 else choices[0]
        size = len(choices[0])
        m.d.sync += word.eq(Cat(Mux(planes, gathered, own[:size]), own[size:]))
        with m.If(planes):
            m.d.sync += word[size:].eq(0)
        return m


class Fetch(wiring.Component):
    """Reads the window of a position and puts border values where the map ends.

    A word outside the map is masked, unless the layer's border has a code: then all its bits are
    the code's bit of this lane. In planes, row r gets the window's bits of one plane, channel by
    channel: bit (word * 3 + channel).

    Members
    -------
    beat : In(beat_layout)
    window : In(pass_layout)
        The pass's.
    addresses, bank_words : Out, In
        To and from :class:`ActivationBanks`.
    words, masks : Out
        The rows' words and whether they count, ``latency_cycles`` after their beat.
    real, filled : Out(rows)
        For each row: its word counts; it is outside the map with all bits 1. ``COUNT_CYCLES``
        after the beat.
    """

    latency_cycles = 7
    COUNT_CYCLES = 1

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "beat": In(beat_layout(geometry)),
                "window": In(pass_layout(geometry)),
                "addresses": Out(data.ArrayLayout(address, geometry.banks)),
                "bank_words": In(window_layout(geometry)),
                "words": Out(window_layout(geometry)),
                "masks": Out(geometry.rows),
                "real": Out(geometry.rows),
                "filled": Out(geometry.rows),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, window, beat = self.geometry, self.window, self.beat
        streams, taps, rows = geometry.streams, geometry.taps, geometry.rows

        # Cycle 1: bank addresses, and what each word of the window is.
        state = data.StructLayout(
            {
                "valid": 1,
                "row": beat.row.shape(),
                "column": beat.column.shape(),
                "inside": rows,
                "filled": rows,
                "masks": rows,
                "planes": 1,
                "lane": 3,
            }
        )
        first = Signal(state)
        fill = Signal()
        m.d.comb += fill.eq(window.border & window.fill.bit_select(beat.lane, 1))
        m.d.sync += [
            self.addresses[b * taps + c].eq(beat.lines[b] + beat.slots[c])
            for b in range(streams)
            for c in range(taps)
        ]
        outside = Signal(rows)
        m.d.comb += outside.eq(window.active & ~beat.inside)
        m.d.sync += [
            first.valid.eq(beat.valid),
            first.row.eq(beat.row),
            first.column.eq(beat.column),
            first.inside.eq(beat.inside & window.active),
            first.filled.eq(
                Mux(window.planes, outside, outside & fill.replicate(rows))
                & beat.valid.replicate(rows)
            ),
            first.masks.eq(
                window.active
                & (beat.inside | window.border.replicate(rows))
                & beat.valid.replicate(rows)
            ),
            first.planes.eq(window.planes),
            first.lane.eq(beat.lane),
        ]
        # A border word: all ones or, where words hold pixels, the border code in each channel.
        pixel_bits = PIXEL_CHANNELS * PIXEL_BITS
        pattern = Signal(min(pixel_bits, geometry.word_width))
        code = Cat(reversed(window.fill))
        held = Signal(PIXEL_CHANNELS)  # channels that the words have
        codes = Cat(Mux(bit, code, 0) for bit in held)
        m.d.sync += [
            held.eq(Cat(window.tail > c for c in range(PIXEL_CHANNELS))),
            pattern.eq(Mux(window.planes, codes, ~0)),
        ]
        m.d.comb += [self.real.eq(first.masks), self.filled.eq(first.filled)]
        states = [first]
        for cycle in range(2, 8):
            later = Signal(state, name=f"state_{cycle}")
            m.d.sync += later.eq(states[-1])
            states.append(later)
        _, at_2, at_3, at_4, at_5, at_6, _ = states

        # Cycles 2 and 3 read, cycle 4 brings the words here. Cycle 5: bank rows to lines. Cycle 6:
        # bank columns to words, where a word outside the map is the border's or none.
        family = device_family(platform)
        lines, words = Selector(family, streams), Selector(family, taps + 1)
        of_line = Signal(data.ArrayLayout(lines.width, streams), reset_less=True)
        of_word = Signal(data.ArrayLayout(words.width, rows), reset_less=True)
        for i in range(streams):
            turns = Array((i + row) % streams for row in range(streams))
            m.d.sync += of_line[i].eq(lines.controls(turns[at_2.row]))
        for r in range(rows):
            turns = Array((r + column) % taps for column in range(taps))
            outside = Mux(at_3.filled[r], taps, words.none)
            source = Mux(at_3.inside[r], turns[at_3.column], outside)
            m.d.sync += of_word[r].eq(words.controls(source))
        beyond = (~at_4.planes).replicate(max(geometry.word_width - len(pattern), 0))
        border = Cat(pattern, beyond)
        for pixel in range(geometry.pixels):
            placed = Signal(data.ArrayLayout(geometry.word_width, rows), name=f"placed_{pixel}")
            for low in range(0, geometry.word_width, SLICE_BITS):
                bits = slice(low, min(low + SLICE_BITS, geometry.word_width))
                part = WindowSlice(geometry, family, bits.stop - low)
                m.submodules[f"slice_{pixel}_{low}"] = part
                m.d.comb += [
                    part.of_line.eq(of_line),
                    part.of_word.eq(of_word),
                    part.border.eq(border[bits]),
                ]
                for r in range(rows):
                    m.d.comb += [
                        part.read[r].eq(self.bank_words[pixel][r][bits]),
                        placed[r][bits].eq(part.placed[r]),
                    ]
            # Cycle 7: words, or planes.
            for r in range(rows):
                m.submodules[f"word_{pixel}_{r}"] = word = RowWord(geometry, r)
                m.d.comb += [
                    word.placed.eq(placed),
                    word.planes.eq(at_5.planes),
                    word.lane.eq(at_5.lane),
                    self.words[pixel][r].eq(word.word),
                ]

        # The masks go with the words.
        planes = Signal(rows)
        for r, exponents in enumerate(planes_of_rows(geometry)):
            real = Array(0 if e is None else 1 for e in exponents)[at_6.lane] if exponents else 0
            m.d.comb += planes[r].eq(at_6.valid & real)
        m.d.sync += self.masks.eq(Mux(at_6.planes, planes, at_6.masks))
        return m
