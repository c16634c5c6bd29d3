# SPDX-License-Identifier: Apache-2.0
"""The systolic array: words move right from hop to hop, partial sums fall a row a cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import Target
from xnorflow.gateware.banks import window_layout
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.layouts import bus_layout, load_layout
from xnorflow.gateware.memory import BlockMemory

__all__ = ["RowSkew", "SystolicArray", "WeightBank", "record_layout"]


def record_layout(geometry: Geometry) -> data.StructLayout:
    """A word of thresholds that a hop's feet ask for."""
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
                later = Signal(len(row_state), name=f"row_{row}_{step}")
                m.d.sync += later.eq(row_state)
                row_state = later
            m.d.comb += Cat(
                self.skewed_masks[row],
                self.skewed_shifts[row],
                *(self.skewed_words[pixel][row] for pixel in range(self.geometry.pixels)),
            ).eq(row_state)
        return m


class WeightBank(wiring.Component):
    """One column's weights and thresholds.

    Members
    -------
    address : In
        What to read: a beat of weights, or a word of thresholds.
    write : In(1)
        Take the configuration write.
    bus : In(bus_layout)
        Configuration writes.
    weights : Out
        What was read: next beat of every row, ``latency_cycles`` later.
    """

    latency_cycles = BlockMemory.latency_cycles

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "address": In(ceil_log2(geometry.weight_depth)),
                "write": In(1),
                "bus": In(bus_layout(geometry)),
                "weights": Out(data.ArrayLayout(geometry.weight_beat, geometry.rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.block = memory = BlockMemory(
            width=geometry.rows * geometry.weight_beat, depth=geometry.weight_depth
        )
        m.d.comb += [
            memory.write_enable.eq(self.write),
            memory.write_address.eq(self.bus.address),
            memory.write_data.eq(self.bus.data),
            memory.read_enable.eq(1),
            memory.read_address.eq(self.address),
            self.weights.eq(memory.read_data),
        ]
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
    records : In(record_layout), one a hop
        Words of thresholds to read.
    weights : Out
        What the columns' banks read.
    sums : Out
        Mismatches; index column * pixels + pixel.

    Timing
    ------
    A column of hop h is h cycles behind hop 0, whose sum comes ``latency_cycles`` after row 0's
    word.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        beat = geometry.rows * geometry.weight_beat
        super().__init__(
            {
                "words": In(window_layout(geometry)),
                "masks": In(geometry.rows),
                "shifts": In(geometry.rows),
                "load": In(load_layout(geometry)),
                "double": In(1),
                "bus": In(bus_layout(geometry)),
                "records": In(data.ArrayLayout(record_layout(geometry), geometry.hops)),
                "weights": Out(data.ArrayLayout(beat, geometry.columns)),
                "sums": Out(
                    data.ArrayLayout(geometry.sum_width(), geometry.columns * geometry.pixels)
                ),
            }
        )

    @staticmethod
    def cycles(geometry: Geometry) -> int:
        """Cycles from a beat's words at row 0 to column 0's sum."""
        return geometry.rows + ElementRow.popcount_cycles(geometry)

    @property
    def latency_cycles(self) -> int:
        """Cycles from a beat's words at row 0 to column 0's sum."""
        return self.cycles(self.geometry)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        crossing = {
            name: getattr(self, name)
            for name in ("words", "masks", "shifts", "load", "double", "bus")
        }
        for hop in range(self.geometry.hops):
            if hop:
                later = {
                    name: Signal(signal.shape(), name=f"{name}_{hop}")
                    for name, signal in crossing.items()
                }
                m.d.sync += [later[name].eq(signal) for name, signal in crossing.items()]
                crossing = later
            self._hop(m, hop, **crossing)
        return m

    def _hop(
        self,
        m: Module,
        hop: int,
        *,
        words: data.View,
        masks: Signal,
        shifts: Signal,
        load: data.View,
        double: Signal,
        bus: data.View,
    ) -> None:
        """The banks and rows of one hop."""
        geometry = self.geometry
        pixels, rows = range(geometry.pixels), range(geometry.rows)
        columns = range(geometry.columns_per_hop)
        banks = []
        record = self.records[hop]
        # One register before the memories: the bus crosses many columns.
        taken = Signal(bus.shape(), name=f"taken_{hop}")
        writes = Signal(len(columns), name=f"writes_{hop}")
        address = Signal(load.address.shape(), name=f"address_{hop}")
        m.d.sync += taken.eq(bus)
        m.d.comb += address.eq(Mux(record.valid, record.address, load.address))
        for c in columns:
            column = hop * geometry.columns_per_hop + c
            m.submodules[f"bank_{column}"] = bank = WeightBank(geometry)
            ours = bus.valid & (bus.target == Target.WEIGHT) & (bus.column == column)
            m.d.sync += writes[c].eq(ours)
            m.d.comb += [
                bank.address.eq(address),
                bank.write.eq(writes[c]),
                bank.bus.eq(taken),
                self.weights[column].eq(bank.weights),
            ]
            banks.append(bank)
        falling: data.View | None = None
        for row in rows:
            m.submodules[f"row_{hop}_{row}"] = unit = ElementRow(geometry, row=row)
            m.d.comb += [
                *(unit.words[pixel].eq(words[pixel][row]) for pixel in pixels),
                unit.masks.eq(masks[row].replicate(geometry.pixels)),
                unit.load.eq(shifts[row]),
                *(unit.weights[c].eq(banks[c].weights[row]) for c in columns),
            ]
            if geometry.doubles(row):
                m.d.comb += unit.double.eq(double)
            if falling is not None:
                m.d.comb += unit.sums_in.eq(falling)
            falling = unit.sums_out
        first = hop * len(columns) * len(pixels)
        for index in range(len(columns) * len(pixels)):
            m.d.comb += self.sums[first + index].eq(unit.sums_out[index])
