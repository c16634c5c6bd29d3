# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator's control: blocks, rows, tiles, passes, beats, one after another."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.flat import FlatTiming
from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import DeviceError, Status
from xnorflow.flat.datapath import pass_layout
from xnorflow.gateware.layouts import row_layout, units_shape

__all__ = ["FlatControl"]

STATES = (
    "idle", "fetches_input", "begins_input", "prepares_input", "receives", "received", "next_row",
    "fetches", "begins_row", "prepares", "begins_tile", "begins_pass", "loads", "beats", "turns",
    "drains", "reads", "sends", "sent", "leaves",
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
    enable, receiving, ends_granule, ends_word, ends_image, starved
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
                "starved": In(1),
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
        ends_beats, ends_tile, ends_row, ended, last_column, take, past = (
            Signal(name=name)
            for name in (
                "ends_beats", "ends_tile", "ends_row", "ended", "last_column", "take",
                "past",
            )
        )  # fmt: skip
        # What these change is read two cycles later at the earliest.
        after_beats, after_tile = Signal(), Signal()
        m.d.sync += [after_beats.eq(ends_beats), after_tile.eq(ends_tile)]
        last_pass, last_tile = self._passes(m, is_, after_tile, after_beats)
        last_unit = self._units(m, is_, unit_last, take)
        loaded, drained, readable = (
            self._ends(m, is_[name], cycles)
            for name, cycles in (
                ("loads", self.timing.load),
                ("drains", self.timing.drain + 1),
                ("reads", READ_CYCLES),
            )
        )
        self._spots(m, is_, after_tile)
        idle, after_end = Signal(), Signal()
        m.d.sync += after_end.eq(ended & ~self.abort)
        m.d.comb += idle.eq(is_["idle"] & ~after_end)
        self._status(m, asked, done, refused, runnable, idle, waits)
        with m.If(after_end):
            m.d.sync += done.eq(1)
        m.d.comb += self.blocks.eq(self._counter(m, after_end, self.abort))

        # A run is queued; then its rows run.
        with m.If(self.run & ~asked & ~self.bad_packet):
            m.d.sync += [refused.eq(~runnable), asked.eq(runnable)]
            with m.If(runnable):
                m.d.sync += queued.eq(self.images)
        some_rows, some_images, few_images = (
            Signal(name=name) for name in ("some_rows", "some_images", "few_images")
        )
        m.d.comb += runnable.eq(some_rows & some_images & few_images)
        m.d.sync += [
            some_rows.eq(self.rows != 0),
            some_images.eq((self.images != 0) & ~self.images[len(queued) :].any()),
            few_images.eq(self.images[: len(queued)] <= self.block[: len(queued)]),
            last_row.eq(self.index + 1 == self.rows[: len(self.index) + 1]),
        ]
        with m.If(is_["idle"]):
            m.d.sync += self.index.eq(0)
            with m.If(asked):
                m.d.sync += [asked.eq(0), done.eq(0), unit_last.eq(queued - 1)]
        with m.If(ends_row):
            m.d.sync += self.index.eq(self.index + 1)
        with m.If(self.abort):
            m.d.sync += [asked.eq(0), done.eq(0), refused.eq(0)]

        # A pass's beats: later stages change in a cycle that is the same for all of them.
        phase = Signal(self.timing.strobe + 1)
        m.d.sync += phase.eq(Cat(is_["loads"] & loaded, phase))
        with m.If(take & last_unit):
            m.d.sync += take.eq(0)
        with m.If(is_["loads"]):
            m.d.sync += [take.eq(loaded), past.eq(0)]
        with m.If(self.abort):
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
            self.fetch.eq((is_["idle"] & asked) | is_["next_row"]),
            self.enable.eq(is_["receives"]),
            self.receiving.eq(is_["receives"] | is_["received"]),
            self.load.eq(is_["loads"]),
            self.beat.eq(take),
            self.reading.eq(is_["reads"] | is_["sends"]),
            self.result_valid.eq(is_["sends"]),
            self.result_last.eq(last_column & last_unit & last_tile & last_row),
            waits.eq(self.starved | (is_["sends"] & ~self.result_ready)),
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
            ("loads", "beats", loaded),
            ("beats", "begins_pass", ends_beats & ~last_pass),
            ("beats", "turns", ends_beats & last_pass),
            ("turns", "begins_tile", ~last_tile & ~row.raw),
            ("turns", "drains", last_tile | row.raw),
            ("drains", "reads", drained & row.raw),
            ("drains", "next_row", drained & ~row.raw),
            ("reads", "sends", readable),
            ("sends", "sent", self.result_ready & last_column),
            ("sent", "reads", ~last_unit),
            ("sent", "leaves", last_unit),
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

    def _units(self, m: Module, is_: dict[str, Signal], unit_last: Signal, take: Signal) -> Signal:
        """The unit that is received, beaten or read. Returns: it is the block's last."""
        left, last, single = Signal(len(self.unit)), Signal(), Signal()
        m.d.sync += single.eq(unit_last == 0)
        steps = take | self.ends_image | is_["sent"]
        with m.If(steps):
            m.d.sync += [self.unit.eq(self.unit + 1), left.eq(left - 1), last.eq(left == 1)]
        with m.If(is_["begins_input"] | is_["loads"] | is_["drains"]):
            m.d.sync += [self.unit.eq(0), left.eq(unit_last), last.eq(single)]
        return last

    @staticmethod
    def _ends(m: Module, state: Signal, cycles: int) -> Signal:
        """The last of a state's cycles, two or more."""
        count, last = Signal(range(cycles)), Signal()
        with m.If(state):
            m.d.sync += count.eq(count + 1)
        with m.Else():
            m.d.sync += count.eq(0)
        m.d.sync += last.eq(state & (count == cycles - 2))
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
    ) -> None:
        """What the registers show. Cycles count as they pass, those of aborted blocks too."""
        accepted, fails = Signal(), Signal()
        worked, waited = Signal(), Signal()
        m.d.sync += [worked.eq(~idle & ~waits), waited.eq(~idle & waits)]
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
            self.cycles.eq(self._counter(m, worked)),
            self.wait_cycles.eq(self._counter(m, waited)),
        ]

    @staticmethod
    def _counter(m: Module, step: Signal, clear: Value | int = 0) -> Value:
        """32 bits in halves, the higher one a cycle late: its carry is short."""
        low, high = (Signal(16, name=name, reset_less=True) for name in ("low", "high"))
        carry = Signal()
        m.d.sync += carry.eq(step & low.all())
        with m.If(step):
            m.d.sync += low.eq(low + 1)
        with m.If(carry):
            m.d.sync += high.eq(high + 1)
        with m.If(clear):
            m.d.sync += [low.eq(0), high.eq(0), carry.eq(0)]
        return Cat(low, high)

    def _passes(
        self, m: Module, is_: dict[str, Signal], after_tile: Signal, after_beats: Signal
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
            m.d.sync += [address.eq(pointer), pointer.eq(pointer + self.timing.load)]
        with m.If(after_beats):
            m.d.sync += [
                passes.eq(passes - 1),
                last_pass.eq(passes == 1),
                left.eq(left - geometry.rows),
                base.eq(base + row.cw_step),
                self.now.first.eq(0),
            ]
        with m.If(self.strobe & last_pass):
            m.d.sync += record.eq(record + 1)
        with m.If(after_tile):
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

    def _spots(self, m: Module, is_: dict[str, Signal], after_tile: Signal) -> None:
        """Where the next granule of codes goes: the host's, or the tile's."""
        row, spot = self.row, self.now.spot
        word_ends, full, begins_image, begins_row = (
            Signal(name=name) for name in ("word_ends", "full", "begins_image", "begins_row")
        )
        step = Signal(len(row.word_stride))
        m.d.sync += [
            full.eq(spot.granule == (1 << len(spot.granule)) - 1),  # long before a tile's end
            begins_image.eq(is_["begins_input"] | self.ends_image),
            begins_row.eq(is_["begins_row"]),
            step.eq(Mux(self.receiving, row.word_stride, row.out_word_stride)),
        ]
        m.d.comb += word_ends.eq(self.ends_word | (after_tile & full))
        with m.If(self.ends_granule | after_tile):
            m.d.sync += spot.granule.eq(spot.granule + 1)
        with m.If(word_ends):
            m.d.sync += [
                spot.granule.eq(0),
                spot.bank.eq(spot.bank.rotate_left(1)),
                spot.address.eq(spot.address + step),
            ]
        with m.If(begins_image | begins_row):
            m.d.sync += [
                spot.granule.eq(0),
                spot.bank.eq(1),
                spot.address.eq(Mux(begins_row, row.out_base, row.in_base)),
            ]
