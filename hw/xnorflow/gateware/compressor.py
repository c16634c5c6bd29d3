# SPDX-License-Identifier: Apache-2.0
"""Counting mismatches with full adders of one LUT each, for FPGAs whose LUT has two outputs.

A LUT6_2 of the 7-series gives two functions of five inputs: the sum and the carry of three bits,
two of which may be the XOR of a word's bit and a weight's. A third XOR is made before, two in a
LUT. So n bits cost little more than a LUT for each bit that the count has less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from amaranth import Const, Module, Signal, Value
from amaranth.hdl import Instance

__all__ = ["Compressor"]


def two_outputs(
    m: Module, inputs: Sequence[Value], functions: Sequence[Callable[..., int]]
) -> list[Signal]:
    """A LUT6_2: up to two functions (of 0s and 1s) of up to five bits."""
    table = [0, 0]
    for index in range(32):
        values = [index >> at & 1 for at in range(len(inputs))]
        for half, function in enumerate(functions):
            table[half] |= (function(*values) & 1) << index
    outputs = [Signal(name=f"lut_{half}") for half in range(2)]
    m.submodules += Instance(
        "LUT6_2",
        p_INIT=Const(table[1] << 32 | table[0], 64),
        **{f"i_I{at}": inputs[at] if at < len(inputs) else Const(1) for at in range(6)},
        o_O5=outputs[0],
        o_O6=outputs[1],
    )
    return outputs[: len(functions)]


@dataclass(eq=False)
class Bit:
    """A bit to count, alone or as the XOR of two, with the LUTs between it and a register."""

    terms: tuple[Value, ...]
    luts: int = 0


@dataclass
class Compressor:
    """Bits of each weight, which full adders make fewer until a count is left.

    Parameters
    ----------
    m : Module
    name : str
        Of the registers.
    luts : int
        Most LUTs between two registers.
    columns : list of list of Bit
        The bits of weight 1, 2, 4, ...
    """

    m: Module
    name: str
    luts: int
    columns: list[list[Bit]] = field(default_factory=list)

    def count(
        self, pairs: Sequence[tuple[Value, Value]], levels: int, idle: Value
    ) -> tuple[Signal, Signal]:
        """The number of pairs that differ, and one more bit to add; of nothing where ``idle``.

        Parameters
        ----------
        pairs : sequence of pairs of Value
            A power of two of them.
        levels : int
            Registers between the pairs and the count.
        idle : Value
            In the cycle of the last register.

        Returns
        -------
        count : Signal
            As wide as the number of pairs less one.
        last : Signal
        """
        self.columns = [[Bit(pair) for pair in pairs]]
        for level in range(1, levels + 1):
            self._add()
            self._register(level, idle if level == levels else None)
        (zero, last), *others = self.columns
        assert all(len(column) == 1 for column in others), "too few levels"
        count = Signal(len(self.columns), name=f"count_{self.name}")
        parts = [zero, *(column[0] for column in others)]
        self.m.d.comb += [bit.eq(part.terms[0]) for bit, part in zip(count, parts, strict=True)]
        return count, Value.cast(last.terms[0])

    def _add(self) -> None:
        """Full adders, as many as the LUTs between two registers allow."""
        alone: list[tuple[tuple[Value, ...], Signal]] = []  # pairs whose XOR is wanted as a signal
        at = 0
        while at < len(self.columns):
            column = self.columns[at]
            while chosen := self._choose(column):
                for bit in chosen:
                    column.remove(bit)
                for bit in chosen[2:]:
                    if len(bit.terms) == 2:
                        self._alone(bit, alone)
                inputs = [term for bit in chosen for term in bit.terms]
                sizes = [len(bit.terms) for bit in chosen]
                carry, total = two_outputs(self.m, inputs, [_carry_of(sizes), _sum])
                luts = max(bit.luts for bit in chosen) + 1
                column.append(Bit((total,), luts))
                if at + 1 == len(self.columns):
                    self.columns.append([])
                self.columns[at + 1].append(Bit((carry,), luts))
            at += 1
        for column in self.columns:
            for bit in column:
                if len(bit.terms) == 2:
                    self._alone(bit, alone)
        for index in range(0, len(alone), 2):
            pairs = alone[index : index + 2]
            inputs = [term for terms, _ in pairs for term in terms]
            functions = [_first, _second][: len(pairs)]
            outputs = two_outputs(self.m, inputs, functions)
            for (_, wanted), made in zip(pairs, outputs, strict=True):
                self.m.d.comb += wanted.eq(made)

    @staticmethod
    def _alone(bit: Bit, alone: list[tuple[tuple[Value, ...], Signal]]) -> None:
        wanted = Signal(name="differs")
        alone.append((bit.terms, wanted))
        bit.terms, bit.luts = (wanted,), 1

    def _choose(self, column: list[Bit]) -> list[Bit]:
        """Three bits for the next full adder, XORs first; none if it would be too late."""
        ready = [bit for bit in column if bit.luts < self.luts]
        pairs = [bit for bit in ready if len(bit.terms) == 2]
        single = sorted((bit for bit in ready if len(bit.terms) == 1), key=lambda bit: bit.luts)
        if pairs and single:
            # As late a bit as may be: the early ones can wait for others.
            chosen = [*pairs[:2], *single[-(3 - len(pairs[:2])) :]]
        else:
            chosen = [*pairs[:3], *single][:3]
        return chosen if len(chosen) == 3 else []

    def _register(self, level: int, idle: Value | None) -> None:
        for at, column in enumerate(self.columns):
            for index, bit in enumerate(column):
                later = Signal(name=f"bit_{self.name}_{level}_{at}_{index}", reset_less=True)
                self.m.d.sync += later.eq(bit.terms[0])
                if idle is not None:
                    with self.m.If(idle):
                        self.m.d.sync += later.eq(0)
                column[index] = Bit((later,))


def _first(*terms: int) -> int:
    return terms[0] ^ terms[1]


def _second(*terms: int) -> int:
    return terms[2] ^ terms[3]


def _sum(*terms: int) -> int:
    return sum(terms)


def _carry_of(sizes: Sequence[int]) -> Callable[..., int]:
    """The carry of three bits, each the XOR of so many inputs."""

    def carry(*terms: int) -> int:
        values, at = [], 0
        for size in sizes:
            values.append(sum(terms[at : at + size]) & 1)
            at += size
        return sum(values) >> 1

    return carry
