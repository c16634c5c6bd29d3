# SPDX-License-Identifier: Apache-2.0
"""An accelerator with a clock of its own, behind ports of the host link's clock."""

from __future__ import annotations

from typing import Any

from amaranth import DomainRenamer, Module, Mux, Signal
from amaranth.lib import wiring

from xnorflow.gateware.accelerator import host_ports
from xnorflow.gateware.crossing import StreamCrossing, cross_pulse
from xnorflow.gateware.results import result_layout

__all__ = ["CrossedDevice"]


class CrossedDevice(wiring.Component):
    """Registers and streams of a device in the domain ``array``, for a link in ``sync``.

    A link is much slower than the array, and its paths would bound the array's clock. ``array``
    need not be related to ``sync``, but must not be slower.

    Parameters
    ----------
    device : Component
        Has the accelerator's registers and streams, and its ``geometry``.

    Members
    -------
    reg_address, reg_write, reg_write_data, reg_read_data, config, pixels, results
        As of the accelerator, in ``sync``. Writes are ``write_cycles`` apart or more. What an
        address reads is there ``read_cycles`` after the address, and follows the register as late.

    Timing
    ------
    A word of a stream takes about ten cycles.
    """

    _TURN = 8
    """Cycles of ``sync`` in which a request crosses and its answer comes back."""

    write_cycles = 2 * _TURN
    read_cycles = 3 * _TURN + 1

    def __init__(self, device: Any) -> None:
        self.device = device
        self.geometry = device.geometry
        super().__init__(host_ports())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        device = self.device
        m.submodules.device = DomainRenamer("array")(device)
        for name, ours, theirs in (
            ("config", self.config, device.config),
            ("pixels", self.pixels, device.pixels),
        ):
            shape = ours.payload.shape()
            m.submodules[name] = crossing = StreamCrossing(shape, source="sync", to="array")
            wiring.connect(m, wiring.flipped(ours), crossing.i)
            wiring.connect(m, crossing.o, theirs)
        m.submodules.results = crossing = StreamCrossing(result_layout, source="array", to="sync")
        wiring.connect(m, device.results, crossing.i)
        wiring.connect(m, crossing.o, wiring.flipped(self.results))
        self._registers(m)
        return m

    def _registers(self, m: Module) -> None:
        """Turn by turn a register is read, or written where a write is waiting."""
        device = self.device
        waiting, writes = Signal(), Signal()  # a write is; this turn's request is one
        address, written, value = Signal(8), Signal(8), Signal(32)
        turn = Signal(range(self._TURN))
        begins = Signal()
        m.d.comb += begins.eq(turn == 0)
        m.d.sync += turn.eq(turn + 1)
        with m.If(begins):
            m.d.sync += [
                writes.eq(waiting),
                waiting.eq(0),
                address.eq(Mux(waiting, written, self.reg_address)),
            ]
        with m.If(self.reg_write):
            m.d.sync += [
                waiting.eq(1),
                written.eq(self.reg_address),
                value.eq(self.reg_write_data),
            ]

        # What the request is made of stays until the next turn.
        asked = Signal()
        m.d.sync += asked.eq(begins)
        arrives = cross_pulse(m, asked, source="sync", to="array", name="request")
        answers, held = Signal(), Signal(32)
        m.d.comb += [
            device.reg_address.eq(address),
            device.reg_write.eq(arrives & writes),
            device.reg_write_data.eq(value),
        ]
        m.d.array += answers.eq(arrives)
        with m.If(answers):
            m.d.array += held.eq(device.reg_read_data)
        with m.If(begins & ~writes):
            m.d.sync += self.reg_read_data.eq(held)
