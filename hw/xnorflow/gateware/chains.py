# SPDX-License-Identifier: Apache-2.0
"""Carry chains that many small adders share.

A position of a chain either adds (u + v + carry) or separates two adders: it hands out the carry
that arrives, which is the top bit of the adder below, and sends a bit of its own up, which is the
carry-in of the adder above. An adder of n positions so costs n + 1, with the XOR of word and
weights, or the choice between two operands, inside the same cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.hdl import Instance, ValueLike

__all__ = ["Adder", "Cell", "add_chains", "split_chains"]


@dataclass(frozen=True)
class Cell:
    """One position of a chain: 4-input function and inputs, lowest first; missing ones are 1.

    The position propagates the carry where ``table`` (over all inputs) is 1; elsewhere its carry
    out is ``table`` over the lowest two inputs with the others 0. Its sum is ``table`` XOR carry.
    """

    table: int
    inputs: tuple[ValueLike, ...] = ()

    @classmethod
    def separate(cls, *bit: ValueLike) -> Cell:
        """Sends up a bit, or the XOR of two; the sum output is the carry from below."""
        return cls((0x0000, 0x000A, 0x0006)[len(bit)], bit)

    @classmethod
    def add(cls, *terms: Sequence[ValueLike]) -> Cell:
        """Adds up to two bits, each given alone or as two whose XOR it is, wider ones first."""
        tables = {(1,): 0xAA00, (1, 1): 0x66AA, (2, 1): 0x9666, (2, 2): 0x6996}
        table = tables[tuple(len(term) for term in terms)]
        return cls(table, tuple(bit for term in terms for bit in term))

    @classmethod
    def choose(
        cls, bit: ValueLike | None, when_1: ValueLike, when_0: ValueLike, choice: ValueLike
    ) -> Cell:
        """Adds ``bit`` (None: 0) and ``when_1`` or ``when_0``."""
        table = 0xCCF0 if bit is None else 0x665A
        return cls(table, (Const(1) if bit is None else bit, when_1, when_0, choice))


@dataclass(frozen=True)
class Adder:
    """One small adder: carry-in (a bit, or two whose XOR it is), positions, and their sum.

    ``total`` has a bit for each position, and may have one more for the carry of the last.
    """

    carry: tuple[ValueLike, ...]
    cells: tuple[Cell, ...]
    total: Signal

    @property
    def has_top(self) -> bool:
        """Whether the last carry is wanted."""
        return len(self.total) > len(self.cells)

    @property
    def positions(self) -> int:
        """Positions of a chain that the adder takes."""
        return 1 + len(self.cells)


def split_chains(adders: Sequence[Adder], cap: int) -> list[list[Adder]]:
    """Cut a list of adders into chains that waste fewest positions.

    Adders whose last carry is wanted stay in order, and so do the others, which may end any chain:
    a chain that ends with a wanted carry takes one more position. A chain is a whole number of
    pairs.

    Parameters
    ----------
    adders : sequence of Adder
        Neighbours should share inputs.
    cap : int
        Most positions of a chain; an adder that is longer gets a chain of its own.
    """
    topped = [adder for adder in adders if adder.has_top]
    ends = [adder for adder in adders if not adder.has_top]
    lengths = tuple(tuple(adder.positions for adder in part) for part in (topped, ends))
    return [topped[a:i] + ends[b:j] for a, i, b, j in _cuts(*lengths, cap)]


@lru_cache
def _cuts(
    topped: tuple[int, ...], ends: tuple[int, ...], cap: int
) -> list[tuple[int, int, int, int]]:
    """The chains of :func:`split_chains`: a range of each kind, of these many positions."""
    # For the first i and j of each: the positions so far, where the last chain begins.
    best = {(0, 0): (0, 0, 0)}
    for i in range(len(topped) + 1):
        for j in range(len(ends) + 1):
            choices = []
            above = 0  # of the last chain, those with a wanted carry
            for a in range(i, -1, -1):
                above += topped[a] if a < i else 0
                if above > cap and a < i - 1:
                    break
                # One adder ends a chain, or none; or the chain has no others.
                for b in range(j, (max(j - 2, -1) if a < i else -1), -1):
                    length = above + sum(ends[b:j]) + (b == j)
                    alone = i - a + j - b == 1
                    if (a, b) != (i, j) and (length <= cap or alone):
                        choices.append((best[a, b][0] + length + length % 2, a, b))
            if choices:
                best[i, j] = min(choices)
    chains = []
    i, j = len(topped), len(ends)
    while i or j:
        _, a, b = best[i, j]
        chains.append((a, i, b, j))
        i, j = a, b
    return chains[::-1]


def add_chains(m: Module, family: str, adders: Sequence[Adder], *, cap: int) -> None:
    """Build the adders from the family's carry cells.

    Parameters
    ----------
    m : Module
    family : str
        ``"ecp5"`` or ``"xc7"``.
    adders : sequence of Adder
    cap : int
        Most positions of a chain.
    """
    for chain in split_chains(adders, cap):
        cells: list[Cell] = []
        sums: list[Signal | None] = []
        top = None  # where the carry of the adder below goes
        for adder in chain:
            bits = [Signal(name=f"{adder.total.name}_{bit}") for bit in range(len(adder.total))]
            m.d.comb += adder.total.eq(Cat(bits))
            own = len(adder.cells)
            cells += [Cell.separate(*adder.carry), *adder.cells]
            sums += [top, *bits[:own]]
            top = bits[own] if adder.has_top else None
        if top is not None:
            cells.append(Cell.separate())
            sums.append(top)
        _CHAINS[family](m, cells, sums)


def _four_inputs(cell: Cell) -> list[ValueLike]:
    return [*cell.inputs, *[Const(1)] * (4 - len(cell.inputs))]


def _ecp5_chain(m: Module, cells: list[Cell], sums: list[Signal | None]) -> None:
    """CCU2C cells of two positions each.

    A chain begins with a position that does not look at its carry and ends with a carry that
    nobody reads. The placer would spend cells on both: the flow of :mod:`xnorflow.synthesis`
    leaves them open.
    """
    cells = [*cells, *[Cell.separate()] * (len(cells) % 2)]
    sums = [*sums, *[None] * (len(cells) - len(sums))]
    carry: Value = Const(0)
    for at in range(0, len(cells), 2):
        following = Signal(name="carry")
        ports: dict[str, object] = {"i_CIN": carry, "o_COUT": following}
        for half in range(2):
            cell, result = cells[at + half], sums[at + half]
            ports[f"p_INIT{half}"] = Const(cell.table, 16)
            ports[f"p_INJECT1_{half}"] = "NO"
            for pin, value in zip("ABCD", _four_inputs(cell), strict=True):
                ports[f"i_{pin}{half}"] = value
            if result is not None:
                ports[f"o_S{half}"] = result
        m.submodules += Instance("CCU2C", **ports)
        carry = following


def _xc7_chain(m: Module, cells: list[Cell], sums: list[Signal | None]) -> None:
    """CARRY4 cells of four positions each, with a LUT6_2 for each position.

    A first position that only sends up a bit needs none: the first cell takes it as it is.
    """
    first: ValueLike = Const(0)
    if cells[0].table in (Cell.separate().table, Cell.separate(0).table):
        first = cells[0].inputs[0] if cells[0].inputs else first
        cells, sums = cells[1:], sums[1:]
    carry: Signal | None = None
    for at in range(0, len(cells), 4):
        propagate, generate, total = (Signal(4, name=name) for name in ("s", "di", "o"))
        group = zip(cells[at : at + 4], sums[at : at + 4], strict=True)
        for offset, (cell, result) in enumerate(group):
            table = cell.table
            low = sum((table >> (index % 4) & 1) << index for index in range(16))
            ports: dict[str, object] = {
                f"i_I{pin}": value for pin, value in enumerate(_four_inputs(cell))
            }
            m.submodules += Instance(
                "LUT6_2",
                p_INIT=Const((table * 0x10001) << 32 | low * 0x10001, 64),
                **ports,
                i_I4=Const(1),
                i_I5=Const(1),
                o_O6=propagate[offset],
                o_O5=generate[offset],
            )
            if result is not None:
                m.d.comb += result.eq(total[offset])
        carries = Signal(4, name="co")
        m.submodules += Instance(
            "CARRY4",
            i_CI=Const(0) if carry is None else carry,
            i_CYINIT=first if carry is None else Const(0),
            i_S=propagate,
            i_DI=generate,
            o_O=total,
            o_CO=carries,
        )
        carry = carries[3]


_CHAINS: dict[str, Callable[[Module, list[Cell], list[Signal | None]], None]] = {
    "ecp5": _ecp5_chain,
    "xc7": _xc7_chain,
}
