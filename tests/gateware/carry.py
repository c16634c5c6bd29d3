# SPDX-License-Identifier: Apache-2.0
"""A family's cells as plain logic, so that the element's other forms can be simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth import Cat, Const, Module, Mux, Signal, Value

from xnorflow.gateware.chains import Cell

__all__ = ["add_cells", "add_two_outputs"]


def _table(table: int, inputs: list[Value]) -> Value:
    return Value.cast(Const(table, 16).bit_select(Cat(inputs), 1))


def add_cells(m: Module, cells: list[Cell], sums: list[Signal | None]) -> None:
    """A chain as the documentation of ``Cell`` says; the carry into it is 1, to show nowhere."""
    carry: Value = Const(1)
    for at, cell in enumerate(cells):
        inputs = [Value.cast(value) for value in cell.inputs]
        inputs += [Const(1)] * (4 - len(inputs))
        propagate, generate, following = Signal(), Signal(), Signal()
        m.d.comb += [
            propagate.eq(_table(cell.table, inputs)),
            generate.eq(_table(cell.table, [*inputs[:2], Const(0, 1), Const(0, 1)])),
            following.eq(Mux(propagate, carry, generate)),
        ]
        result = sums[at] if at < len(sums) else None
        if result is not None:
            m.d.comb += result.eq(propagate ^ carry)
        carry = following


def add_two_outputs(
    m: Module, inputs: Sequence[Value], functions: Sequence[Callable[..., int]]
) -> list[Signal]:
    """Functions of up to five bits, each as its table."""
    outputs = []
    for function in functions:
        rows = range(1 << len(inputs))
        bits = [function(*(row >> at & 1 for at in range(len(inputs)))) & 1 for row in rows]
        table = sum(bit << row for row, bit in enumerate(bits))
        outputs.append(Signal(name="output"))
        m.d.comb += outputs[-1].eq(Const(table, len(rows)).bit_select(Cat(*inputs), 1))
    return outputs
