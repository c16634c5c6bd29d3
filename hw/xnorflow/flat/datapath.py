# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator's datapath: banks, elements, accumulators, thresholds."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.contents import Contents
from xnorflow.core.flat import FlatTiming
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.delay import delayed
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.layouts import bus_layout
from xnorflow.gateware.memory import BlockMemory
from xnorflow.gateware.resting import windowed_loads
from xnorflow.gateware.weightbank import HopBanks

__all__ = ["FlatDatapath", "pass_layout", "spot_layout"]


def spot_layout(geometry: Geometry) -> data.StructLayout:
    """Where codes go: a bank, a word's address for unit 0, and the codes' place in the word."""
    return data.StructLayout(
        {
            "bank": geometry.rows,  # one bit
            "address": ceil_log2(geometry.activation_depth),
            "granule": ceil_log2(geometry.word_width // geometry.columns),
        }
    )


def pass_layout(geometry: Geometry) -> data.StructLayout:
    """What holds for a pass."""
    return data.StructLayout(
        {
            "first": 1,  # accumulators begin
            "last": 1,  # they are complete: thresholds follow
            "keeps": 1,  # and codes are written
            "spot": spot_layout(geometry),
        }
    )


class FlatDatapath(wiring.Component):
    """acc[unit] = (n if first else acc[unit]) - 2 * mismatches; code = acc >= threshold.

    Members
    -------
    load, beat : In(1)
        A cycle of a weight load; a beat, for unit ``unit``.
    active : In(rows)
        The rows that have a word in this pass.
    unit, words : In
        Unit of the beat; addresses of the rows' words, for unit 0, constant in a pass's beats.
    weights : In
        Address in the weight banks, in each cycle of a load and ``rows - 1`` more; that of the
        thresholds with ``strobe``.
    strobe : In(1)
        ``now`` is what later stages go by from here on (:class:`FlatTiming`).
    now : In(pass_layout)
    n : In
        Real inputs of the layer; constant while its beats are under way.
    bus : In(bus_layout)
        Configuration writes.
    receiving : In(1)
        Codes come from the host instead: ``write`` puts ``codes`` at ``now.spot`` of the cycle
        before, for ``unit`` of the cycle before.
    write, codes : In
    reading : In(1)
        No beat is under way: ``values`` are the accumulators of ``unit``, three cycles later.
    values : Out
        A column's accumulator each.
    writing, wrote : Out
        Granules that are written in this cycle in each bank, the address, the data.
    """

    def __init__(self, geometry: Geometry, *, contents: Contents | None = None) -> None:
        self.geometry = geometry
        self.contents = contents
        self.timing = FlatTiming(geometry)
        address = ceil_log2(geometry.activation_depth)
        granules = geometry.word_width // geometry.columns
        super().__init__(
            {
                "load": In(1),
                "beat": In(1),
                "active": In(geometry.rows),
                "unit": In(ceil_log2(geometry.accumulator_depth)),
                "words": In(data.ArrayLayout(address, geometry.rows)),
                "weights": In(ceil_log2(geometry.weight_depth)),
                "strobe": In(1),
                "now": In(pass_layout(geometry)),
                "n": In(geometry.accumulator_width),
                "bus": In(bus_layout(geometry)),
                "receiving": In(1),
                "write": In(1),
                "codes": In(geometry.columns),
                "reading": In(1),
                "values": Out(
                    data.ArrayLayout(signed(geometry.accumulator_width), geometry.columns)
                ),
                "writing": Out(data.ArrayLayout(granules, geometry.rows)),
                "wrote_address": Out(address),
                "wrote_data": Out(geometry.word_width),
                "from_host": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, timing = self.geometry, self.timing
        later = Signal(pass_layout(geometry))
        with m.If(self.strobe | self.receiving):
            m.d.sync += later.eq(self.now)
        # Which granules that are: the first one of a word makes the others 0.
        granules = len(self.writing[0])
        begins, enables = Signal(), Signal(granules)
        granule = self.now.spot.granule
        with m.If(self.strobe | self.receiving):
            m.d.sync += begins.eq(granule == 0)
            m.d.sync += [enables[at].eq((granule == 0) | (granule == at)) for at in range(granules)]
        valid = Signal(timing.write + 1)  # of the beat that was issued so many cycles ago
        m.d.comb += valid[0].eq(self.beat)
        m.d.sync += valid[1:].eq(valid[:-1])

        weights = self._weights(m)
        mismatches = self._elements(m, self._fetch(m), weights)
        totals, unit = self._accumulate(m, later, valid, mismatches)
        codes = self._compare(m, weights, totals)
        coded = Signal()
        m.d.sync += coded.eq(valid[timing.write - 1] & later.keeps)
        self._write(m, later.spot, begins, enables, coded, codes, unit)
        return m

    def _weights(self, m: Module) -> list[data.View]:
        """What each column's bank reads, ``fetch`` cycles after the address."""
        found: list[data.View] = []
        for hop in range(self.geometry.hops):
            m.submodules[f"weights_{hop}"] = banks = HopBanks(
                self.geometry, hop, contents=self.contents
            )
            m.d.comb += [banks.address.eq(self.weights), banks.bus.eq(self.bus)]
            found += [banks.weights[c] for c in range(self.geometry.columns_per_hop)]
        return found

    def _fetch(self, m: Module) -> list[Signal]:
        """The rows' words; row r's are r cycles late, as its address is."""
        geometry = self.geometry
        granule = geometry.columns
        found = []
        for row in range(geometry.rows):
            m.submodules[f"bank_{row}"] = bank = BlockMemory(
                width=geometry.word_width, depth=geometry.activation_depth, granularity=granule
            )
            address = Signal(len(self.wrote_address), name=f"address_{row}", reset_less=True)
            m.d.sync += address.eq(self.words[row] + self.unit)
            m.d.comb += [
                bank.read_enable.eq(1),
                bank.read_address.eq(delayed(m, address, row, f"address_{row}")),
                bank.write_enable.eq(self.writing[row]),
                bank.write_address.eq(self.wrote_address),
                bank.write_data.eq(self.wrote_data),
            ]
            found.append(bank.read_data)
        return found

    def _elements(
        self, m: Module, words: list[Signal], weights: list[data.View]
    ) -> list[data.View]:
        """Rows of elements. Returns each column's mismatches."""
        geometry, timing = self.geometry, self.timing
        rows, together = geometry.rows, geometry.columns_per_hop
        windows = ElementRow.load_windows(geometry)
        falling: dict[int, data.View] = {}
        for row in range(rows):
            wait = timing.fetch + row
            idle = ~delayed(m, self.beat & self.active[row], wait, f"counts_{row}")
            load = delayed(m, self.load, wait, f"load_{row}")
            loads = windowed_loads(m, load, windows, name=f"{row}")
            for hop in range(geometry.hops):
                m.submodules[f"row_{hop}_{row}"] = unit = ElementRow(geometry, row=row)
                m.d.comb += [unit.words[0].eq(words[row]), unit.idle.eq(idle), unit.loads.eq(loads)]
                for column in range(together):
                    m.d.comb += unit.weights[column].eq(weights[hop * together + column][row])
                if row:
                    m.d.comb += unit.sums_in.eq(falling[hop])
                falling[hop] = unit.sums_out
        return [falling[hop][column] for hop in range(geometry.hops) for column in range(together)]

    def _accumulate(
        self, m: Module, later: data.View, valid: Signal, mismatches: list[data.View]
    ) -> tuple[list[Signal], Signal]:
        """Accumulators. Returns: the beat's, a cycle after its sum; its unit, a cycle later."""
        geometry, timing = self.geometry, self.timing
        width, columns = geometry.accumulator_width, geometry.columns
        m.submodules.block_ram = memory = Memory(  # never read and written at the same address
            shape=width * columns, depth=geometry.accumulator_depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        read_unit, write_unit, code_unit = (
            Signal(len(self.unit), name=f"{name}_unit") for name in ("read", "write", "code")
        )
        with m.If(valid[timing.sums - 2]):
            m.d.sync += read_unit.eq(read_unit + 1)
        with m.If(valid[timing.sums + 1]):
            m.d.sync += write_unit.eq(write_unit + 1)
        with m.If(self.strobe):
            m.d.sync += [read_unit.eq(0), write_unit.eq(0)]
        with m.If(self.reading):
            m.d.sync += read_unit.eq(self.unit)
        m.d.sync += code_unit.eq(Mux(self.receiving, self.unit, write_unit))

        totals = []
        first = later.first & ~self.reading
        for column in range(columns):
            stored, total = (
                Signal(signed(width), name=f"{name}_{column}", reset_less=True)
                for name in ("stored", "total")
            )
            m.d.sync += [
                stored.eq(Mux(first, self.n, read.data.word_select(column, width))),
                total.eq(stored - (mismatches[column] << 1)),
            ]
            m.d.comb += self.values[column].eq(stored)
            totals.append(total)
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(read_unit),
            write.en.eq(valid[timing.sums + 1]),
            write.addr.eq(write_unit),
            write.data.eq(Cat(totals)),
        ]
        return totals, code_unit

    def _compare(self, m: Module, weights: list[data.View], totals: list[Signal]) -> Signal:
        """Each column's threshold, which a last pass brings, and its code."""
        geometry, timing = self.geometry, self.timing
        width = geometry.accumulator_width
        arrives = delayed(m, self.strobe & self.now.last, timing.fetch, "arrives")
        codes = Signal(geometry.columns, reset_less=True)
        for column, total in enumerate(totals):
            threshold = Signal(signed(width), name=f"threshold_{column}", reset_less=True)
            record = weights[column].as_value()
            end = len(record) - 1  # above the threshold lies the pooling direction
            with m.If(arrives):
                m.d.sync += threshold.eq(record[end - width : end])
            excess = Signal(signed(width + 1), name=f"excess_{column}")
            m.d.comb += excess.eq(threshold - total)  # acc >= T is (T - 1) - acc < 0
            m.d.sync += codes[column].eq(excess[-1])
        return codes

    def _write(
        self,
        m: Module,
        spot: data.View,
        begins: Signal,
        enables: Signal,
        coded: Signal,
        codes: Signal,
        unit: Signal,
    ) -> None:
        """The host's codes, or those of a beat; only one of them is ever under way."""
        columns = self.geometry.columns
        bits = Signal(columns)
        others = Mux(begins, Const(0, columns), bits)
        first, rest = (Signal(columns, name=name, reset_less=True) for name in ("first", "rest"))
        m.d.comb += [
            bits.eq(Mux(self.receiving, self.codes, codes)),
            self.wrote_data.eq(Cat(first, rest.replicate(len(enables) - 1))),
        ]
        m.d.sync += [
            first.eq(bits),
            rest.eq(others),
            self.wrote_address.eq(spot.address + unit),
            self.from_host.eq(self.receiving),
        ]
        for bank in range(self.geometry.rows):
            chosen = spot.bank[bank] & (self.write | coded)
            m.d.sync += self.writing[bank].eq(enables & chosen.replicate(len(enables)))
