# SPDX-License-Identifier: Apache-2.0
"""What is synthesised: the accelerator as it meets pins, and the array alone with its banks."""

from __future__ import annotations

from amaranth import Cat, ClockDomain, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.accelerator import Accelerator
from xnorflow.gateware.array import RowSkew, SystolicArray

__all__ = ["BareArray", "Chip"]


class BareArray(wiring.Component):
    """:class:`RowSkew` and :class:`SystolicArray` without what feeds them and uses their sums.

    A bound for the whole accelerator, not a design to use. A package has too few pins for its
    ports: the registers before them are one shift register, and those behind the sums another,
    which costs a LUT a bit of the sums.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__({"scan_in": In(1), "scan_out": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.skew = skew = RowSkew(geometry)
        m.submodules.array = array = SystolicArray(geometry)
        inputs = (
            *(skew.words, skew.masks, skew.shift),
            *(array.double, array.load, array.bus, array.record),
        )
        ports = Cat(Value.cast(port) for port in inputs)
        before = Signal(len(ports))
        sums = Cat(Value.cast(array.sums))
        behind = Signal(len(sums))
        m.d.sync += [
            before.eq(Cat(self.scan_in, before)),
            behind.eq(Cat(before[-1], behind) ^ sums),
        ]
        m.d.comb += [
            ports.eq(before),
            self.scan_out.eq(behind[-1]),
            array.words.eq(skew.skewed_words),
            array.masks.eq(skew.skewed_masks),
            array.shifts.eq(skew.skewed_shifts),
        ]
        return m


class Chip(wiring.Component):
    """The accelerator without the ports that only a simulation watches.

    Without a reset too: a bitstream says what registers begin with, and the host can abort.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.accelerator = Accelerator(geometry, build_hash=0)
        members = self.accelerator.signature.members
        self.ports = {name: port for name, port in members.items() if name[:4] != "tap_"}
        super().__init__({"clk": In(1), **self.ports})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.d.comb += domain.clk.eq(self.clk)
        m.submodules.accelerator = self.accelerator
        for name, member in self.ports.items():
            ours, theirs = getattr(self, name), getattr(self.accelerator, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(ours), theirs)
            elif member.flow is In:
                m.d.comb += theirs.eq(ours)
            else:
                m.d.comb += ours.eq(theirs)
        return m
