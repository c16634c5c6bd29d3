# SPDX-License-Identifier: Apache-2.0
"""Activation banks, and the fetch unit that turns a beat into the rows' words.

A map's position (y, x), channel word w, lane l lies in bank row (y + w // taps + l) mod streams and
bank column (x + w) mod taps. So a window of kernel lines and columns, or of channel words, or the
lanes of one word, are each in different banks, and never collide.
"""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import PIXEL_BITS, PIXEL_CHANNELS, Geometry
from xnorflow.gateware.layouts import beat_layout, pass_layout, write_layout
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.selector import Selector
from xnorflow.gateware.target import family_of

__all__ = ["ActivationBanks", "Fetch", "rotate", "window_layout"]


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

        def word_registers(name: str) -> list[Signal]:
            shape = geometry.word_width
            return [Signal(shape, name=f"{name}_{r}", reset_less=True) for r in range(rows)]

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
        codes = Cat(Mux(window.tail > c, code, 0) for c in range(PIXEL_CHANNELS))
        m.d.sync += pattern.eq(Mux(window.planes, codes, ~0))
        m.d.comb += [self.real.eq(first.masks), self.filled.eq(first.filled)]
        states = [first]
        for cycle in range(2, 8):
            later = Signal(state, name=f"state_{cycle}")
            m.d.sync += later.eq(states[-1])
            states.append(later)
        _, _, at_3, at_4, at_5, at_6, _ = states

        # Cycles 2 and 3 read, cycle 4 brings the words here. Cycle 5: bank rows to lines. Cycle 6:
        # bank columns to words, where a word outside the map is the border's or none.
        family = family_of(platform)
        lines, words = Selector(family, streams), Selector(family, taps + 1)
        of_line, of_word = (
            [Signal(kind.width, name=f"{name}_{at}", reset_less=True) for at in range(count)]
            for name, kind, count in (("of_line", lines, streams), ("of_word", words, rows))
        )
        for i in range(streams):
            turns = Array((i + row) % streams for row in range(streams))
            m.d.sync += of_line[i].eq(lines.controls(turns[at_3.row]))
        for r in range(rows):
            turns = Array((r + column) % taps for column in range(taps))
            outside = Mux(at_4.filled[r], taps, words.none)
            source = Mux(at_4.inside[r], turns[at_4.column], outside)
            m.d.sync += of_word[r].eq(words.controls(source))
        beyond = (~at_5.planes).replicate(max(geometry.word_width - len(pattern), 0))
        border = Cat(pattern, beyond)
        for pixel in range(geometry.pixels):
            read = word_registers(f"read_{pixel}")
            turned = word_registers(f"turned_{pixel}")
            placed = word_registers(f"placed_{pixel}")
            for r in range(rows):
                m.d.sync += read[r].eq(self.bank_words[pixel][r])
                i, c = divmod(r, taps)
                of_column = [read[b * taps + c] for b in range(streams)]
                line = turned[i * taps : (i + 1) * taps]
                m.d.sync += [
                    turned[r].eq(lines.select(of_column, of_line[i])),
                    placed[r].eq(words.select([*line, border], of_word[r])),
                ]
            self._planes(m, pixel, placed, at_6)

        # Cycle 7: the masks go with the words.
        planes = Signal(rows)
        groups = self._planes_of_rows()
        for r, exponents in enumerate(groups):
            real = Array(0 if e is None else 1 for e in exponents)[at_6.lane] if exponents else 0
            m.d.comb += planes[r].eq(at_6.valid & real)
        m.d.sync += self.masks.eq(Mux(at_6.planes, planes, at_6.masks))
        return m

    def _planes_of_rows(self) -> list[list[int | None]]:
        """For each row and group of planes: the bit of a pixel that it holds, if any."""
        count = self.geometry.planes_per_pass
        if not count:
            return [[] for _ in range(self.geometry.rows)]
        groups = -(-PIXEL_BITS // count)
        table: list[list[int | None]] = []
        for r in range(self.geometry.rows):
            bits = [(groups - 1 - group) * count + count - 1 - r for group in range(groups)]
            table.append([bit if r < count and bit < PIXEL_BITS else None for bit in bits])
        return table

    def _planes(self, m: Module, pixel: int, placed: list[Signal], at_6: Signal) -> None:
        """Cycle 7: words, or the window's bits of each row's plane."""
        geometry = self.geometry
        for r, bits in enumerate(self._planes_of_rows()):
            word = self.words[pixel][r]
            if not bits or all(bit is None for bit in bits):
                m.d.sync += word.eq(placed[r])
                continue
            choices = []
            for bit in bits:
                at = 0 if bit is None else bit
                choices.append(
                    Cat(
                        source[channel * PIXEL_BITS + at]
                        for source in placed
                        for channel in range(PIXEL_CHANNELS)
                    )
                )
            gathered = Array(choices)[at_6.lane] if len(choices) > 1 else choices[0]
            size = geometry.rows * PIXEL_CHANNELS
            m.d.sync += word.eq(Cat(Mux(at_6.planes, gathered, placed[r][:size]), placed[r][size:]))
            with m.If(at_6.planes):
                m.d.sync += word[size:].eq(0)
