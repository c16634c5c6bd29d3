# SPDX-License-Identifier: Apache-2.0
"""Additions of one of two operands, with the choice inside the adder's own cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Const, Module, Mux, Signal, Value

from xnorflow.gateware.chains import Adder, Cell, add_chains
from xnorflow.gateware.target import PORTABLE

__all__ = ["ChosenSum", "add_chosen"]

CHAIN_POSITIONS = 40
"""Most positions of a carry chain: two sums of 18 bits."""


@dataclass(frozen=True)
class ChosenSum:
    """``total = value + (when_1 if choice else when_0)``, cut to the bits of ``total``.

    ``value``, ``when_1`` and ``when_0`` are taken as they are signed or unsigned.
    """

    total: Signal
    value: Value
    when_1: Value
    when_0: Value
    choice: Value


def add_chosen(m: Module, family: str, sums: Sequence[ChosenSum]) -> None:
    """Build the sums, without registers; in carry chains that they share, if there are any."""
    if family == PORTABLE:
        m.d.comb += [
            each.total.eq(each.value + Mux(each.choice, each.when_1, each.when_0)) for each in sums
        ]
        return
    adders = []
    for each in sums:
        cells = []
        for at in range(len(each.total)):
            value, one, zero = (
                _bit(operand, at) for operand in (each.value, each.when_1, each.when_0)
            )
            cells.append(Cell.choose(value, one, zero, each.choice))
        adders.append(Adder((), tuple(cells), each.total))
    add_chains(m, family, adders, cap=CHAIN_POSITIONS)


def _bit(operand: Value, at: int) -> Value:
    """A bit of a number that goes on with its sign, or with 0."""
    if at < len(operand):
        return operand[at]
    return operand[-1] if operand.shape().signed else Const(0)
