# SPDX-License-Identifier: Apache-2.0
"""Carry chains: the cut of adders into chains, and each family's cells proved by SAT."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest
from amaranth import Const, Module, Signal, Value
from tests.gateware.carry import add_cells
from tests.gateware.yosys import proof, prove

from xnorflow.gateware import chains
from xnorflow.gateware.chains import Adder, Cell, add_chains, split_chains
from xnorflow.gateware.popcount import PopcountTree


def adder(positions: int, top: bool, name: str = "total") -> Adder:
    """An adder of constants."""
    cells = tuple(Cell.add((Const(1),)) for _ in range(positions - 1))
    return Adder((Const(0),), cells, Signal(positions - 1 + top, name=name))


def cost(chain: list[Adder]) -> int:
    """A chain's positions, in pairs."""
    length = sum(each.positions for each in chain) + chain[-1].has_top
    return length + length % 2


def least(adders: list[Adder], cap: int) -> int:
    """The least cost of any chains: each prefix of both kinds, by trying every last chain."""
    kinds = [[each for each in adders if each.has_top is top] for top in (True, False)]

    @lru_cache
    def of(i: int, j: int) -> int:
        costs = [0] if i == j == 0 else []
        for a in range(i + 1):
            for b in range(j + 1):
                chain = kinds[0][a:i] + kinds[1][b:j]
                if not chain or (a < i and j - b > 1):
                    continue
                length = sum(each.positions for each in chain) + chain[-1].has_top
                if length <= cap or len(chain) == 1:
                    costs.append(of(a, b) + cost(chain))
        return min(costs)

    return of(*map(len, kinds))


@pytest.mark.parametrize("seed", range(20))
def test_chains_waste_least(seed: int) -> None:
    """No other chains within the cap have fewer positions; each kind of adder keeps its order."""
    rng = random.Random(seed)
    adders = [adder(rng.randint(2, 6), rng.random() < 0.7) for _ in range(11)]
    cap = rng.randint(7, 18)
    chains = split_chains(adders, cap)
    found = [each for chain in chains for each in chain]
    for top in (True, False):
        assert [each for each in found if each.has_top is top] == [
            each for each in adders if each.has_top is top
        ]
    for chain in chains:
        length = sum(each.positions for each in chain) + chain[-1].has_top
        assert length <= cap or len(chain) == 1
        assert [each.has_top for each in chain] == sorted((x.has_top for x in chain), reverse=True)
    assert sum(map(cost, chains)) == least(adders, cap)


def test_adders_whose_carry_nobody_wants_end_chains() -> None:
    """With two of them for two chains, nothing is read out and nothing idle."""
    adders = [*[adder(4, True)] * 6, *[adder(4, False)] * 2]
    assert [len(chain) for chain in split_chains(adders, 16)] == [4, 4]


def test_an_adder_longer_than_the_cap_has_its_own_chain() -> None:
    long = adder(12, True)
    assert split_chains([long, adder(3, True)], 8)[0] == [long]


def level(m: Module, bits: object, family: str, *, width: int, at: int, cap: int) -> Value:
    """One level of the tree for one word: its sums against plain additions."""
    tree = PopcountTree(width)
    adders, wrong = [], Const(0)
    take = lambda count: [next(bits) for _ in range(count)]  # type: ignore[call-overload] # noqa: E731
    for node in range(tree.nodes(at)):
        total = Signal(at + 1, name=f"total_{node}")
        if at == 1:
            a, b, c, d, e, f = take(6)
            adders.append(Adder((a, b), (Cell.add((c, d), (e, f)),), total))
            right = (a ^ b) + (c ^ d) + (e ^ f)
        else:
            left, other, (a, b) = take(at), take(at), take(2)
            cells = [Cell.add((x,), (y,)) for x, y in zip(left, other, strict=True)]
            adders.append(Adder((a, b), tuple(cells), total))
            right = sum(x << i for i, x in enumerate(left))
            right = right + sum(x << i for i, x in enumerate(other)) + (a ^ b)
        wrong = wrong | (total != right)
    add_chains(m, family, adders, cap=cap)
    return wrong


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
@pytest.mark.parametrize("width", [8, 64])
def test_levels_are_additions(width: int, family: str) -> None:
    for at in range(1, PopcountTree(width).levels + 1):

        def build(m: Module, bits: object, family: str, at: int = at) -> Value:
            return level(m, bits, family, width=width, at=at, cap=18)

        prove(proof(build, family), family)


def falling(m: Module, bits: object, family: str) -> Value:
    """Sums with every kind of cell: chosen, plain, with an XOR, and alone."""
    take = lambda count: [next(bits) for _ in range(count)]  # type: ignore[call-overload] # noqa: E731
    number = lambda bits: sum(bit << i for i, bit in enumerate(bits))  # noqa: E731
    count, above, (last, double) = take(4), take(6), take(2)
    chosen = [(above[i - 1] if i else Const(0), above[i] if i < 6 else Const(0)) for i in range(7)]
    cells = [
        Cell.choose(count[i] if i < 4 else None, twice, once, double)
        for i, (twice, once) in enumerate(chosen)
    ]
    first = Adder((last,), tuple(cells), Signal(8, name="first"))
    wrong = first.total != (number(above) << double) + number(count) + last
    x, y, z, carry = take(3), take(3), take(3), take(2)
    mixed = Adder((carry[0],), tuple(map(Cell.add, zip(x, y, strict=True), ((b,) for b in z))),
                  Signal(4, name="mixed"))  # fmt: skip
    value = number(a ^ b for a, b in zip(x, y, strict=True))
    wrong |= mixed.total != value + number(z) + carry[0]
    alone = Adder((carry[1],), tuple(Cell.add((bit,)) for bit in count), Signal(5, name="alone"))
    wrong |= alone.total != number(count) + carry[1]
    cut = Adder((carry[1],), tuple(Cell.add((a,), (b,)) for a, b in zip(x, y, strict=True)),
                Signal(3, name="cut"))  # fmt: skip
    wrong |= cut.total != (number(x) + number(y) + carry[1])[:3]
    add_chains(m, family, [first, cut, mixed, alone], cap=64)
    return wrong


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
def test_every_kind_of_cell(family: str) -> None:
    prove(proof(falling, family), family)


def test_the_proof_can_fail() -> None:
    def build(m: Module, bits: object, family: str) -> Value:
        return ~falling(m, bits, family)

    with pytest.raises(AssertionError, match="FAIL"):
        prove(proof(build, "ecp5"), "ecp5")


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
def test_the_tests_own_cells_are_the_familys(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the element's tests simulate instead of a family's cells."""
    monkeypatch.setitem(chains._CHAINS, "model", add_cells)

    def build(m: Module, bits: object, family: str) -> Value:
        wrong = Const(0)
        kinds = [next(bits) for _ in range(24)]  # type: ignore[call-overload]
        totals = []
        for form in (family, "model"):
            adders = [
                Adder((kinds[0],), (Cell.add((kinds[1], kinds[2]), (kinds[3], kinds[4])),),
                      Signal(2, name=f"a_{form}")),
                Adder((kinds[5], kinds[6]),
                      (Cell.choose(None, *kinds[7:10]), Cell.choose(*kinds[10:14])),
                      Signal(3, name=f"b_{form}")),
                Adder((kinds[14],), (Cell.add((kinds[15],)), Cell.add((kinds[16],), (kinds[17],))),
                      Signal(2, name=f"c_{form}")),
                Adder((kinds[18],), (Cell.add((kinds[19], kinds[20]), (kinds[21],)),),
                      Signal(2, name=f"d_{form}")),
            ]  # fmt: skip
            add_chains(m, form, adders, cap=64)
            totals.append([each.total for each in adders])
        for one, other in zip(*totals, strict=True):
            wrong = wrong | (one != other)
        return wrong

    prove(proof(build, family), family)
