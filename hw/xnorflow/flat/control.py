# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator's control: blocks, rows, tiles, passes, beats, one after another."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import DeviceError, Status
from xnorflow.flat.datapath import pass_layout
from xnorflow.flat.timing import FlatTiming
from xnorflow.gateware.layouts import row_layout, units_shape

__all__ = ["FlatControl"]

STATES = (
    "idle", "fetches_input", "begins_input", "prepares_input", "receives", "received", "next_row",
    "fetches", "begins_row", "prepares", "begins_tile", "begins_pass", "loads", "beats", "turns",
    "drains", "reads", "sends", "leaves",
)  # fmt: skip
"""One flip-flop each: a state is known without a LUT."""
READ_CYCLES = 4
"""Until the accumulators of a unit are there."""


class FlatControl(wiring.Component):
    """A block: its images come, then its rows run. One more run may be queued meanwhile.

    Members
    -------
    run, abort, images, status, error, blocks, cycles, wait_cycles
        Of the register block.
    rows, block, row, fetch, index, fetched
        Of :class:`FlatStore`.
    bad_packet : In(1)
    busy : Out(1)
    enable, receiving, ends_granule, ends_word, ends_image, input_valid
        Of :class:`FlatReceiver`.
    load, beat, active, unit, words, weights, strobe, now, n, reading
        Of :class:`FlatDatapath`.
    result_valid, result_ready, result_column, result_last
        Words of results: ``values[result_column]``.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.timing = FlatTiming(geometry)
        address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "run": In(1),
                "abort": In(1),
                "images": In(16),
                "rows": In(16),
                "block": In(16),
                "bad_packet": In(1),
                "row": In(row_layout(geometry)),
                "fetch": Out(1),
                "index": Out(ceil_log2(geometry.layer_depth)),
                "fetched": In(1),
                "enable": Out(1),
                "receiving": Out(1),
                "ends_granule": In(1),
                "ends_word": In(1),
                "ends_image": In(1),
                "input_valid": In(1),
                "load": Out(1),
                "beat": Out(1),
                "active": Out(geometry.rows),
                "unit": Out(ceil_log2(geometry.accumulator_depth)),
                "words": Out(data.ArrayLayout(address, geometry.rows)),
                "weights": Out(ceil_log2(geometry.weight_depth)),
                "strobe": Out(1),
                "now": Out(pass_layout(geometry)),
                "n": Out(geometry.accumulator_width),
                "reading": Out(1),
                "result_valid": Out(1),
                "result_ready": In(1),
                "result_column": Out(ceil_log2(geometry.columns)),
                "result_last": Out(1),
                "busy": Out(1),
                **{
                    name: Out(32) for name in ("status", "error", "blocks", "cycles", "wait_cycles")
                },
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = self.row
        is_ = {name: Signal(name=f"is_{name}", init=name == "idle") for name in STATES}
        asked, done, refused, runnable, waits, last_row = (
            Signal(name=name)
            for name in ("asked", "done", "refused", "runnable", "waits", "last_row")
        )
        queued = Signal(units_shape(self.geometry))
        unit_last = Signal(len(self.unit))  # the block's last unit
        ends_beats, ends_tile, ends_row, ended, sent, last_column, take, past = (
            Signal(name=name)
            for name in (
                "ends_beats", "ends_tile", "ends_row", "ended", "sent", "last_column", "take",
                "past",
            )
        )  # fmt: skip
        last_pass, last_tile = self._passes(m, is_, ends_tile, ends_beats)
        last_unit = self._units(m, is_, unit_last, take, sent)
        reads_on = is_["sends"] & sent & ~last_unit
        last_count = self._count(m, is_, ends_beats, reads_on)
        self._spots(m, is_, ends_tile)
        self._status(m, asked, done, refused, runnable, is_["idle"], waits, ended)

        # A run is queued; then its rows run.
        with m.If(self.run & ~asked & ~self.bad_packet):
            m.d.sync += [refused.eq(~runnable), asked.eq(runnable)]
            with m.If(runnable):
                m.d.sync += queued.eq(self.images)
        m.d.sync += [
            runnable.eq(
                (self.rows != 0)
                & (self.images != 0)
                & ~self.images[len(queued) :].any()
                & (self.images[: len(queued)] <= self.block[: len(queued)])
            ),
            last_row.eq(self.index + 1 == self.rows[: len(self.index) + 1]),
        ]
        with m.If(is_["idle"]):
            m.d.sync += self.index.eq(0)
            with m.If(asked):
                m.d.sync += [asked.eq(0), done.eq(0), unit_last.eq(queued - 1)]
        with m.If(ends_row):
            m.d.sync += self.index.eq(self.index + 1)
        with m.If(ended):
            m.d.sync += [done.eq(1), self.blocks.eq(self.blocks + 1)]
        with m.If(self.abort):
            m.d.sync += [asked.eq(0), done.eq(0), refused.eq(0), self.blocks.eq(0)]

        # A pass's beats: later stages change in a cycle that is the same for all of them.
        phase = Signal(self.timing.strobe + 1)
        m.d.sync += phase.eq(Cat(is_["loads"] & last_count, phase))
        with m.If(is_["loads"]):
            m.d.sync += [take.eq(1), past.eq(0)]
        with m.If(is_["beats"] & last_unit):
            m.d.sync += take.eq(0)
        with m.If(self.strobe):
            m.d.sync += past.eq(1)
        column_last = Signal(len(self.result_column))  # the tile's
        m.d.sync += last_column.eq(
            Mux(
                is_["sends"] & self.result_ready,
                self.result_column + 1 == column_last,
                self.result_column == column_last,
            )
        )
        m.d.sync += column_last.eq(Mux(last_tile, row.channels_tail - 1, self.geometry.columns - 1))
        with m.If(is_["reads"]):
            m.d.sync += self.result_column.eq(0)
        with m.If(is_["sends"] & self.result_ready):
            m.d.sync += self.result_column.eq(self.result_column + 1)
        m.d.comb += [
            self.strobe.eq(phase[-1]),
            ends_beats.eq(is_["beats"] & (self.strobe | past) & (~take | last_unit)),
            sent.eq(self.result_ready & last_column),
            self.fetch.eq((is_["idle"] & asked) | is_["next_row"]),
            self.enable.eq(is_["receives"]),
            self.receiving.eq(is_["receives"] | is_["received"]),
            self.load.eq(is_["loads"]),
            self.beat.eq(is_["beats"] & take),
            self.reading.eq(is_["reads"] | is_["sends"]),
            self.result_valid.eq(is_["sends"]),
            self.result_last.eq(last_column & last_unit & last_tile & last_row),
            waits.eq((is_["receives"] & ~self.input_valid) | (is_["sends"] & ~self.result_ready)),
        ]

        moves = (
            ("idle", "fetches_input", asked),
            ("fetches_input", "begins_input", self.fetched),
            ("begins_input", "prepares_input", 1),
            ("prepares_input", "receives", 1),
            ("receives", "received", self.ends_image & last_unit),
            ("received", "begins_row", 1),
            ("next_row", "fetches", 1),
            ("fetches", "begins_row", self.fetched),
            ("begins_row", "prepares", 1),  # what follows from the row is known
            ("prepares", "begins_tile", 1),
            ("begins_tile", "begins_pass", 1),
            ("begins_pass", "loads", 1),
            ("loads", "beats", last_count),
            ("beats", "begins_pass", ends_beats & ~last_pass),
            ("beats", "turns", ends_beats & last_pass),
            ("turns", "begins_tile", ~last_tile & ~row.raw),
            ("turns", "drains", last_tile | row.raw),
            ("drains", "reads", last_count & row.raw),
            ("drains", "next_row", last_count & ~row.raw),
            ("reads", "sends", last_count),
            ("sends", "reads", sent & ~last_unit),
            ("sends", "leaves", sent & last_unit),
            ("leaves", "begins_tile", ~last_tile),
            ("leaves", "next_row", last_tile & ~last_row),
            ("leaves", "idle", last_tile & last_row),
        )
        goes = {(source, to): is_[source] & when for source, to, when in moves}
        m.d.comb += [
            ends_tile.eq(goes["turns", "begins_tile"] | goes["leaves", "begins_tile"]),
            ends_row.eq(goes["drains", "next_row"] | goes["leaves", "next_row"]),
            ended.eq(goes["leaves", "idle"]),
        ]
        for name, state in is_.items():
            enters = Cat(go for (_, to), go in goes.items() if to == name).any()
            leaves = Cat(go for (source, _), go in goes.items() if source == name).any()
            m.d.sync += state.eq(enters | (state & ~leaves))
            with m.If(self.abort):
                m.d.sync += state.eq(name == "idle")
        return m

    def _units(
        self, m: Module, is_: dict[str, Signal], unit_last: Signal, take: Signal, sent: Signal
    ) -> Signal:
        """The unit that is received, beaten or read. Returns: it is the block's last."""
        left, last, single = Signal(len(self.unit)), Signal(), Signal()
        m.d.sync += single.eq(unit_last == 0)
        steps = (is_["beats"] & take) | self.ends_image | (is_["sends"] & sent)
        with m.If(steps):
            m.d.sync += [self.unit.eq(self.unit + 1), left.eq(left - 1), last.eq(left == 1)]
        with m.If(is_["begins_input"] | is_["loads"] | is_["drains"]):
            m.d.sync += [self.unit.eq(0), left.eq(unit_last), last.eq(single)]
        return last

    def _count(
        self, m: Module, is_: dict[str, Signal], ends_beats: Signal, reads_on: Value
    ) -> Signal:
        """Cycles of a load, of draining, until a read is there. Returns: the last of them."""
        timing = self.timing
        count = Signal(range(max(timing.load, timing.drain + 1, READ_CYCLES)))
        last = Signal()
        with m.If(is_["loads"] | is_["drains"] | is_["reads"]):
            m.d.sync += [count.eq(count - 1), last.eq(count == 1)]
        for begins, cycles in (
            (is_["begins_pass"], timing.load),
            (ends_beats, timing.drain + 1),
            (reads_on | (is_["drains"] & last), READ_CYCLES),
        ):
            with m.If(begins):
                m.d.sync += [count.eq(cycles - 1), last.eq(0)]
        return last

    def _status(
        self,
        m: Module,
        asked: Signal,
        done: Signal,
        refused: Signal,
        runnable: Signal,
        idle: Signal,
        waits: Signal,
        ended: Signal,
    ) -> None:
        """What the registers show. Cycles count as they pass, those of aborted blocks too."""
        accepted, fails = Signal(), Signal()
        cycles, waited = (Signal(32, name=name, reset_less=True) for name in ("cycled", "waited"))
        m.d.comb += [
            accepted.eq(self.run & ~asked & runnable),
            fails.eq(Mux(self.run & ~asked, ~runnable, refused)),
            self.busy.eq(~idle | accepted | asked),
            self.status.eq(
                Mux(self.busy, Status.BUSY, 0)
                | Mux(done, Status.DONE, 0)
                | Mux(fails | self.bad_packet, Status.ERROR, 0)
                | Mux(accepted | asked, Status.QUEUED, 0)
            ),
            self.error.eq(
                Mux(
                    self.bad_packet,
                    DeviceError.BAD_PACKET,
                    Mux(fails, DeviceError.NO_PROGRAM, DeviceError.NONE),
                )
            ),
            self.cycles.eq(cycles),
            self.wait_cycles.eq(waited),
        ]
        with m.If(~idle & waits):
            m.d.sync += waited.eq(waited + 1)
        with m.Elif(~idle):
            m.d.sync += cycles.eq(cycles + 1)

    def _passes(
        self, m: Module, is_: dict[str, Signal], ends_tile: Signal, ends_beats: Signal
    ) -> tuple[Signal, Signal]:
        """Tiles and passes: where they read. Returns: the last pass, the last tile."""
        geometry, row = self.geometry, self.row
        tiles, passes = Signal(len(row.tile_last)), Signal(len(row.cw_last))  # that follow
        left = Signal(len(row.word_last) + 1)  # words after the pass's first one
        pointer, record = Signal(len(self.weights)), Signal(len(self.weights))
        address = Signal(len(self.weights))
        base = Signal(len(self.words[0]))
        last_pass, last_tile = Signal(), Signal()
        m.d.comb += [
            self.weights.eq(Mux(self.strobe & last_pass, record, address)),
            self.now.last.eq(last_pass),
            self.now.keeps.eq(last_pass & ~row.raw),
            self.words[0].eq(base),
        ]
        m.d.sync += [
            self.n.eq(Cat(Const(0, ceil_log2(geometry.word_width)), row.word_last) + row.tail),
            address.eq(address + 1),
            *(self.active[r].eq(left >= r) for r in range(geometry.rows)),
            *(
                self.words[r].eq(self.words[r - 1] + row.word_stride)
                for r in range(1, geometry.rows)
            ),
        ]
        with m.If(is_["begins_pass"]):
            m.d.sync += address.eq(pointer)
        with m.If(ends_beats):
            m.d.sync += [
                pointer.eq(pointer + self.timing.load),
                passes.eq(passes - 1),
                last_pass.eq(passes == 1),
                left.eq(left - geometry.rows),
                base.eq(base + row.cw_step),
                self.now.first.eq(0),
            ]
        with m.If(self.strobe & last_pass):
            m.d.sync += record.eq(record + 1)
        with m.If(ends_tile):
            m.d.sync += [tiles.eq(tiles - 1), last_tile.eq(tiles == 1)]
        with m.If(is_["begins_tile"]):
            m.d.sync += [
                passes.eq(row.cw_last),
                last_pass.eq(row.cw_last == 0),
                left.eq(row.word_last),
                base.eq(row.in_base),
                self.now.first.eq(1),
            ]
        with m.If(is_["begins_row"]):
            m.d.sync += [
                tiles.eq(row.tile_last),
                last_tile.eq(row.tile_last == 0),
                pointer.eq(row.weight_base),
                record.eq(row.record_base),
            ]
        return last_pass, last_tile

    def _spots(self, m: Module, is_: dict[str, Signal], ends_tile: Signal) -> None:
        """Where the next granule of codes goes: the host's, or the tile's."""
        row, spot = self.row, self.now.spot
        last = (1 << len(spot.granule)) - 1
        word_ends = Signal()
        m.d.comb += word_ends.eq(
            Mux(self.receiving, self.ends_word, ends_tile & (spot.granule == last))
        )
        with m.If(self.ends_granule | ends_tile):
            m.d.sync += spot.granule.eq(spot.granule + 1)
        with m.If(word_ends):
            m.d.sync += [
                spot.granule.eq(0),
                spot.bank.eq(spot.bank.rotate_left(1)),
                spot.address.eq(
                    spot.address + Mux(self.receiving, row.word_stride, row.out_word_stride)
                ),
            ]
        with m.If(is_["begins_input"] | self.ends_image | is_["begins_row"]):
            m.d.sync += [
                spot.granule.eq(0),
                spot.bank.eq(1),
                spot.address.eq(Mux(is_["begins_row"], row.out_base, row.in_base)),
            ]
