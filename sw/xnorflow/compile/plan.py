# SPDX-License-Identifier: Apache-2.0
"""How a layer maps to the array: tiles, passes, lanes. Everything else derives from this."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from xnorflow.core.geometry import PIXEL_BITS, PIXEL_CHANNELS, Geometry
from xnorflow.core.network import LayerSpec, pixel_scales
from xnorflow.core.program import Unroll

__all__ = ["LayerPlan"]

POOL_TURNAROUND_CYCLES = 3
"""Positions from the end of a window's line to the end of its next one, where windows overlap."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer on one geometry, wherever its maps lie.

    Parameters
    ----------
    geometry : Geometry
    spec : LayerSpec
    first : bool
        The layer takes the host's pixels.
    """

    geometry: Geometry
    spec: LayerSpec
    first: bool = False

    @property
    def flat(self) -> bool:
        """Units lie side by side and are walked as one line."""
        return self.spec.in_shape[:2] == (1, 1) and self.spec.kernel == (1, 1)

    @property
    def raw(self) -> bool:
        """The last layer: accumulators leave the device."""
        return self.spec.out_lanes == 0

    @cached_property
    def planes(self) -> bool:
        """The rows hold bit-planes of the window's pixels, and sums double from row to row."""
        spec = self.spec
        return (
            self.first
            and self.geometry.planes_per_pass > 0
            and not self.flat
            and spec.in_scales == pixel_scales(PIXEL_BITS)
            and spec.in_shape[2] <= PIXEL_CHANNELS
            and (spec.border is not None or spec.padding == (0, 0))
        )

    @property
    def words(self) -> int:
        """Channel words of an input position."""
        return -(-self.spec.in_shape[2] // self.geometry.word_width)

    # -- passes ------------------------------------------------------------------------------

    def _passes(self, unroll: Unroll) -> tuple[int, int, int]:
        """Passes over kernel lines, kernel columns, channel words."""
        height, width = self.spec.kernel
        streams, taps = self.geometry.streams, self.geometry.taps
        return {
            Unroll.KERNEL: (-(-height // streams), -(-width // taps), self.words),
            Unroll.LINES: (-(-height // streams), width, -(-self.words // taps)),
            Unroll.WORDS: (height, width, -(-self.words // (streams * taps))),
        }[unroll]

    @cached_property
    def unroll(self) -> Unroll:
        """What the window's rows hold: whichever needs fewest passes, of those within limits."""
        limits = {name: range(low, high + 1) for name, low, high in self.geometry.limits}
        allowed = [each for each in Unroll if each in limits.get("unroll", Unroll)]

        def count(unroll: Unroll) -> int:
            lines, columns, words = self._passes(unroll)
            return lines * columns * words

        return Unroll.KERNEL if self.planes else min(allowed, key=count)

    @property
    def passes_shape(self) -> tuple[int, int, int]:
        """Passes over kernel lines, kernel columns, channel words."""
        return self._passes(self.unroll)

    @property
    def passes(self) -> int:
        """Weight loads of a tile, weight planes included."""
        lines, columns, words = self.passes_shape
        return self.spec.planes * lines * columns * words

    @cached_property
    def lane_scales(self) -> tuple[int, ...]:
        """Scale of each lane that a pass streams: an activation lane, or a group of planes."""
        if not self.planes:
            return self.spec.in_scales
        rows = self.geometry.planes_per_pass
        groups = -(-PIXEL_BITS // rows)
        return tuple(1 << (groups - 1 - group) * rows for group in range(groups))

    @property
    def lanes(self) -> int:
        """Times that a pass streams the map."""
        return len(self.lane_scales)

    @property
    def tiles(self) -> int:
        """Channel tiles."""
        return -(-self.spec.out_channels // self.geometry.columns)

    @property
    def weight_words(self) -> int:
        """Words of weights in each column's bank, without the last pass's tail."""
        return self.tiles * self.passes * self.geometry.weight_load_cycles

    @property
    def records(self) -> int:
        """Words of thresholds in each column's bank."""
        return 0 if self.raw else self.tiles * self.geometry.record_words

    # -- lines -------------------------------------------------------------------------------

    def map_lines(self, out_lines: int) -> int:
        """Convolution lines that ``out_lines`` lines of pooled output need."""
        return (out_lines - 1) * self.spec.pool_stride + self.spec.pool

    @property
    def map_width(self) -> int:
        """Positions of a line that pooling keeps; of a flat layer, one."""
        return (self.spec.out_shape[1] - 1) * self.spec.pool_stride + self.spec.pool

    @property
    def keep(self) -> bool:
        """Accumulators are kept over the whole map: from pass to pass, or to be read out."""
        return self.passes > 1 or self.raw

    @property
    def accumulators(self) -> int:
        """Accumulators of one unit in each column."""
        lines = self.map_lines(self.spec.out_shape[0]) if self.keep else 1
        return lines * self.map_width

    def write_cycles(self, tile: int) -> int:
        """Cycles that the collector needs to write one result of this tile."""
        geometry = self.geometry
        width = geometry.word_width
        first = tile * geometry.columns
        words = -(-self.spec.out_channels // width)
        last = min(first + geometry.columns, words * width) - 1
        touched = last // width - first // width + 1
        lanes = -(-self.spec.out_lanes // geometry.streams)
        return -(-touched // geometry.write_words) * lanes

    @cached_property
    def pace(self) -> int:
        """Cycles from final sum to final sum.

        Results must leave room for their writes, and the pool must have stored a window's line
        before its next line ends.
        """
        spec = self.spec
        if self.raw:
            return 1
        slowest = max(self.write_cycles(tile) for tile in range(self.tiles))
        short = spec.pool_stride < spec.pool == self.map_width < POOL_TURNAROUND_CYCLES
        return max(-(-slowest // spec.pool_stride), 2 if short else 1)
