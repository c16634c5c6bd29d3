# SPDX-License-Identifier: Apache-2.0
"""How a layer runs on a geometry: tiles, passes, segments. Everything else derives from this."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from xnorflow.compile.layout import MapLayout
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import LayerSpec

__all__ = ["TURNAROUND_CYCLES", "LayerPlan"]

TURNAROUND_CYCLES = 3
"""Cycles between two uses of one accumulator: the foot's read, add and write."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer of a block.

    Streams are either consecutive kernel lines of one channel word, or consecutive channel words
    of one kernel line (``by_words``), whichever needs fewer passes.

    Parameters
    ----------
    geometry : Geometry
    spec : LayerSpec
    source, target : MapLayout
        Where the input and the output map lie.
    """

    geometry: Geometry
    spec: LayerSpec
    source: MapLayout
    target: MapLayout

    @property
    def flat(self) -> bool:
        """Images lie side by side and are walked as one line."""
        return self.source.flat and self.spec.kernel == (1, 1)

    @property
    def stride(self) -> int:
        """Positions from output to output."""
        return 1 if self.flat else self.spec.stride

    @property
    def raw(self) -> bool:
        """The last layer: accumulators leave the device."""
        return self.spec.out_lanes == 0

    # -- passes ------------------------------------------------------------------------------

    def _passes(self, by_words: bool) -> tuple[int, int, int]:
        height, width = self.spec.kernel
        streams, taps = self.geometry.streams, self.geometry.taps
        lines = height if by_words else -(-height // streams)
        words = -(-self.source.words // streams) if by_words else self.source.words
        return lines, -(-width // taps), words

    @cached_property
    def by_words(self) -> bool:
        """Streams are channel words."""
        lines = self._passes(False)
        words = self._passes(True)
        return words[0] * words[1] * words[2] < lines[0] * lines[1] * lines[2]

    @cached_property
    def passes_shape(self) -> tuple[int, int, int]:
        """Passes over kernel lines, kernel columns, channel words."""
        return self._passes(self.by_words)

    @property
    def passes(self) -> int:
        """Passes of a tile, weight planes included."""
        lines, columns, words = self.passes_shape
        return self.spec.planes * lines * columns * words

    @property
    def tiles(self) -> int:
        """Channel tiles."""
        return -(-self.spec.out_channels // self.geometry.columns)

    @property
    def weight_words(self) -> int:
        """Words of each column's weight bank."""
        return self.tiles * self.passes * self.geometry.weight_load_cycles

    # -- segments ----------------------------------------------------------------------------

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and positions that are computed: those that pooling keeps."""
        pool = self.spec.pool
        height, width, _ = self.spec.out_shape
        return height * pool, width * pool

    def write_cycles(self, tile: int) -> int:
        """Cycles that the collector needs to write one result of this tile."""
        geometry = self.geometry
        width = geometry.word_width
        first = tile * geometry.columns
        last = min(first + geometry.columns, self.target.words * width) - 1
        words = last // width - first // width + 1
        return words * -(-self.spec.out_lanes // geometry.streams)

    @cached_property
    def result_cycles(self) -> int:
        """Most cycles that the collector needs to write one result."""
        return 1 if self.raw else max(self.write_cycles(tile) for tile in range(self.tiles))

    @property
    def repeats(self) -> int:
        """Times that a final segment is streamed, so that results leave room for their writes."""
        return -(-self.result_cycles // (self.spec.pool * self.stride))

    @property
    def taps_tail(self) -> int:
        """Taps of the last pass over kernel columns."""
        return self.spec.kernel[1] - (self.passes_shape[1] - 1) * self.geometry.taps

    def beats(self, outputs: int, *, tail: bool) -> int:
        """Beats of a segment that gives ``outputs`` positions; ``tail``: its last kernel columns.

        At least what the foot's turnaround and the collector's writes need.
        """
        taps = self.taps_tail if tail else self.geometry.taps
        stride, pool = self.stride, self.spec.pool
        return max(
            (outputs - 1) * stride + taps,
            (outputs - pool) * stride + self.result_cycles,
            TURNAROUND_CYCLES,
        )

    # -- images ------------------------------------------------------------------------------

    @property
    def accumulators(self) -> int:
        """Accumulators of one image in each column."""
        height, width = self.map_shape
        return height * width

    @property
    def group(self) -> int:
        """Images for which the weights of a pass rest."""
        return min(self.source.block, self.geometry.accumulator_depth // self.accumulators)

    def groups(self, images: int) -> list[int]:
        """Sizes of the groups in which a block of ``images`` runs."""
        if self.flat:
            return [images]
        whole, rest = divmod(images, self.group)
        return [self.group] * whole + [rest] * bool(rest)
