# SPDX-License-Identifier: Apache-2.0
"""Resting weights: what a word's bit meets is what was loaded, however late it comes."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.hdl import Assert, Assume
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.formal.checks import history
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.resting import windowed_loads

__all__ = ["PROOFS", "RestingProof", "WeightLoads"]


class WeightLoads:
    """Loads of an element's weights, as the array makes them.

    Parameters
    ----------
    m : Module
    element : ElementRow
    load : Value
        A free input.
    weights : ArrayLayout
        Free inputs.
    """

    def __init__(self, m: Module, element: ElementRow, load: Value, weights: data.View) -> None:
        geometry = element.geometry
        cycles, beat = geometry.weight_load_cycles, geometry.weight_beat
        windows = element.load_windows(geometry)
        m.d.comb += [
            element.loads.eq(windowed_loads(m, load, windows, name="row")),
            element.weights.eq(weights),
        ]
        done = Signal(range(cycles + 1))  # cycles of this load; after the last one comes a gap
        m.d.sync += done.eq(Mux(load, done + 1, 0))
        self.inner = Signal()
        """A load's cycle but its first one: words must be idle."""
        m.d.comb += [Assert(done <= cycles), self.inner.eq((done != 0) & (done != cycles))]
        with m.If(done == cycles):
            m.d.comb += Assume(~load)
        with m.If(self.inner):
            m.d.comb += [Assume(load), Assume(element.idle.all())]
        self.loaded: list[Signal] = []
        """A column's weights, shifted as they come."""
        for column in range(geometry.columns_per_hop):
            loaded = Signal(geometry.word_width, name=f"loaded_{column}")
            with m.If(load):
                m.d.sync += loaded.eq(Cat(loaded, weights[column])[beat:])
            self.loaded.append(loaded)


class RestingProof(wiring.Component):
    """Bit b of a word that counts meets, ``delay(b)`` cycles later, bit b of the loaded weights.

    Parameters
    ----------
    geometry : Geometry
        Its ``weight_bus`` gives the cycles of a load.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.element = ElementRow(geometry, row=0)
        weights = self.element.signature.members["weights"]
        super().__init__({"load": In(1), "weights": weights, "idle": In(1)})

    @staticmethod
    def depth(geometry: Geometry) -> int:
        """Cycles of the induction: whatever was loaded before has come to rest."""
        return geometry.weight_load_cycles + 2 * (geometry.popcount_cycles + 1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, element = self.geometry, self.element
        tree = element.tree
        latest = tree.levels - 1
        m.d.comb += [Assume(~ResetSignal()), element.idle.eq(self.idle)]
        loads = WeightLoads(m, element, self.load, self.weights)
        inside = Inside(element, platform)
        m.submodules.element = inside.fragment

        quiet = Signal(range(latest + 2), init=latest + 1)  # cycles after a load
        m.d.sync += quiet.eq(Mux(self.load, 0, quiet + (quiet <= latest)))
        m.d.comb += Assert(quiet <= latest + 1)
        idle = history(m, self.idle, latest, "idle")
        for column in range(geometry.columns_per_hop):
            loaded = history(m, loads.loaded[column], latest, f"loaded_{column}")
            for bit in range(tree.width):
                resting = inside.signal(f"resting_{column}_{bit}")
                late = latest - tree.delay(bit)
                met = history(m, resting, late, f"resting_{column}_{bit}")[late]
                started = history(m, Const(1, 1), latest, f"started_{column}_{bit}")[latest]
                with m.If(started & ~idle[latest]):
                    m.d.comb += Assert(met == loaded[latest][bit])
                with m.If(quiet > latest):
                    m.d.comb += Assert(resting == loads.loaded[column][bit])
        return m


_TOO_EARLY = Edit("gateware.resting", "- depth - shift, 0)", "- depth - shift - 1, 0)")
_OTHER_LANE = Edit(
    "gateware.resting", "bits[bit].eq(sources[bit % beat])", "bits[bit].eq(sources[bit % beat - 1])"
)


def _proof(shape: str, fault: Edit) -> Proof:
    geometry = Geometry.parse(shape)
    suffix = "-every-level" if geometry.popcount_levels == 1 else ""
    return Proof(
        f"resting-{geometry.word_width}-by-{geometry.weight_beat}{suffix}",
        "a word's bit, as late as it comes, meets the loaded weight; loads and words in any order",
        lambda: RestingProof(geometry),
        depth=RestingProof.depth(geometry),
        fault=fault,
        family="ecp5",
    )


PROOFS = [
    _proof(shape, fault)
    for shape, fault in (
        ("2x1x3x8,weight_bus=8", _OTHER_LANE),
        ("2x1x3x16,weight_bus=8", _OTHER_LANE),
        ("2x1x3x32,weight_bus=16", _OTHER_LANE),
        ("2x1x3x64,weight_bus=32", _OTHER_LANE),
        ("3x3x3x64,weight_bus=288", _TOO_EARLY),
        ("2x1x3x64,weight_bus=512", _TOO_EARLY),
        ("2x1x3x64,weight_bus=32,popcount_levels=1", _OTHER_LANE),
        ("3x3x3x64,weight_bus=288,popcount_levels=1", _TOO_EARLY),
    )
]
