# SPDX-License-Identifier: Apache-2.0
"""The register block: what is written is read back, and commands are pulses."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import REGISTERS, Command
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.registers import RegisterBlock, constant_values

__all__ = ["PROOFS", "RegisterProof"]

BUILD_HASH = 0x1234ABCD
SHOWN = ("status", "error", "blocks", "cycles", "wait_cycles")


class RegisterProof(wiring.Component):
    """Any accesses; resets in between."""

    def __init__(self) -> None:
        shown = dict.fromkeys(SHOWN, In(32))
        super().__init__({"address": In(8), "write": In(1), "write_data": In(32), **shown})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = Geometry.parse("3x2x8x32")
        m.submodules.block = block = RegisterBlock(geometry, build_hash=BUILD_HASH)
        m.d.comb += [
            getattr(block, name).eq(getattr(self, name))
            for name in ("address", "write", "write_data", *SHOWN)
        ]

        # A write counts where its register is writable, and nowhere else.
        writes = {
            name: self.write & (self.address == register.index)
            for name, register in REGISTERS.items()
            if register.access == "rw"
        }
        images = Signal(16)
        with m.If(writes["images"]):
            m.d.sync += images.eq(self.write_data)
        m.d.comb += Assert(block.images == images)
        for pulse, command in ((block.run, Command.RUN), (block.abort, Command.ABORT)):
            asked = Signal(name=f"asked_{command.name}")
            m.d.sync += asked.eq(writes["command"] & (self.write_data == command))
            m.d.comb += Assert(pulse == asked)

        # A read shows the register a cycle later; where there is none, 0.
        values = {
            **constant_values(geometry, BUILD_HASH),
            **{name: getattr(self, name) for name in SHOWN},
            "images": images,
            "command": 0,
        }
        shown = Signal(32)
        right = 0
        for name, register in REGISTERS.items():
            right = Mux(self.address == register.index, values[name], right)
        m.d.sync += shown.eq(right)
        m.d.comb += Assert(block.read_data == shown)
        return m


PROOFS = [
    Proof(
        "registers",
        "every register reads as what it shows, images as written; run and abort pulse once",
        RegisterProof,
        depth=3,
        fault=Edit(
            "gateware.registers", "self.write_data == Command.ABORT", "self.write_data != 0"
        ),
    )
]
