# SPDX-License-Identifier: Apache-2.0
"""Control: every run that is accepted receives its images once and runs once; parts of the input
are counted right."""

from __future__ import annotations

from amaranth import Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import Status
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.control import Control

__all__ = ["PROOFS", "ControlProof"]

_FREE = (
    "run", "abort", "images", "rows", "block", "bad_packet", "row", "input_ready", "input_idle",
    "input_full", "input_double", "row_done", "waiting",
)  # fmt: skip


class ControlProof(wiring.Component):
    """Any commands and rows; the formatter completes parts only where there was room.

    What is owed is counted: a run that shows as queued is owed one start of the input and one of
    the rows, and none is owed where nothing was accepted. An abort owes nothing.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.control = Control(geometry, flush_cycles=3, fetch_cycles=3)
        members = self.control.signature.members
        super().__init__({name: members[name] for name in _FREE})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        inside = Inside(control, platform)
        m.submodules.control = inside.fragment
        m.d.comb += Assume(~ResetSignal())
        m.d.comb += [getattr(control, name).eq(getattr(self, name)) for name in _FREE]

        # A run that the status calls queued is owed both starts, each of them once.
        queued, begins = Signal(), Signal()
        inputs_owed, rows_owed = Signal(2), Signal(2)
        accepted = inside.signal("accepted")
        m.d.comb += [
            queued.eq((control.status & Status.QUEUED) != 0),
            begins.eq(control.take & (control.row_index == 0)),
            Assert(queued == (accepted | (inputs_owed != 0) | (rows_owed != begins))),
        ]
        m.d.sync += [
            inputs_owed.eq(Mux(self.abort, 0, inputs_owed + accepted - control.input_start)),
            rows_owed.eq(Mux(self.abort, 0, rows_owed + accepted - begins)),
        ]
        with m.If(begins):
            m.d.comb += Assert(rows_owed == 1)
        with m.If(control.input_start):
            m.d.comb += [Assert(inputs_owed == 1), Assert(self.input_idle & self.input_ready)]
        with m.If(accepted):
            m.d.comb += [Assert(self.run), Assert(inputs_owed == 0), Assert(rows_owed == begins)]
        with m.If(queued):
            m.d.comb += Assert((control.status & Status.BUSY) != 0)

        # Parts of the input: at most as many as there is room for, and none used before it is
        # complete, nor by two rows at once.
        parts, running = Signal(2), Signal()
        roomy = Signal()  # a part may be under way: there was room since the last one
        double = Signal()
        ran = inside.signal("ran")
        stops = self.abort | control.flush
        m.d.sync += [
            double.eq(self.input_double),
            roomy.eq((control.input_room | roomy) & ~self.input_full & ~stops),
            running.eq((running | control.row_start) & ~ran & ~stops),
            parts.eq(Mux(stops, 0, parts + self.input_full - inside.signal("freed"))),
        ]
        begun = Signal()
        m.d.sync += begun.eq(1)
        with m.If(begun):
            m.d.comb += Assume(self.input_double == double)
        with m.If(self.input_full):
            m.d.comb += Assume((roomy | control.input_room) & ~stops)
        with m.If(self.row_done):
            m.d.comb += Assume(running)
        m.d.comb += Assert(parts <= 1 + self.input_double)
        with m.If(inside.signal("freed")):
            m.d.comb += Assert(parts != 0)
        with m.If(control.row_start):
            m.d.comb += Assert(~running)
            with m.If(self.row.from_input):
                m.d.comb += Assert(parts != 0)
        return m


PROOFS = [
    Proof(
        "control-queue",
        "an accepted run starts the input once and the rows once; no part is used before it came",
        lambda: ControlProof(Geometry.parse("2x1x2x8,accumulator_width=12")),
        depth=24,
        bounded=True,
        fault=Edit("gateware.control", "asked.eq(self.run & ~self.flush & ~to_run & ~to_receive)",
                   "asked.eq(self.run & ~self.flush & ~to_run)"),
        fault_depth=24,
    )
]  # fmt: skip
