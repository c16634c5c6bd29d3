# SPDX-License-Identifier: Apache-2.0
"""The main state machine: takes runs, walks program rows, counts cycles."""

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import DeviceError, Status
from xnorflow.gateware.layouts import images_shape, row_layout, units_shape

__all__ = ["Control"]


class Control(wiring.Component):
    """Runs one block a command; the next one may be asked for, and its images sent, meanwhile.

    Parameters
    ----------
    geometry : Geometry
    flush_cycles : int
        Cycles after which nothing is left in the pipelines.
    fetch_cycles : int
        Cycles from ``fetch`` to the row.

    Members
    -------
    run, abort, images : In
        From the register block; ``images`` holds from the cycle before ``run`` on.
    rows, block : In
        From the program: number of rows, most images in a block.
    bad_packet : In(1)
        The loader met a bad packet.
    rewind, fetch, take, row : Out, Out, Out, In
        To and from the program store: the next row is fetched while one runs.
    input_ready : In(1)
        The program's first row is known.
    input_start, input_images, input_idle : Out, Out, In
        Receive a block's images; their number comes with the cycle after the start.
    input_full, input_room : In, Out
        A part of the input is complete; another one may be begun, from the cycle after on.
    input_double : In(1)
        The banks hold two parts.
    row_start, row_done : Out, In
        Run ``row``, for ``units`` units, on ``part`` of the input; ``final``: its read-outs end
        the block.
    waiting : In(1)
        This cycle waits for room for results.
    row_index : Out(8)
        The row that runs.
    busy, flush : Out(1)
    status, error, blocks, cycles, wait_cycles : Out(32)
        For the register block.
    """

    def __init__(self, geometry: Geometry, *, flush_cycles: int, fetch_cycles: int) -> None:
        self.geometry = geometry
        self.flush_cycles = flush_cycles
        self.fetch_cycles = fetch_cycles
        super().__init__(
            {
                "run": In(1),
                "abort": In(1),
                "images": In(16),
                "rows": In(16),
                "block": In(16),
                "bad_packet": In(1),
                "rewind": Out(1),
                "fetch": Out(1),
                "take": Out(1),
                "row": In(row_layout(geometry)),
                "input_ready": In(1),
                "input_start": Out(1),
                "input_images": Out(images_shape(geometry)),
                "input_idle": In(1),
                "input_full": In(1),
                "input_room": Out(1),
                "input_double": In(1),
                "row_start": Out(1),
                "row_done": In(1),
                "units": Out(units_shape(geometry)),
                "part": Out(1),
                "final": Out(1),
                "waiting": In(1),
                "row_index": Out(8),
                "busy": Out(1),
                "flush": Out(1),
                "status": Out(32),
                "error": Out(32),
                "blocks": Out(32),
                "cycles": Out(32),
                "wait_cycles": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        idle = Signal()
        ended = Signal()
        done = Signal()
        refused = Signal()
        left = Signal(range(self.flush_cycles + 1))
        runnable = Signal()  # a run that was asked for in this cycle
        to_run, to_receive = Signal(), Signal()  # the queued block
        queued = Signal(images_shape(self.geometry))  # its images
        m.d.sync += runnable.eq(
            (self.rows != 0) & (self.images != 0) & (self.images <= self.block) & ~self.bad_packet
        )
        # What was asked for shows at once.
        asked, accepted, begun, under_way = (
            Signal(name=name) for name in ("asked", "accepted", "begun", "under_way")
        )
        m.d.comb += [
            asked.eq(self.run & ~self.flush & ~to_run & ~to_receive),
            accepted.eq(asked & runnable),
            self.status.eq(
                Mux(self.busy, Status.BUSY, 0)
                | Mux(done, Status.DONE, 0)
                | Mux(Mux(asked, ~runnable, refused) | self.bad_packet, Status.ERROR, 0)
                | Mux(accepted | to_run | to_receive, Status.QUEUED, 0)
            ),
            self.error.eq(
                Mux(
                    self.bad_packet,
                    DeviceError.BAD_PACKET,
                    Mux(Mux(asked, ~runnable, refused), DeviceError.NO_PROGRAM, DeviceError.NONE),
                )
            ),
            self.busy.eq(begun | under_way | self.flush | accepted | self.abort),
            begun.eq(to_run | to_receive),
        ]
        # From a register, since it is a long way: what ends may show a cycle later.
        m.d.sync += under_way.eq(begun | ~idle | ~self.input_idle)
        with m.If(self.abort):
            m.d.sync += [left.eq(self.flush_cycles), self.flush.eq(1)]
        with m.Elif(self.flush):
            m.d.sync += [left.eq(left - 1), self.flush.eq(left != 1)]

        # A run is queued; the formatter and the rows each take it when they are free.
        with m.If(asked):
            m.d.sync += refused.eq(~runnable)
            with m.If(runnable):
                m.d.sync += [
                    to_run.eq(1),
                    to_receive.eq(1),
                    queued.eq(self.images),
                ]
        m.d.comb += self.input_start.eq(to_receive & self.input_ready & self.input_idle)
        with m.If(self.input_start):
            m.d.sync += [to_receive.eq(0), self.input_images.eq(queued)]

        waits = Signal()  # for input, or for room for results
        ran = Signal()  # the row was done, the cycle before
        with m.If(self.waiting & ~ran):
            m.d.comb += waits.eq(1)
        self._count(m, idle, ended, waits)
        self._rows(m, idle, ended, done, to_run, queued, waits, ran)
        with m.If(self.abort):  # also in the cycle in which the block ends
            m.d.sync += [
                self.take.eq(0),
                done.eq(0),
                refused.eq(0),
                to_run.eq(0),
                to_receive.eq(0),
                self.blocks.eq(0),
            ]
        return m

    def _count(self, m: Module, idle: Signal, ended: Signal, waits: Signal) -> None:
        """Cycles of all blocks; the registers show them as they were when the last one ended."""
        cycles, wait_cycles = Signal(32), Signal(32)
        with m.If(~idle & waits):
            m.d.sync += wait_cycles.eq(wait_cycles + 1)
        with m.Elif(~idle):
            m.d.sync += cycles.eq(cycles + 1)
        counted = Signal()  # the block's last cycle is
        m.d.sync += counted.eq(ended & ~self.abort)
        with m.If(self.abort):  # what was aborted counts nowhere
            m.d.sync += [cycles.eq(self.cycles), wait_cycles.eq(self.wait_cycles)]
        with m.Elif(counted):
            m.d.sync += [
                self.cycles.eq(cycles),
                self.wait_cycles.eq(wait_cycles),
                self.blocks.eq(self.blocks + 1),
            ]

    def _rows(
        self,
        m: Module,
        idle: Signal,
        ended: Signal,
        done: Signal,
        to_run: Signal,
        queued: Signal,
        waits: Signal,
        ran: Signal,
    ) -> None:
        """The walk over the program's rows."""
        row = self.row
        total = Signal(units_shape(self.geometry))  # units of the block
        after = Signal(units_shape(self.geometry))  # units from the row's first on
        count = Signal(len(total) + 1)  # units that the row is for
        skipped, fits = Signal(), Signal()
        last = Signal(range(self.geometry.layer_depth))  # the last row's index
        last_row = Signal()  # it is this one
        wait = Signal(range(self.fetch_cycles + 1))  # until the row that is fetched is there
        there = Signal(init=1)  # it is
        fresh = Signal()  # it is row 0
        full = Signal(2)  # parts of the input that lie in the banks, complete
        held = Signal()  # one of them is in use
        freed = Signal()
        full_next = Signal(len(full))
        m.d.comb += full_next.eq(full + self.input_full - freed)
        m.d.sync += [
            full.eq(full_next),
            self.input_room.eq(full_next <= self.input_double),
            last.eq(self.rows - 1),
            last_row.eq(self.row_index == last),
            ran.eq(0),
            self.take.eq(0),
            wait.eq(Mux(self.fetch, self.fetch_cycles - 1, Mux(there, 0, wait - 1))),
            there.eq(~self.fetch & (wait <= 1)),
        ]
        with m.If(freed):
            m.d.sync += [held.eq(0), self.part.eq(self.part ^ self.input_double)]
        with m.If(self.flush):
            m.d.sync += [full.eq(0), held.eq(0), self.part.eq(0), fresh.eq(0)]

        @contextmanager
        def state(name: str) -> Iterator[None]:
            with m.State(name):
                yield
                with m.If(self.abort):
                    m.next = "IDLE"

        def next_row() -> None:
            m.d.comb += freed.eq(row.frees_input & held)
            with m.If(last_row):
                m.d.comb += ended.eq(1)
                m.d.sync += done.eq(1)
                m.next = "IDLE"
            with m.Else():
                m.d.sync += self.row_index.eq(self.row_index + 1)
                m.d.sync += self.take.eq(1)
                m.next = "TAKE"

        with m.FSM():
            with state("IDLE"):
                m.d.comb += idle.eq(1)
                shift = ceil_log2(self.geometry.pixels)
                m.d.sync += self.row_index.eq(0)
                with m.If(there):
                    with m.If(fresh & self.input_ready), m.If(to_run):
                        m.d.sync += self.take.eq(1)
                        m.d.sync += [
                            done.eq(0),
                            to_run.eq(0),
                            total.eq((queued + self.geometry.pixels - 1) >> shift),
                        ]
                        m.next = "TAKE"
                    with m.Elif(~self.flush):
                        m.d.comb += self.rewind.eq(1)
                        m.next = "FETCH"
            with state("FETCH"):
                m.d.comb += [idle.eq(1), self.fetch.eq(1)]
                m.d.sync += fresh.eq(1)
                m.next = "IDLE"
            with state("TAKE"):
                m.next = "TAKEN"
            with state("TAKEN"):
                m.d.sync += [
                    after.eq(total - row.unit_first),
                    count.eq(row.unit_last + 1),
                    skipped.eq(total <= row.unit_first),
                ]
                m.next = "CHECK"
            with state("CHECK"):
                m.d.comb += self.rewind.eq(last_row)
                m.d.sync += fits.eq(after <= count)
                m.next = "UNITS"
            with state("UNITS"):
                m.d.comb += self.fetch.eq(1)
                m.d.sync += [
                    self.units.eq(Mux(fits, after, count)),
                    self.final.eq(row.ends & fits),
                    fresh.eq(last_row),
                ]
                with m.If(skipped):
                    m.next = "SKIP"
                with m.Else():
                    m.next = "INPUT"
            with state("SKIP"), m.If(there):
                next_row()
            with state("INPUT"):
                with m.If(row.from_input & (full == 0)):
                    m.d.comb += waits.eq(1)
                with m.Else():
                    m.d.sync += held.eq(held | row.from_input)
                    m.d.comb += self.row_start.eq(1)
                    m.next = "RUN"
            with state("RUN"):
                m.d.sync += ran.eq(self.row_done & there)
                with m.If(ran):
                    next_row()
