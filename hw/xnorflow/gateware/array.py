# SPDX-License-Identifier: Apache-2.0
"""The systolic array: words move right from hop to hop, partial sums fall a row a cycle."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.element import ProcessingElement
from xnorflow.gateware.layouts import bus_layout, load_layout

__all__ = ["Column", "StreamSkew", "SystolicArray"]


class StreamSkew(wiring.Component):
    """Delays stream s by ``s * taps`` cycles, so that its words meet the sums that fall to it.

    Members
    -------
    words, masks : In
        All streams' words of one beat, and whether each counts.
    skewed_words, skewed_masks : Out
        The same; stream s is ``s * taps`` cycles late.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        words = data.ArrayLayout(geometry.word_width, geometry.streams)
        super().__init__(
            {
                "words": In(words),
                "masks": In(geometry.streams),
                "skewed_words": Out(words),
                "skewed_masks": Out(geometry.streams),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for stream in range(self.geometry.streams):
            word, mask = self.words[stream], self.masks[stream]
            for step in range(stream * self.geometry.taps):
                later = Signal(self.geometry.word_width, name=f"word_{stream}_{step}")
                later_mask = Signal(name=f"mask_{stream}_{step}")
                m.d.sync += [later.eq(word), later_mask.eq(mask)]
                word, mask = later, later_mask
            m.d.comb += [
                self.skewed_words[stream].eq(word),
                self.skewed_masks[stream].eq(mask),
            ]
        return m


class Column(wiring.Component):
    """One output channel: a weight bank and ``rows`` processing elements.

    Members
    -------
    words, masks : In
        Words of all streams as they pass this column's hop.
    load : In(load_layout)
        Beat of a weight load. The bank is read in this cycle; the weights move in the next one,
        together with the words that are one cycle later.
    bus : In(bus_layout)
        Configuration writes; this column takes those to its ``index``.
    sum : Out(sum_width)
        Mismatches of all rows.

    Timing
    ------
    ``sum`` counts the word that row 0 saw ``rows + popcount_cycles`` cycles before, and in row r
    the word of r cycles after that one.
    """

    def __init__(self, geometry: Geometry, *, index: int) -> None:
        self.geometry = geometry
        self.index = index
        super().__init__(
            {
                "words": In(data.ArrayLayout(geometry.word_width, geometry.streams)),
                "masks": In(geometry.streams),
                "load": In(load_layout(geometry)),
                "bus": In(bus_layout(geometry)),
                "sum": Out(geometry.sum_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        beat = geometry.weight_beat

        m.submodules.bank = bank = Memory(
            shape=geometry.rows * beat, depth=geometry.weight_depth, init=[]
        )
        write, read = bank.write_port(), bank.read_port()
        m.d.comb += [
            write.en.eq(
                self.bus.valid
                & (self.bus.target == Target.WEIGHT)
                & (self.bus.column == self.index)
            ),
            write.addr.eq(self.bus.address),
            write.data.eq(self.bus.data),
            read.en.eq(self.load.valid),
            read.addr.eq(self.load.address),
        ]
        shift = Signal()
        taps = Signal(geometry.taps)
        m.d.sync += shift.eq(self.load.valid)
        with m.If(self.load.valid):
            m.d.sync += taps.eq(self.load.taps)

        falling = 0
        for row in range(geometry.rows):
            stream, tap = divmod(row, geometry.taps)
            m.submodules[f"element_{row}"] = element = ProcessingElement(geometry)
            m.d.comb += [
                element.word.eq(self.words[stream]),
                element.mask.eq(self.masks[stream] & taps[tap]),
                element.load.eq(shift),
                element.weights.eq(read.data[row * beat : (row + 1) * beat]),
                element.sum_in.eq(falling),
            ]
            falling = element.sum_out
        m.d.comb += self.sum.eq(falling)
        return m


class SystolicArray(wiring.Component):
    """``columns`` columns in hops of ``columns_per_hop`` that share one copy of the words.

    Members
    -------
    words, masks : In
        Skewed words of one beat (:class:`StreamSkew`).
    load : In(load_layout)
        Beat of a weight load, one cycle ahead of the words.
    bus : In(bus_layout)
        Configuration writes.
    sums : Out
        Mismatches, one a column.

    Timing
    ------
    Column c is ``c // columns_per_hop`` cycles behind column 0, whose sum comes
    ``latency_cycles`` after row 0's word.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "words": In(data.ArrayLayout(geometry.word_width, geometry.streams)),
                "masks": In(geometry.streams),
                "load": In(load_layout(geometry)),
                "bus": In(bus_layout(geometry)),
                "sums": Out(data.ArrayLayout(geometry.sum_width, geometry.columns)),
            }
        )

    @staticmethod
    def cycles(geometry: Geometry) -> int:
        """Cycles from a beat's words at row 0 to column 0's sum."""
        return geometry.rows + ProcessingElement.popcount_cycles(geometry)

    @property
    def latency_cycles(self) -> int:
        """Cycles from a beat's words at row 0 to column 0's sum."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        words, masks, load, bus = self.words, self.masks, self.load, self.bus
        for hop in range(geometry.hops):
            if hop:
                later = [
                    Signal(signal.shape(), name=f"{name}_{hop}")
                    for name, signal in (
                        ("words", words),
                        ("masks", masks),
                        ("load", load),
                        ("bus", bus),
                    )
                ]
                m.d.sync += [
                    new.eq(old) for new, old in zip(later, (words, masks, load, bus), strict=True)
                ]
                words, masks, load, bus = later
            for column in range(geometry.columns_per_hop):
                index = hop * geometry.columns_per_hop + column
                m.submodules[f"column_{index}"] = unit = Column(geometry, index=index)
                m.d.comb += [
                    unit.words.eq(words),
                    unit.masks.eq(masks),
                    unit.load.eq(load),
                    unit.bus.eq(bus),
                    self.sums[index].eq(unit.sum),
                ]
        return m
