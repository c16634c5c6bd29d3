# SPDX-License-Identifier: Apache-2.0
"""What the flat accelerator may leave out, and in which cycle its stages work."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from amaranth.utils import ceil_log2

from xnorflow.core.geometry import LIMITS, Geometry
from xnorflow.core.program import row_words
from xnorflow.gateware.element import ElementRow
from xnorflow.gateware.layouts import field_width, fixed

if TYPE_CHECKING:
    from xnorflow.compile.program import Program

__all__ = ["FlatTiming", "block_cycles", "check_flat", "is_flat"]


def is_flat(geometry: Geometry) -> bool:
    """Whether every row that the geometry allows is one of these layers'."""
    return all(fixed(geometry, name) == value for name, value in LIMITS["mlp"].items())


def check_flat(geometry: Geometry) -> None:
    """ValueError unless :class:`FlatAccelerator` can have this geometry; it says why not."""
    columns, width = geometry.columns, geometry.word_width
    for wrong, why in (
        (not is_flat(geometry), "its limits allow other rows than fully connected layers'"),
        (geometry.taps != 1, f"taps must be 1, not {geometry.taps}"),
        (geometry.pixels != 1, f"pixels must be 1, not {geometry.pixels}"),
        (
            field_width(geometry, "unit_last") > ceil_log2(geometry.accumulator_depth),
            "unit_last must be limited to accumulator_depth - 1",
        ),
        (geometry.max_lanes != 1, f"max_lanes must be 1, not {geometry.max_lanes}"),
        (geometry.scale_width != 1, f"scale_width must be 1, not {geometry.scale_width}"),
        (width % columns or columns & 1, f"columns must divide the word, not {columns}"),
        (
            geometry.record_words != 1,
            f"a record of {geometry.record_bits} bits must fit a weight word",
        ),
        (
            FlatTiming(geometry).strobe > FlatTiming(geometry).sums - 3,
            f"weights must load in 5 cycles or more, not {geometry.weight_load_cycles}: "
            "lower weight_bus",
        ),
    ):
        if wrong:
            raise ValueError(f"FlatAccelerator: {geometry}: {why}")


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
        return self.fetch + ElementRow.popcount_cycles(self.geometry) + self.geometry.rows

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


def block_cycles(program: Program, images: int) -> int:
    """Exact cycles of a block of ``images``, if the host never keeps the accelerator waiting."""
    geometry = program.geometry
    timing = FlatTiming(geometry)
    fetch = row_words(geometry) + 2
    pass_cycles = 1 + timing.load + max(images, timing.beats)
    inputs = prod(program.plans[0].spec.in_shape)
    words = -(-inputs // geometry.word_width)
    cycles = fetch + 2 + images * (inputs + 2 * words) + 2
    for number, row in enumerate(program.schedule.rows):
        plan = row.plan
        cycles += (1 + fetch if number else 0) + 2
        cycles += plan.tiles * (2 + plan.passes * pass_cycles)
        if plan.raw:
            cycles += plan.tiles * (timing.drain + 2)
            cycles += images * (plan.tiles * 4 + plan.spec.out_channels)
        else:
            cycles += timing.drain + 1
    return cycles
