# SPDX-License-Identifier: Apache-2.0
"""The CRC-32 of the links: it is polynomial division, and its residue means a right check."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In

from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof

__all__ = ["PROOFS", "RESIDUE", "CrcProof", "divided"]

_POLYNOMIAL = 0xEDB88320
"""x^32 + x^26 + ... + 1 of Ethernet, without x^32, highest power in the lowest bit."""
RESIDUE = 0xDEBB20E3
"""The remainder of anything followed by its CRC."""
_BITS = 2
_STEPS = 32 // _BITS
"""In which as many bits come as a CRC has."""


def divided(remainder: Value, bits: Value) -> Value:
    """The remainder after some more bits, by long division, lowest bit first."""
    for bit in bits:
        out = remainder[0] ^ bit
        remainder = Cat(remainder[1:], Const(0, 1)) ^ Mux(out, _POLYNOMIAL, 0)
    return remainder


class CrcProof(wiring.Component):
    """Two bits a step, as the links use it, beside long division.

    ``match_detected`` is 1 exactly if the last 32 bits are the CRC of all that came before them.
    """

    def __init__(self) -> None:
        super().__init__({"start": In(1), "valid": In(1), "bits": In(_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        crc = CRC32_ISO_HDLC(data_width=_BITS).create()
        inside = Inside(crc, platform)
        m.submodules.crc = inside.fragment
        m.d.comb += [crc.start.eq(self.start), crc.valid.eq(self.valid), crc.data.eq(self.bits)]
        remainder = Signal(32, init=0xFFFFFFFF)
        step = Signal(32)
        m.d.comb += step.eq(divided(Mux(self.start, 0xFFFFFFFF, remainder), self.bits))
        with m.If(self.valid):
            m.d.sync += remainder.eq(step)
        with m.Elif(self.start):
            m.d.sync += remainder.eq(0xFFFFFFFF)
        m.d.comb += Assert(crc.crc == ~remainder)

        # What came in the last steps, and the remainders before them.
        came = Signal(32)  # the last 32 bits, oldest lowest
        steps = Signal(range(_STEPS + 1))
        with m.If(self.start):
            m.d.sync += steps.eq(self.valid)
        with m.Elif(self.valid & (steps != _STEPS)):
            m.d.sync += steps.eq(steps + 1)
        before: list[Value] = [remainder]  # of so many steps ago
        for age in range(_STEPS):
            older = Signal(32, name=f"remainder_{age + 1}_ago")
            with m.If(self.valid):
                m.d.sync += older.eq(Mux(self.start & (age == 0), 0xFFFFFFFF, before[-1]))
            before.append(older)
        with m.If(self.valid):
            m.d.sync += came.eq(Cat(came[_BITS:], self.bits))
        m.d.comb += Assert(steps <= _STEPS)
        for age in range(_STEPS):
            bits = came[32 - _BITS * (age + 1) :][:_BITS]
            with m.If(steps > age):
                m.d.comb += Assert(before[age] == divided(before[age + 1], bits))
        with m.If(steps == _STEPS):
            m.d.comb += Assert(crc.match_detected == (came == ~before[_STEPS]))
        return m


PROOFS = [
    Proof(
        "crc-32",
        "CRC is long division; match_detected exactly if the last 32 bits are the CRC of the rest",
        CrcProof,
        depth=2,
        fault=Edit("formal.crc", "crc.data.eq(" + "self.bits)", "crc.data.eq(self.bits[::-1])"),
    )
]
