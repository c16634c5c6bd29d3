# SPDX-License-Identifier: Apache-2.0
"""Counting mismatches: the tree of adders, and the carry chains that many small adders share.

A word of W bits is counted by a tree over its first W - 1 bits: a leaf adds three bits to a count
of two, a node adds two counts of n bits and one more bit to a count of n + 1; that bit is the
adder's carry-in. The W-th bit is the carry-in of whatever the count is added to. Every level is
registered, so the bits that enter at level k do so k - 1 cycles late.

Small adders share long carry chains. A position of a chain either adds (u + v + carry) or
separates two adders: it hands out the carry that arrives, which is the top bit of the adder below,
and sends a bit of its own up, which is the carry-in of the adder above. An adder of n positions so
costs n + 1, with the XOR of word and weights inside the same cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.hdl import Instance, ValueLike

__all__ = ["Adder", "Cell", "PopcountTree", "Spare", "add_chains", "split_chains"]


@dataclass(frozen=True)
class PopcountTree:
    """Which bit of a word enters the tree where.

    The word's upper half and the even bits of its lower half are the leaves' (leaf i takes upper
    bits 2i and 2i + 1 and lower bit 2i). The odd bits of the lower half enter later: bit 2s + 1 is
    *slot* s. Counts lie in fields of 2**level bits, so that one wide addition makes a level.

    Parameters
    ----------
    width : int
        Bits of a word, a power of two from 8.
    """

    width: int

    @property
    def levels(self) -> int:
        """Levels of adders, each registered."""
        return self.width.bit_length() - 2

    @property
    def count_width(self) -> int:
        """Bits of the count of ``width - 1`` bits."""
        return self.levels + 1

    @property
    def half(self) -> int:
        """Bits of the upper and of the lower half."""
        return self.width // 2

    def nodes(self, level: int) -> int:
        """Adders of a level (1..levels)."""
        return self.half >> level

    def mask(self, stride: int, bits: int) -> int:
        """The lowest ``bits`` bits of each field of ``stride`` bits, over half a word."""
        return sum(((1 << bits) - 1) << at for at in range(0, self.half, stride))

    def leaf(self, node: int) -> tuple[int, int, int]:
        """Word bits of a leaf."""
        return self.half + 2 * node, self.half + 2 * node + 1, 2 * node

    @staticmethod
    def slot(level: int, node: int) -> int:
        """Slot whose bit is the carry-in of a node (levels 2 and up)."""
        return (2 * node + 1) << (level - 2)

    def delay(self, bit: int) -> int:
        """Cycles by which a word's bit enters later than the leaves."""
        if bit >= self.half or bit % 2 == 0:
            return 0
        slot = bit // 2
        lowest = slot & -slot  # the slot's level is that of its lowest 1; slot 0 is the last bit
        return lowest.bit_length() if slot else self.levels - 1


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

    @classmethod
    def exclusive_or(cls, a: ValueLike, b: ValueLike) -> Cell:
        """A plain XOR; the carry from below must be 0."""
        return cls(0x6666, (a, b))


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


@dataclass(frozen=True)
class Spare:
    """An XOR that may take a chain's idle last position: ``result = a ^ b``."""

    a: ValueLike
    b: ValueLike
    result: Signal


def split_chains(adders: Sequence[Adder], cap: int) -> list[list[Adder]]:
    """Cut a list of adders, kept in order, into chains that waste fewest positions.

    Parameters
    ----------
    adders : sequence of Adder
        Neighbours should share inputs.
    cap : int
        Most positions of a chain; an adder that is longer gets a chain of its own.
    """
    best: list[tuple[int, int]] = [(0, 0)]  # positions so far, where the last chain begins
    for end in range(1, len(adders) + 1):
        length = int(adders[end - 1].has_top)
        choices = []
        for start in range(end - 1, -1, -1):
            length += adders[start].positions
            if length > cap and start < end - 1:
                break
            choices.append((best[start][0] + length + length % 2, start))
        best.append(min(choices))
    chains = []
    end = len(adders)
    while end:
        start = best[end][1]
        chains.append(list(adders[start:end]))
        end = start
    return chains[::-1]


def add_chains(
    m: Module, family: str, adders: Sequence[Adder], spares: list[Spare], *, cap: int
) -> None:
    """Build the adders from the family's carry cells, and spare XORs where there is room.

    Parameters
    ----------
    m : Module
    family : str
        ``"ecp5"`` or ``"xc7"``.
    adders : sequence of Adder
    spares : list of Spare
        Those that found room are taken from the list.
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
            if len(cells) % 2 and spares:
                spare = spares.pop(0)
                cells.append(Cell.exclusive_or(spare.a, spare.b))
                sums.append(spare.result)
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
    """CARRY4 cells of four positions each, with a LUT6_2 for each position."""
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
            i_CYINIT=Const(0),
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
