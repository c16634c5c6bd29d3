# SPDX-License-Identifier: Apache-2.0
"""The packer: a tile's codes become bits of one or more activation words."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import row_layout, write_layout
from xnorflow.gateware.modulo import add_modulo
from xnorflow.gateware.outwalk import place_layout
from xnorflow.gateware.writer import LaneWriter

__all__ = ["Packer"]


class Packer(wiring.Component):
    """Writes a result, ``write_words`` channel words at once, up to ``streams`` lanes at once.

    Of the tile's first word it writes the granules from the tile on, of further words all, and
    writes 0 beyond the tile: tiles come in rising order, so a map's unused channels end up 0.

    Where tiles are whole words, or lie whole in one, each bit has its place: in every part of the
    word at once, and the enables choose. Else a shifter puts the tile at its place.

    Members
    -------
    coming : In(1)
        A result comes in the next cycle; at the earliest when ``done``.
    codes : In
        Its codes, which stay while they are written.
    row : In(row_layout)
    place : In(place_layout)
        Where they go; stays too.
    active : Out(1)
        A result is there; ``writes`` writes in the next cycle. A register.
    done : Out(1)
        This is the last cycle that needs them: the next result may come.
    writes : Out(write_layout), one a bank
        Registered.

    Timing
    ------
    A result takes ``ceil(words touched / write_words) * ceil(lanes / streams)`` cycles, the
    first one that after ``coming``.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        width, columns = geometry.word_width, geometry.columns
        touched = -(-(columns + width - geometry.granule) // width)  # words that a tile can touch
        self.spans = -(-touched // geometry.write_words)
        super().__init__(
            {
                "codes": In(data.ArrayLayout(geometry.max_lanes, columns * geometry.pixels)),
                "coming": In(1),
                "row": In(row_layout(geometry)),
                "place": In(place_layout(geometry)),
                "active": Out(1),
                "done": Out(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row, place = self.geometry, self.row, self.place
        columns, words = geometry.columns, geometry.write_words
        m.submodules.writer = writer = LaneWriter(geometry)

        # Lanes, then words.
        span = Signal(range(self.spans))
        phase = Signal(range(writer.phases))
        active, last_phase, last_span = self.active, Signal(), Signal()
        left = Signal(len(place.word))  # words that follow the tile's first one in the map
        ends = (span + 1) * geometry.word_width >= place.granule * geometry.granule + columns
        m.d.comb += [
            left.eq(row.out_word_last - place.word),
            last_phase.eq((phase + 1) * geometry.streams > row.out_lane_last),
            last_span.eq((span == left) | ends if self.spans > 1 else 1),
            self.done.eq(active & last_phase & last_span),
        ]
        m.d.sync += active.eq(self.coming | (active & ~self.done))
        with m.If(active):
            m.d.sync += phase.eq(Mux(last_phase, 0, phase + 1))
            with m.If(last_phase):
                m.d.sync += span.eq(Mux(last_span, 0, span + 1))

        self._bits(m, writer, span)
        m.d.comb += [
            writer.active.eq(active),
            writer.phase.eq(phase),
            writer.exists.eq(Cat(i <= left for i in range(words)) if words > 1 else 1),
            writer.lane_last.eq(row.out_lane_last),
            writer.lane_stride.eq(row.out_lane_stride),
            writer.word_stride.eq(row.out_word_stride),
            self.writes.eq(writer.writes),
        ]
        with m.Switch(span):
            for s in range(self.spans):
                with m.Case(s):
                    self._span(m, writer, s)
        return m

    def _span(self, m: Module, writer: LaneWriter, span: int) -> None:
        """Where the ``span``-th words of the tile go."""
        geometry, place = self.geometry, self.place
        streams, taps = geometry.streams, geometry.taps
        further = span * geometry.write_words
        across, down = further % taps, further // taps
        m.d.comb += [
            writer.address.eq(place.address + further * self.row.out_word_stride),
            writer.column.eq(add_modulo(place.column, across, taps)),
            writer.word_column.eq(add_modulo(place.word_column, across, taps)),
            writer.row.eq(
                Mux(
                    place.word_column + across >= taps,
                    add_modulo(place.row, (down + 1) % streams, streams),
                    add_modulo(place.row, down % streams, streams),
                )
            ),
        ]

    def _bits(self, m: Module, writer: LaneWriter, span: Signal) -> None:
        """The tile's bits at their place: lane 0 is a code's highest bit."""
        geometry = self.geometry
        width, columns, lanes = geometry.word_width, geometry.columns, geometry.max_lanes
        pixels, granule = geometry.pixels, geometry.granule
        granules = range(width // granule)
        at = self.place.granule
        whole = columns % width == 0
        single = width % columns == 0
        for lane in range(lanes):
            for pixel in range(pixels):
                bits = Cat(
                    self.codes[column * pixels + pixel][lanes - 1 - lane]
                    for column in range(columns)
                )
                if single:
                    placed = bits.replicate(width // columns)
                elif whole:
                    placed = bits
                else:
                    placed = Signal(self.spans * width, name=f"placed_{lane}_{pixel}")
                    with m.Switch(at):
                        for start in granules:
                            with m.Case(start):
                                m.d.comb += placed.eq(bits << start * granule)
                for i in range(geometry.write_words):
                    word = placed.word_select(span * geometry.write_words + i, width)
                    m.d.comb += writer.words[i][lane][pixel].eq(word)
        m.d.comb += [writer.enable[g].eq((span != 0) | (at <= g)) for g in granules]
        if single:
            m.d.comb += [writer.clear[g].eq(at < g) for g in granules]
