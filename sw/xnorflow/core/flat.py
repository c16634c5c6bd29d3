# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator's geometries and cycles, for gateware and compiler.

It is what a geometry gets that allows fully connected layers of one lane only (``mlp``).
"""

from __future__ import annotations

from dataclasses import dataclass

from xnorflow.core.geometry import LIMITS, Geometry
from xnorflow.core.program import row_words

__all__ = ["FlatTiming", "is_flat"]


def is_flat(geometry: Geometry) -> bool:
    """Whether every row that the geometry allows is one of a fully connected layer of one lane."""
    fixed = {name: low for name, low, high in geometry.limits if low == high}
    return all(fixed.get(name) == value for name, value in LIMITS["mlp"].items())


@dataclass(frozen=True)
class FlatTiming:
    """Cycles after a beat is issued, and the lengths of a pass's parts.

    A pass is a load of ``load`` cycles, then at least ``beats`` cycles, in the first of which a
    beat a unit is issued. Beats of a pass are still under way while the next one loads. What holds
    for a whole pass changes for the later stages in cycle ``strobe`` of its beats, when the pass
    before has left them.
    """

    geometry: Geometry

    @property
    def fetch(self) -> int:
        """Row 0's word, and the weights, are there: address register, memory, its register."""
        return 3

    @property
    def sums(self) -> int:
        """The last row's sum is there."""
        return self.fetch + self.geometry.popcount_cycles + self.geometry.rows

    @property
    def write(self) -> int:
        """The code is there; it is written in the next cycle."""
        return self.sums + 2

    @property
    def load(self) -> int:
        """Cycles of a weight load."""
        return self.geometry.weight_load_cycles

    @property
    def strobe(self) -> int:
        """Of a pass's beats: also when the weights of the last row have left the bank."""
        return max(self.geometry.rows - 1, self.write - self.load)

    @property
    def beats(self) -> int:
        """Fewest cycles of a pass's beats."""
        return self.strobe + 1

    @property
    def drain(self) -> int:
        """Cycles after the last beat until its accumulator can be read."""
        return self.sums + 3

    @property
    def row(self) -> int:
        """Cycles until a row of the program is there."""
        return row_words(self.geometry) + 2
