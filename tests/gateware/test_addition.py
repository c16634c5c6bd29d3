# SPDX-License-Identifier: Apache-2.0
"""Sums of one of two operands: each family's cells proved by SAT to be additions."""

from __future__ import annotations

import pytest
from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from tests.gateware.yosys import proof, prove

from xnorflow.gateware.addition import ChosenSum, add_chosen

# Bits of the total, the value and both operands; negative: signed.
WIDTHS = ((8, -8, -8, -8), (9, -6, -8, 3), (7, 9, 4, -5), (5, -2, 1, 1))


def sums(m: Module, bits: object, family: str) -> Value:
    """Sums of every width side by side, so that they share chains; one chooses nothing."""

    def number(width: int) -> Value:
        value = Cat(next(bits) for _ in range(abs(width)))  # type: ignore[call-overload]
        return value.as_signed() if width < 0 else value

    built, wrong = [], Const(0)
    for index, (size, *widths) in enumerate(WIDTHS):
        value, one, zero = map(number, widths)
        choice = next(bits) if index else Const(0)  # type: ignore[call-overload]
        total = Signal(signed(size), name=f"total_{index}")
        built.append(ChosenSum(total, value, one if index != 1 else Const(0), zero, choice))
        right = Signal(signed(size), name=f"right_{index}")
        m.d.comb += right.eq(value + Mux(choice, built[-1].when_1, zero))
        wrong = wrong | (total != right)
    add_chosen(m, family, built)
    return wrong


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
def test_sums_are_additions(family: str) -> None:
    prove(proof(sums, family), family)


def test_the_proof_can_fail() -> None:
    def build(m: Module, bits: object, family: str) -> Value:
        return ~sums(m, bits, family)

    with pytest.raises(AssertionError, match="FAIL"):
        prove(proof(build, "ecp5"), "ecp5")
