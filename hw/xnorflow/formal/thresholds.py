# SPDX-License-Identifier: Apache-2.0
"""The threshold unit: a code is the number of thresholds that the accumulator reaches."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.formal.checks import history
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.threshold import ThresholdUnit

__all__ = ["PROOFS", "ThresholdProof"]


class ThresholdProof(wiring.Component):
    """Any sorted thresholds, any accumulators; a layer of fewer lanes sees its own thresholds.

    Parameters
    ----------
    geometry : Geometry
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.unit = ThresholdUnit(geometry)
        members = self.unit.signature.members
        free = ("record", "record_valid", "values")
        super().__init__({"counts": In(1)} | {name: members[name] for name in free})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, unit = self.geometry, self.unit
        lanes, width = geometry.max_lanes, geometry.accumulator_width
        m.d.comb += [
            Assume(~ResetSignal()),
            unit.record.eq(self.record),
            unit.record_valid.eq(self.record_valid),
            unit.values.eq(self.values),
        ]
        inside = Inside(unit, platform)
        m.submodules.unit = inside.fragment

        given = Signal(geometry.record_bits)  # words shifted in from the top
        with m.If(self.record_valid):
            m.d.sync += given.eq(Cat(given, self.record)[len(self.record) :])
        m.d.comb += Assert(inside.signal("record") == given)

        # ``counts``: the value is one of the tile, so the record stays as long as it is needed.
        counts = history(m, self.counts, lanes, "counts")
        with m.If(self.record_valid):
            m.d.comb += Assume(~Cat(counts[:lanes]).any())

        below = [given[slot * width :][:width].as_signed() for slot in range((1 << lanes) - 1)]
        for used in range(1, lanes + 1):  # lanes of the layer
            step = 1 << (lanes - used)
            own = below[step - 1 :: step]  # T - 1 of its thresholds
            rises = Signal(name=f"rises_{used}")
            m.d.comb += rises.eq(Cat(a <= b for a, b in pairwise(own)).all())
            rose = history(m, rises, lanes, f"rises_{used}")[lanes]
            for pixel in range(geometry.pixels):
                accumulator = -self.values[pixel]
                reached = Signal(used, name=f"reached_{used}_{pixel}")
                m.d.comb += reached.eq(sum(accumulator > each for each in own))
                right = history(m, reached, lanes, f"reached_{used}_{pixel}")[lanes]
                with m.If(counts[lanes] & rose):
                    code = unit.codes[pixel].code
                    m.d.comb += Assert(code[lanes - used :] == right)
        direction = history(m, given[-1], lanes, "direction")[lanes]
        with m.If(counts[lanes]):
            m.d.comb += [Assert(code.pool_min == direction) for code in unit.codes]
        return m


def _proof(lanes: int, family: str, pixels: int = 1) -> Proof:
    geometry = Geometry.parse(
        f"2x1x2x8,max_lanes={lanes},accumulator_width=12,pixels={pixels},weight_bus=64"
    )
    return Proof(
        f"threshold-{lanes}-{family}" + (f"-{pixels}-pixels" if pixels > 1 else ""),
        "code = number of thresholds <= accumulator, for layers of every number of lanes",
        lambda: ThresholdProof(geometry),
        depth=lanes + 2,
        fault=Edit("gateware.threshold", "Cat(excess[-1], code)", "Cat(excess[-2], code)"),
        family=family,
    )


PROOFS = [
    _proof(1, "portable"),
    _proof(2, "portable", pixels=2),
    _proof(3, "portable"),
    _proof(3, "ecp5"),
    _proof(2, "xc7"),
]
