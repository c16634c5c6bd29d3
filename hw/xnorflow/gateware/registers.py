# SPDX-License-Identifier: Apache-2.0
"""The register block: the table of core/registers.py as hardware."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import INTERFACE_VERSION, MAGIC, REGISTERS, Command

__all__ = ["RegisterBlock"]


class RegisterBlock(wiring.Component):
    """Constants, commands and status behind a one-cycle word bus.

    Parameters
    ----------
    geometry : Geometry
        What the constant registers report.
    build_hash : int
        First 32 bits of the design's hash.

    Members
    -------
    address : In(8)
        Register index.
    write, write_data : In(1), In(32)
        Write in this cycle.
    read_data : Out(32)
        The register at the address of the cycle before; 0 where there is none.
    run, abort : Out(1)
        Pulses from the ``command`` register.
    images : Out(16)
        Images in the next block.
    status, error, blocks, cycles, wait_cycles : In(32)
        What the registers of these names show.
    """

    def __init__(self, geometry: Geometry, *, build_hash: int) -> None:
        self.geometry = geometry
        self.build_hash = build_hash
        super().__init__(
            {
                "address": In(8),
                "write": In(1),
                "write_data": In(32),
                "read_data": Out(32),
                "run": Out(1),
                "abort": Out(1),
                "images": Out(16),
                "status": In(32),
                "error": In(32),
                "blocks": In(32),
                "cycles": In(32),
                "wait_cycles": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = {
            **constant_values(self.geometry, self.build_hash),
            "command": 0,
            "images": self.images,
            "status": self.status,
            "error": self.error,
            "blocks": self.blocks,
            "cycles": self.cycles,
            "wait_cycles": self.wait_cycles,
        }
        with m.Switch(self.address):
            for register in REGISTERS.values():
                with m.Case(register.index):
                    m.d.sync += self.read_data.eq(values[register.name])
            with m.Default():
                m.d.sync += self.read_data.eq(0)
        command = Signal()
        m.d.comb += command.eq(self.write & (self.address == REGISTERS["command"].index))
        m.d.sync += [
            self.run.eq(command & (self.write_data == Command.RUN)),
            self.abort.eq(command & (self.write_data == Command.ABORT)),
        ]
        with m.If(self.write & (self.address == REGISTERS["images"].index)):
            m.d.sync += self.images.eq(self.write_data)
        return m


def constant_values(geometry: Geometry, build_hash: int) -> dict[str, int]:
    """What the constant registers hold."""
    return {
        "magic": MAGIC,
        "version": INTERFACE_VERSION,
        "build_hash": build_hash,
        "shape": geometry.streams
        | geometry.taps << 8
        | geometry.columns << 16
        | geometry.word_width << 24,
        "activation_depth": geometry.activation_depth,
        "weight_depth": geometry.weight_depth,
        "accumulator_depth": geometry.accumulator_depth,
        "layer_depth": geometry.layer_depth,
        "scale_depth": geometry.scale_depth,
        "pool_depth": geometry.pool_depth,
        "pixels_and_bus": geometry.pixels | geometry.weight_bus << 16,
        "limits": geometry.limits_hash,
        "widths": geometry.max_lanes
        | geometry.accumulator_width << 8
        | geometry.scale_width << 16
        | geometry.popcount_levels << 24,
    }
