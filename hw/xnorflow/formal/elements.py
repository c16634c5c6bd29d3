# SPDX-License-Identifier: Apache-2.0
"""The row of processing elements: packed counts are sums of XOR bits, in every family's form."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from xnorflow.core.geometry import Geometry
from xnorflow.formal.checks import count_ones, history
from xnorflow.formal.inside import Inside
from xnorflow.formal.proof import Edit, Proof
from xnorflow.formal.resting import WeightLoads
from xnorflow.gateware.element import TWO_OUTPUTS, ElementRow
from xnorflow.gateware.popcount import PopcountTree
from xnorflow.gateware.target import PORTABLE, family_of

__all__ = ["PROOFS", "ElementProof"]


class ElementProof(wiring.Component):
    """``sums_out`` is the sum from above and the number of bits in which word and weights differ.

    The weights are those that were loaded; where a family's form spreads a load over the levels,
    each bit's is the one that rests when its word's bit comes (:mod:`xnorflow.formal.resting`
    proves that this is the loaded one). The environment is what :class:`ElementRow` asks for.

    Parameters
    ----------
    geometry : Geometry
    row : int
    """

    def __init__(self, geometry: Geometry, row: int) -> None:
        self.geometry = geometry
        self.row = row
        self.element = ElementRow(geometry, row=row)
        members = self.element.signature.members
        free = ("words", "idle", "weights", "double", "sums_in")
        super().__init__({"load": In(1)} | {name: members[name] for name in free})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, element = self.geometry, self.element
        self._form = family_of(platform)
        m.d.comb += Assume(~ResetSignal())  # elements have none
        loads = WeightLoads(m, element, self.load, self.weights)
        for name in ("words", "idle", "double", "sums_in"):
            m.d.comb += getattr(element, name).eq(getattr(self, name))
        self._inside = inside = Inside(element, platform)
        m.submodules.element = inside.fragment
        tree, cycles = element.tree, element.tree.cycles
        registered = [level for level in range(1, tree.levels + 1) if tree.registered(level)]
        idle = history(m, self.idle, cycles, "idle")
        for column in range(geometry.columns_per_hop):
            resting = self._resting(m, column, loads.loaded[column])
            for pixel in range(geometry.pixels):
                place = f"{column}_{pixel}"
                differ = self._differ(m, place, self.words[pixel], resting)
                for cycle, level in enumerate(registered, 1):
                    cleared = idle[cycle][pixel] if cycle == cycles else Const(0)
                    self._registers(m, place, cycle, level, differ[cycle], cleared)
                count = Mux(idle[cycles][pixel], 0, self._count(differ[cycles]))
                self._sum(m, column * geometry.pixels + pixel, count, idle[cycles][pixel])
        return m

    def _resting(self, m: Module, column: int, loaded: Signal) -> list[Value]:
        """The weights' bits, each at the time at which the word's bit comes."""
        if self._form == PORTABLE:
            resting = list(self._inside.signal(f"resting_{column}"))
        else:
            bits = range(self.geometry.word_width)
            resting = [self._inside.signal(f"resting_{column}_{bit}") for bit in bits]
        if self._form == PORTABLE or self._form in TWO_OUTPUTS:
            m.d.comb += Assert(Cat(resting) == loaded)
        return resting

    def _differ(
        self, m: Module, place: str, word: Value, resting: list[Value]
    ) -> list[list[Value]]:
        """For each cycle, the bits that differ; those that enter later are 0."""
        tree = self.element.tree
        late = self._form != PORTABLE and self._form not in TWO_OUTPUTS
        cycles: list[list[Value]] = [[Const(0, 1)] * tree.width for _ in range(tree.cycles + 1)]
        words = history(m, word, tree.cycles - 1, f"word_{place}")
        for bit in range(tree.width):
            delay = tree.delay(bit) if late else 0
            met = words[delay][bit] ^ resting[bit]
            values = history(m, met, tree.cycles - delay, f"differs_{place}_{bit}")
            for cycle, value in enumerate(values[1:], 1):
                cycles[delay + cycle][bit] = value
        return cycles

    def _total(self, level: int, node: int, differ: list[Value]) -> Value:
        """Sum of the bits that entered below a node of the tree, each of them once."""
        tree = self.element.tree
        width = tree.width.bit_length()
        if level == 1:
            return count_ones([differ[bit] for bit in tree.leaf(node)], width)
        bit = differ[2 * tree.slot(level, node) + 1]
        below = (self._total(level - 1, 2 * node + side, differ) for side in range(2))
        return (sum(below) + bit)[:width]

    def _count(self, differ: list[Value]) -> Value:
        """Sum of all bits: in the tree's order, as solvers find sums in another order hard."""
        tree = self.element.tree
        if self._form in TWO_OUTPUTS:
            return count_ones(differ, tree.width.bit_length())
        return self._total(tree.levels, 0, differ) + differ[1]

    def _registers(
        self, m: Module, place: str, cycle: int, level: int, differ: list[Value], cleared: Value
    ) -> None:
        """A level's counts are sums of the bits that entered so far; the last one is cleared."""
        inside, tree = self._inside, self.element.tree
        if self._form in TWO_OUTPUTS:
            name = f"bit_{place}_{cycle}_"
            weighted = [
                Cat(Const(0, int(bit.name[len(name) :].split("_")[0])), bit)
                for bit in inside.signals
                if bit.name.startswith(name)
            ]
            m.d.comb += Assert(sum(weighted) == Mux(cleared, 0, self._count(differ)))
            return
        for node in range(tree.nodes(level)):
            if self._form == PORTABLE:
                fields = inside.signal(f"fields_{place}_{level}")
                count = fields[node << level :][: level + 1]
            else:
                count = inside.signal(f"count_{place}_{level}_{node}")
            m.d.comb += Assert(count == Mux(cleared, 0, self._total(level, node, differ)))
        if self._form == PORTABLE:
            slots = inside.signal(f"slots_{place}_{level}")
            for at in range(0, tree.half, 1 << level):
                m.d.comb += Assert(slots[at] == Mux(cleared, 0, differ[at + 1]))

    def _sum(self, m: Module, index: int, count: Value, idle: Value) -> None:
        """The sum from above, doubled if asked for, and the count: a cycle later."""
        geometry, row = self.geometry, self.row
        above: Value = self.sums_in[index] if row else Const(0, 1)
        if geometry.doubles(row):
            above = Mux(self.double, above << 1, above)
        elif row:
            with m.If(above > geometry.count_bound(row - 1)):
                m.d.comb += Assume(idle)
        right = Signal(geometry.sum_width(row), name=f"right_{index}")
        m.d.sync += right.eq(above + count)
        m.d.comb += Assert(self.element.sums_out[index] == right)


_FAULTS = {
    PORTABLE: Edit(
        "gateware.element", "own = tree.mask(2 * stride, level + 1)",
        "own = tree.mask(2 * stride, level)",
    ),
    "ecp5": Edit(
        "gateware.element", "(2 * tree.slot(level, node) + 1,))", "(2 * tree.slot(level, node),))"
    ),
    "xc7": Edit("gateware.compressor", "return sum(values) >> 1", "return sum(values) >> 2"),
}  # fmt: skip


def _proof(shape: str, row: int, family: str) -> Proof:
    geometry = Geometry.parse(shape)
    suffix = "-doubling" if geometry.doubles(row) else ""
    suffix += f"-{geometry.pixels}-pixels" if geometry.pixels > 1 else ""
    suffix += "-every-level" if geometry.popcount_levels == 1 else ""
    return Proof(
        f"element-{geometry.word_width}-{family}{suffix}",
        "sums_out = (sums_in << double) + popcount(word ^ weights), or + 0 where idle",
        lambda: ElementProof(geometry, row),
        depth=PopcountTree.of(geometry).levels + 2,
        fault=_FAULTS[family],
        family=family,
    )


_WIDTHS = {PORTABLE: (8, 16, 32, 64), "ecp5": (8, 16, 32, 64), "xc7": (8, 16)}

PROOFS = [
    *(_proof(f"2x1x3x{width}", 1, form) for form, widths in _WIDTHS.items() for width in widths),
    *(_proof(f"2x1x3x{width},popcount_levels=1", 1, "ecp5") for width in (16, 64)),
]
