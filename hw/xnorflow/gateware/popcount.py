# SPDX-License-Identifier: Apache-2.0
"""Counting mismatches: which bit of a word enters the tree of adders where.

A word of W bits is counted by a tree over its first W - 1 bits: a leaf adds three bits to a count
of two, a node adds two counts of n bits and one more bit to a count of n + 1; that bit is the
adder's carry-in. The W-th bit is the carry-in of whatever the count is added to. The last level is
registered, and every one or every second one before it. Where their number is odd, one level has a
cycle to itself: the leaves, which the longest wires lead to; in a flat accelerator, whose wires are
short, the last one, which is the widest. Bits that enter behind k registers do so k cycles late.
"""

from __future__ import annotations

from dataclasses import dataclass

from xnorflow.core.flat import is_flat
from xnorflow.core.geometry import Geometry

__all__ = ["PopcountTree"]


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
    step : int
        Levels between two registers.
    from_leaves : bool
        Whether they are counted from the leaves on, not from the last level back.
    """

    width: int
    step: int = 2
    from_leaves: bool = False

    @classmethod
    def of(cls, geometry: Geometry) -> PopcountTree:
        """The tree of a geometry's words."""
        return cls(geometry.word_width, geometry.popcount_levels, is_flat(geometry))

    @property
    def levels(self) -> int:
        """Levels of adders."""
        return self.width.bit_length() - 2

    @property
    def cycles(self) -> int:
        """Registers from a word to its count."""
        return -(-self.levels // self.step)

    def registered(self, level: int) -> bool:
        """Whether a level's counts go through registers; those before level 1 are the word's."""
        if level == 0:
            return True
        if self.from_leaves:
            return level % self.step == 0 or level == self.levels
        return (self.levels - level) % self.step == 0

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
        if slot == 0:  # the last bit
            return self.cycles - 1
        level = (slot & -slot).bit_length() + 1
        return sum(self.registered(below) for below in range(1, level))
