# SPDX-License-Identifier: Apache-2.0
"""The systolic array: words move right from hop to hop, partial sums fall a row a cycle."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.arraybanks import ArrayBanks
from xnorflow.gateware.banks import window_layout
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.layouts import bus_layout, load_layout
from xnorflow.gateware.resting import windowed_loads

__all__ = ["RowSkew", "SystolicArray", "record_layout"]


def record_layout(geometry: Geometry) -> data.StructLayout:
    """A word of thresholds that the feet ask for."""
    return data.StructLayout({"valid": 1, "address": ceil_log2(geometry.weight_depth)})


class RowSkew(wiring.Component):
    """Delays row r by r cycles, so that its words meet the sums that fall to it.

    Members
    -------
    words, masks, shift : In
        The rows' words of one beat, whether each counts, and whether row 0 takes weights.
    skewed_words, skewed_masks, skewed_shifts : Out
        The same; row r is r cycles late.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "words": In(window_layout(geometry)),
                "masks": In(geometry.rows),
                "shift": In(1),
                "skewed_words": Out(window_layout(geometry)),
                "skewed_masks": Out(geometry.rows),
                "skewed_shifts": Out(geometry.rows),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for row in range(self.geometry.rows):
            words = [self.words[pixel][row] for pixel in range(self.geometry.pixels)]
            row_state = Cat(self.masks[row], self.shift, *words)
            for step in range(row):
                later = Signal(len(row_state), name=f"row_{row}_{step}", reset_less=True)
                m.d.sync += later.eq(row_state)
                row_state = later
            m.d.comb += Cat(
                self.skewed_masks[row],
                self.skewed_shifts[row],
                *(self.skewed_words[pixel][row] for pixel in range(self.geometry.pixels)),
            ).eq(row_state)
        return m


class SystolicArray(wiring.Component):
    """``rows`` rows of ``hops`` hops; the columns of a hop share one copy of the words.

    Members
    -------
    words, masks, shifts : In
        Skewed words of one beat (:class:`RowSkew`), and whether a row takes weights.
    load : In(load_layout)
        Bank reads, ``WeightBank.latency_cycles`` ahead of row 0's shift.
    double : In(1)
        Sums double from row to row; constant in a program row.
    bus : In(bus_layout)
        Configuration writes.
    record : In(record_layout)
        A word of thresholds to read instead.
    weights : Out
        What the columns' banks read.
    sums : Out
        Mismatches; index column * pixels + pixel.

    Timing
    ------
    A column of hop h is h cycles behind hop 0, whose sum comes ``latency_cycles`` after row 0's
    word.
    """

    def __init__(self, geometry: Geometry, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.contents = contents
        beat = geometry.rows * geometry.weight_beat
        super().__init__(
            {
                "words": In(window_layout(geometry)),
                "masks": In(geometry.rows),
                "shifts": In(geometry.rows),
                "load": In(load_layout(geometry)),
                "double": In(1),
                "bus": In(bus_layout(geometry)),
                "record": In(record_layout(geometry)),
                "weights": Out(data.ArrayLayout(beat, geometry.columns)),
                "sums": Out(
                    data.ArrayLayout(geometry.sum_width(), geometry.columns * geometry.pixels)
                ),
            }
        )

    @staticmethod
    def cycles(geometry: Geometry) -> int:
        """Cycles from a beat's words at row 0 to column 0's sum."""
        return geometry.rows + geometry.popcount_cycles

    @property
    def latency_cycles(self) -> int:
        """Cycles from a beat's words at row 0 to column 0's sum."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        windows = ElementRow.load_windows(self.geometry)
        m.submodules.banks = banks = ArrayBanks(self.geometry, contents=self.contents)
        m.d.comb += [
            banks.address.eq(Mux(self.record.valid, self.record.address, self.load.address)),
            banks.bus.eq(self.bus),
            self.weights.eq(banks.weights),
        ]
        loads = [
            windowed_loads(m, self.shifts[row], windows, name=f"{row}")
            for row in range(self.geometry.rows)
        ]
        crossing: dict[str, Value] = {
            "words": Value.cast(self.words),
            "idle": ~self.masks,
            "loads": Cat(loads),
            "double": self.double,
        }
        for hop in range(self.geometry.hops):
            if hop:
                for name, value in crossing.items():
                    init = -1 if name == "idle" else 0
                    later = Signal(len(value), name=f"{name}_{hop}", init=init, reset_less=True)
                    m.d.sync += later.eq(value)
                    crossing[name] = later
            self._hop(m, hop, banks.weights, **crossing)
        return m

    def _hop(
        self,
        m: Module,
        hop: int,
        weights: data.View,
        *,
        words: Value,
        idle: Value,
        loads: Value,
        double: Value,
    ) -> None:
        """The rows of one hop."""
        geometry = self.geometry
        pixels, rows = range(geometry.pixels), range(geometry.rows)
        columns, width = range(geometry.columns_per_hop), geometry.word_width
        falling: data.View | None = None
        for row in rows:
            m.submodules[f"row_{hop}_{row}"] = unit = ElementRow(geometry, row=row)
            m.d.comb += [
                *(
                    unit.words[pixel].eq(words.word_select(pixel * len(rows) + row, width))
                    for pixel in pixels
                ),
                unit.idle.eq(idle[row].replicate(geometry.pixels)),
                unit.loads.eq(loads.word_select(row, len(unit.loads))),
                *(unit.weights[c].eq(weights[hop * len(columns) + c][row]) for c in columns),
            ]
            if geometry.doubles(row):
                m.d.comb += unit.double.eq(double)
            if falling is not None:
                m.d.comb += unit.sums_in.eq(falling)
            falling = unit.sums_out
        first = hop * len(columns) * len(pixels)
        for index in range(len(columns) * len(pixels)):
            m.d.comb += self.sums[first + index].eq(unit.sums_out[index])
