# SPDX-License-Identifier: Apache-2.0
"""One of a few words, in as few LUTs a bit as the family allows."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Array, Const, Mux, Value

__all__ = ["Selector"]

_FOUR_INPUTS = ("ecp5", "ice40", "gowin")
"""Families whose LUTs have four inputs."""


class Selector:
    """``words[index]``, or 0 for the index ``none``.

    With LUTs of four inputs, the first one selects one of two words or a constant. Each further
    one hands on what comes from below; or, where its own control is 1, takes one of two more
    words, and the constant from below says which. So n words cost n / 2 LUTs a bit. Elsewhere the
    control is the index, and a register behind the selection can take ``none`` as its reset.

    Parameters
    ----------
    family : str
    count : int
        Words to select from.
    """

    def __init__(self, family: str, count: int) -> None:
        self.count = count
        self.none = count
        self.paired = family in _FOUR_INPUTS

    @property
    def width(self) -> int:
        """Bits of the controls."""
        if self.paired:
            return max(2, 1 + (self.count + 1) // 2)
        return (self.count - 1).bit_length() + 1

    def code(self, index: int) -> int:
        """The controls for an index."""
        if not self.paired:
            return 1 << self.width - 1 if index == self.none else index
        if index == self.none:
            return 0b10  # the constant 0, handed on
        pair, second = divmod(index, 2)
        return second if pair == 0 else 0b10 | second | 1 << pair + 1

    def controls(self, index: Value) -> Value:
        """The controls; meant to be registered before the words come."""
        codes = [self.code(at) for at in range(self.count + 1)]
        return Array(Const(code, self.width) for code in codes)[index]

    def select(self, words: Sequence[Value], controls: Value) -> Value:
        """The chosen word."""
        width = len(words[0])
        if not self.paired:
            chosen = Array(words)[controls[:-1]] if self.count > 1 else words[0]
            return Mux(controls[-1], 0, chosen)
        every = [*words, *[Const(0, width)] * (len(words) % 2)]
        second, constant = (controls[at].replicate(width) for at in (0, 1))
        chosen = (constant & second) | (~constant & Mux(controls[0], every[1], every[0]))
        for pair in range(1, len(every) // 2):
            low, high = every[2 * pair : 2 * pair + 2]
            taken = (chosen & high) | (~chosen & low)
            chosen = Mux(controls[pair + 1], taken, chosen)
        return chosen
