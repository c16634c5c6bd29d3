# SPDX-License-Identifier: Apache-2.0
"""The compressor: its cells proved by SAT; it counts pairs that differ, in time, at any width."""

from __future__ import annotations

import random

import pytest
from amaranth import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from tests.gateware.carry import add_two_outputs
from tests.gateware.helpers import popcount, trace
from tests.gateware.yosys import proof, prove

from xnorflow.gateware import compressor
from xnorflow.gateware.compressor import Bit, Compressor
from xnorflow.gateware.element import LUTS
from xnorflow.gateware.popcount import PopcountTree


def adders(m: Module, bits: object, family: str) -> Value:
    """One level of full adders over XORs and single bits: what goes in is what comes out."""
    pairs = [Bit((next(bits), next(bits))) for _ in range(7)]  # type: ignore[call-overload]
    single = [Bit((next(bits),)) for _ in range(2)]  # type: ignore[call-overload]
    right = sum(bit.terms[0] ^ bit.terms[1] for bit in pairs) + sum(b.terms[0] for b in single)
    compressed = Compressor(m, "proof", LUTS[2], columns=[[*pairs, *single]])
    compressed._add()
    assert all(len(bit.terms) == 1 for column in compressed.columns for bit in column)
    assert sum(map(len, compressed.columns)) < 9
    return right != sum(
        bit.terms[0] << weight for weight, column in enumerate(compressed.columns) for bit in column
    )


def test_full_adders_keep_the_sum() -> None:
    prove(proof(adders, "xc7"), "xc7")


def test_the_proof_can_fail() -> None:
    with pytest.raises(AssertionError, match="FAIL"):
        prove(proof(lambda *build: ~adders(*build), "xc7"), "xc7")


def test_the_tests_own_cells_are_the_familys() -> None:
    """What tests simulate instead of LUT6_2."""

    def build(m: Module, bits: object, family: str) -> Value:
        wrong = Const(0)
        for size in (2, 3, 4, 5):
            inputs = [next(bits) for _ in range(size)]  # type: ignore[call-overload]
            functions = [lambda *b: b[0] & ~b[-1], lambda *b: sum(b) >> 1]
            for ours, theirs in zip(
                add_two_outputs(m, inputs, functions),
                compressor.two_outputs(m, inputs, functions),
                strict=True,
            ):
                wrong = wrong | (ours != theirs)
        return wrong

    prove(proof(build, "xc7"), "xc7")


class Count(wiring.Component):
    def __init__(self, width: int, levels: int, luts: int) -> None:
        self.width, self.levels, self.luts = width, levels, luts
        super().__init__(
            {"a": In(width), "b": In(width), "idle": In(1), "o": Out(range(width + 1))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        idle: Value = self.idle
        for level in range(1, self.levels):
            later = Signal(name=f"idle_{level}")
            m.d.sync += later.eq(idle)
            idle = later
        pairs = list(zip(self.a, self.b, strict=True))
        count, last = Compressor(m, "count", self.luts).count(pairs, self.levels, idle)
        assert len(count) == (self.width - 1).bit_length()
        m.d.comb += self.o.eq(count + last)
        return m


@pytest.mark.parametrize("step", LUTS)
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_counts_pairs_that_differ(width: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many levels as the tree of carry chains has."""
    monkeypatch.setattr(compressor, "two_outputs", add_two_outputs)
    levels, rng = PopcountTree(width, step).cycles, random.Random(width)
    ones = (1 << width) - 1
    inputs = [{"a": rng.getrandbits(width), "b": rng.getrandbits(width)} for _ in range(200)]
    inputs += [{"a": ones << at & ones, "b": 0} for at in range(width + 1)]
    inputs = [{**each, "idle": int(rng.random() < 0.2)} for each in inputs] + [{}] * levels
    seen = trace(Count(width, levels, LUTS[step]), inputs, "o")
    for at, now in enumerate(inputs[:-levels]):
        right = 0 if now["idle"] else popcount(now["a"] ^ now["b"])
        assert seen[at + levels]["o"] == right
