# SPDX-License-Identifier: Apache-2.0
"""Choices in few cells: one of a few words, and sums of one of two operands."""

from __future__ import annotations

from functools import partial

from amaranth import Array, Const, Module, Mux, Signal, signed
from amaranth.hdl import Assert, Assume
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from xnorflow.formal.proof import Edit, Proof
from xnorflow.gateware.addition import ChosenSum, add_chosen
from xnorflow.gateware.selector import Selector
from xnorflow.gateware.target import family_of

__all__ = ["PROOFS", "ChosenSumProof", "SelectorProof"]

WORD_BITS = 3


class SelectorProof(wiring.Component):
    """Any words, any index; the index behind the last one selects 0."""

    def __init__(self, count: int) -> None:
        self.count = count
        words = data.ArrayLayout(WORD_BITS, count)
        super().__init__({"words": In(words), "index": In(range(count + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        selector = Selector(family_of(platform), self.count)
        chosen = selector.select(list(self.words), selector.controls(self.index))
        right = Array([*self.words, Const(0, WORD_BITS)])[self.index]
        m.d.comb += [Assume(self.index <= selector.none), Assert(chosen == right)]
        return m


class ChosenSumProof(wiring.Component):
    """``value`` and the chosen operand, signed, cut to the total's bits; two sums share chains."""

    def __init__(self, width: int) -> None:
        self.width = width
        number = signed(width)
        super().__init__(
            {
                name: In(data.ArrayLayout(number, 2)) for name in ("value", "one", "zero")
            } | {"choice": In(2)}
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = [
            ChosenSum(
                Signal(signed(self.width + 1), name=f"total_{at}"),
                self.value[at], self.one[at], self.zero[at], self.choice[at],
            )
            for at in range(2)
        ]  # fmt: skip
        add_chosen(m, family_of(platform), sums)
        for each in sums:
            right = Signal(each.total.shape(), name=f"{each.total.name}_right")
            m.d.comb += [
                right.eq(each.value + Mux(each.choice, each.when_1, each.when_0)),
                Assert(each.total == right),
            ]
        return m


PROOFS = [
    *(
        Proof(
            f"selector-{count}-{family}",
            "the chosen word, or 0 for the index behind the last one",
            partial(SelectorProof, count),
            depth=1,
            fault=fault,
            family=family,
            fault_depth=1,
        )
        for family, fault, counts in (
            (
                "portable",
                Edit("gateware.selector", "Mux(controls[-1], 0, chosen)", "chosen"),
                (3, 9),
            ),
            (
                "ecp5",
                Edit("gateware.selector", "return second if pair == 0", "return 0 if pair == 0"),
                (2, 3, 9),
            ),
        )
        for count in counts
    ),
    *(
        Proof(
            f"chosen-sum-24-{family}",
            "value + (one if choice else zero), two sums side by side in shared carry chains",
            lambda: ChosenSumProof(24),
            depth=1,
            fault=Edit("gateware.chains", "0xCCF0 if bit is None else 0x665A",
                       "0xCCF0 if bit is None else 0x666A"),
            family=family,
            fault_depth=1,
        )
        for family in ("ecp5", "xc7")
    ),
]  # fmt: skip
