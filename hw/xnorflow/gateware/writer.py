# SPDX-License-Identifier: Apache-2.0
"""Spreads the lanes of some channel words over the banks."""

from amaranth import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import write_layout
from xnorflow.gateware.modulo import next_modulo

__all__ = ["LaneWriter"]


class LaneWriter(wiring.Component):
    """Writes up to ``streams`` lanes of ``write_words`` words in one cycle.

    Word i, lane l goes to bank column ``(column + i) mod taps``, bank row ``(row + (word_column +
    i) // taps + l) mod streams``, address ``address + i * word_stride + l * lane_stride``.

    Members
    -------
    active : In(1)
        Write what the other inputs describe.
    phase : In
        Lanes ``phase * streams`` and on, as many as there are bank rows.
    words : In
        Bit-planes, lane by lane and pixel stream by pixel stream, of each word.
    exists : In(write_words)
        The word is to be written.
    enable : In
        Granules to write.
    clear : In
        Granules to write as 0, whatever ``words`` says.
    lane_last, lane_stride, word_stride : In
    address, row, column, word_column : In
        Where word 0, lane 0 goes.
    writes : Out(write_layout), one a bank
        Registered, but for the address's last addition. All banks that take the same bits share
        one register.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.phases = -(-geometry.max_lanes // geometry.streams)
        address = ceil_log2(geometry.activation_depth)
        granules = geometry.word_width // geometry.granule
        word = data.ArrayLayout(
            data.ArrayLayout(geometry.word_width, geometry.pixels), geometry.max_lanes
        )
        super().__init__(
            {
                "active": In(1),
                "phase": In(bits_for(self.phases - 1)),
                "words": In(data.ArrayLayout(word, geometry.write_words)),
                "exists": In(geometry.write_words),
                "enable": In(granules),
                "clear": In(granules),
                "lane_last": In(2),
                "lane_stride": In(address),
                "word_stride": In(address),
                "address": In(address),
                "row": In(ceil_log2(geometry.streams)),
                "column": In(ceil_log2(geometry.taps)),
                "word_column": In(ceil_log2(geometry.taps)),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        streams, taps = geometry.streams, geometry.taps
        one_lane, one_word = geometry.max_lanes == 1, geometry.write_words == 1
        shared: dict[tuple[int, int], tuple[Signal, Signal, Signal]] = {}
        for bank_column in range(taps):
            word, hit, row = self._word(m, bank_column)
            for bank_row in range(streams):
                lane = self._lane(m, bank_row, bank_column, row)
                write = self.writes[bank_row * taps + bank_column]
                enabled = Signal(name=f"enabled_{bank_row}_{bank_column}")
                m.d.comb += enabled.eq(self.active & hit & (lane <= self.lane_last))
                key = (0 if one_lane else bank_row, 0 if one_word else bank_column)
                if key not in shared:
                    shared[key] = self._register(m, key, word, lane)
                address, offset, bits = shared[key]
                m.d.comb += [write.address.eq(address + offset), write.data.eq(bits)]
                enable = Signal(len(self.enable), name=f"enable_{bank_row}_{bank_column}")
                m.d.sync += enable.eq(Mux(enabled, self.enable, 0))
                m.d.comb += [write.enable[pixel].eq(enable) for pixel in range(geometry.pixels)]
        return m

    def _word(self, m: Module, bank_column: int) -> tuple[Value, Value, Value]:
        """Which word a bank column takes, whether it takes one, and the bank row of its lane 0."""
        geometry = self.geometry
        taps, count = geometry.taps, geometry.write_words
        if count == 1:
            return Const(0, 1), (self.column == bank_column) & self.exists[0], self.row
        index = [(bank_column - column) % taps for column in range(taps)]
        word = Signal(range(count), name=f"word_{bank_column}")
        hit = Signal(name=f"hit_{bank_column}")
        row = Signal(range(geometry.streams), name=f"row_{bank_column}")
        m.d.comb += [
            word.eq(Array(min(i, count - 1) for i in index)[self.column]),
            hit.eq(Array(self.exists[i] if i < count else 0 for i in index)[self.column]),
            row.eq(self.row),
        ]
        with m.If(self.word_column + word >= taps):
            m.d.comb += row.eq(next_modulo(self.row, geometry.streams))
        return word, hit, row

    def _lane(self, m: Module, bank_row: int, bank_column: int, row: Value) -> Signal:
        """Which lane a bank takes; one that does not exist is higher than all others."""
        streams = self.geometry.streams
        lane = Signal(4, name=f"lane_{bank_row}_{bank_column}")
        first = Array((bank_row - at) % streams for at in range(streams))[row]
        m.d.comb += lane.eq(first + self.phase * streams if self.phases > 1 else first)
        return lane

    def _register(
        self, m: Module, key: tuple[int, int], word: Value, lane: Signal
    ) -> tuple[Signal, Signal, Signal]:
        """Registers of the address, what is added to it, and the bits that these banks take."""
        geometry = self.geometry
        lanes, granule = geometry.max_lanes, geometry.granule
        name = f"{key[0]}_{key[1]}"
        address = Signal(len(self.address), name=f"address_{name}", reset_less=True)
        bits = Signal(self.words[0][0].shape(), name=f"bits_{name}", reset_less=True)
        offset = Signal(len(self.address), name=f"offset_{name}", reset_less=True)
        chosen = Signal(range(lanes), name=f"chosen_{name}")
        m.d.comb += chosen.eq(Mux(lane < lanes, lane, lanes - 1))
        places = Array(
            Array(i * self.word_stride + at * self.lane_stride for at in range(lanes))
            for i in range(len(self.words))
        )
        planes = Array(Array(plane.as_value() for plane in planes) for planes in self.words)
        m.d.sync += [
            address.eq(self.address),
            offset.eq(places[word][chosen]),
            bits.eq(planes[word][chosen]),
        ]
        for at in range(len(self.clear)):
            with m.If(self.clear[at]):
                m.d.sync += [
                    bits[pixel].bit_select(at * granule, granule).eq(0)
                    for pixel in range(geometry.pixels)
                ]
        return address, offset, bits
