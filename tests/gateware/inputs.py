# SPDX-License-Identifier: Apache-2.0
"""Program rows as the sequencer walks them: nested loops in Python, and what each segment says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from tests.gateware.helpers import geometry_of
from tests.gateware.maps import MapModel

from xnorflow.compile.layout import MapLayout
from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.rows import Bases, Row, row_values
from xnorflow.core.geometry import Geometry
from xnorflow.core.layer import LayerSpec
from xnorflow.core.program import Unroll

__all__ = ["BASES", "CHUNK_STRIDE", "LAYERS", "LOOPS", "Layer", "Segment"]

BASES = Bases(weight=5, record=200, scale=3)
"""Where the layer's weights, thresholds and scales begin."""
LOOPS = ("tile", "plane", "ky", "kx", "cw", "unit", "map_row", "lane")
"""Outermost first."""
CHUNK_STRIDE = 300
"""Addresses from one part of the input to the other."""
PIXELS = tuple(1 << bit for bit in reversed(range(8)))

Segment = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A row of a layer, and the segments that it must give.

    The input map holds ``units`` units from ``base`` on, the row begins with unit ``first`` and
    output line ``line`` and has ``lines`` of them (all, where that is 0).
    """

    shape: str
    spec: LayerSpec
    units: int = 1
    base: int = 0
    first: int = 0
    line: int = 0
    lines: int = 0
    from_input: bool = False

    @cached_property
    def geometry(self) -> Geometry:
        return geometry_of(
            self.shape,
            activation_depth=1024,
            accumulator_depth=1024,
            weight_depth=512,
            scale_depth=32,
        )

    @cached_property
    def plan(self) -> LayerPlan:
        return LayerPlan(self.geometry, self.spec, first=self.from_input)

    @cached_property
    def model(self) -> MapModel:
        """Where the input map lies."""
        spec, flat = self.spec, self.plan.flat
        lanes = 1 if self.plan.planes else spec.in_lanes
        return MapModel(self.geometry, spec.in_shape, lanes, self.units, self.base, flat=flat)

    @cached_property
    def program_row(self) -> Row:
        """The row, as the compiler has it."""
        spec, model = self.spec, self.model
        source = MapLayout(
            self.geometry, spec.in_shape, model.lanes, self.units, model.flat, self.base
        )
        target = MapLayout(self.geometry, spec.out_shape, spec.out_lanes, self.units, False, 512)
        return Row(
            self.plan, 0, source, target, self.first, self.units - self.first, 0, 0,
            self.line, self.lines or spec.out_shape[0] - self.line, self.from_input,
        )  # fmt: skip

    @cached_property
    def row(self) -> dict[str, int]:
        """The row's fields."""
        values = row_values(self.program_row, BASES, chunk=self.units, double=True)
        return values | {"chunk_stride": CHUNK_STRIDE}

    @property
    def blocks(self) -> tuple[int, int]:
        """Units of a whole row, and of one at the end of a block."""
        count = self.program_row.count
        return count, max(1, count - 1)

    def found_reads(self, segment: Segment, active: int) -> list[tuple[int, int] | None]:
        """Places of the window's words at a line's first position, from the segment's fields."""
        geometry, plan = self.geometry, self.plan
        streams, taps = geometry.streams, geometry.taps
        reads: list[tuple[int, int] | None] = []
        for index in range(geometry.rows):
            i, j = divmod(index, taps)
            bank_row = (segment["row"] + i) % streams
            at = segment["column"] + j
            offset = at // taps if plan.unroll == Unroll.KERNEL else j * self.row["word_stride"]
            address = segment["lines"][bank_row] + segment["slot"] + offset
            bank = bank_row * taps + (at + segment["word_column"]) % taps
            counts = active >> index & segment["inside"] >> i & 1
            reads.append((bank, address % geometry.activation_depth) if counts else None)
        return reads

    def sizes(self, units: int) -> dict[str, int]:
        """Rounds of each loop."""
        plan = self.plan
        lines, columns, words = plan.passes_shape
        return {
            "tile": plan.tiles,
            "plane": self.spec.planes,
            "ky": lines,
            "kx": columns,
            "cw": words,
            "unit": 1 if plan.flat else units,
            "map_row": 1 if plan.flat else self.program_row.map_lines,
            "lane": plan.lanes,
        }

    def rounds(self, units: int) -> Iterator[dict[str, int]]:
        """Each loop's round, line of beats by line of beats."""
        sizes = self.sizes(units)
        for at in product(*(range(size) for size in sizes.values())):
            yield dict(zip(LOOPS, at, strict=True))

    def window(self, now: dict[str, int]) -> list[tuple[int, int, int]]:
        """Kernel line, kernel column and channel word of each of the window's words."""
        streams, taps = self.geometry.streams, self.geometry.taps
        found = []
        for index in range(self.geometry.rows):
            i, j = divmod(index, taps)
            found.append(
                {
                    Unroll.KERNEL: (now["ky"] * streams + i, now["kx"] * taps + j, now["cw"]),
                    Unroll.LINES: (now["ky"] * streams + i, now["kx"], now["cw"] * taps + j),
                    Unroll.WORDS: (now["ky"], now["kx"], now["cw"] * streams * taps + index),
                }[self.plan.unroll]
            )
        return found

    def pass_of(self, now: dict[str, int]) -> dict[str, int]:
        """What the pass's window is."""
        spec, words = self.spec, self.model.words
        window = self.window(now)
        height, width = spec.kernel
        border = spec.border or 0
        bits = spec.in_lanes
        return {
            "active": _bits([ky < height and kx < width and w < words for ky, kx, w in window]),
            "tails": _bits([w == words - 1 for _, _, w in window]),
            "tail": self.model.tail,
            "planes": int(self.plan.planes),
            "border": int(spec.border is not None),
            "fill": sum((border >> (bits - 1 - lane) & 1) << lane for lane in range(bits)),
        }

    def segments(
        self, units: int, scales: list[int], *, part: int = 0, final: int = 1
    ) -> Iterator[Segment]:
        """Weight loads, lines of beats and read-outs.

        A line has ``reads``, the places of the window's words at its first position; of a word
        that does not count, None.
        """
        plan, sizes = self.plan, self.sizes(units)
        passes = plan.passes
        width, accumulator, number = plan.map_width, 0, -1
        for now in self.rounds(units):
            if now["unit"] == now["map_row"] == now["lane"] == 0:
                number += 1
                accumulator = 0
                last_pass = number % passes == passes - 1
                yield {
                    "load": 1,
                    "read": 0,
                    "weights": BASES.weight + number * self.geometry.weight_load_cycles,
                    "record": BASES.record + now["tile"] * self.geometry.record_words,
                    "records": int(last_pass and not plan.raw),
                    "pass": self.pass_of(now),
                }
            last = now["lane"] == sizes["lane"] - 1
            yield {
                "load": 0,
                "read": 0,
                "lane": now["lane"],
                "scale": scales[BASES.scale + now["plane"] * plan.lanes + now["lane"]],
                "first": int(number % passes == 0 and now["lane"] == 0),
                "last": int(last_pass and last),
                "address": accumulator,
                "count": (units if plan.flat else width) - 1,
                **self._line(now, part),
            }
            if last and plan.keep:
                accumulator += width
            ends = all(now[loop] == sizes[loop] - 1 for loop in LOOPS[1:])
            if plan.raw and ends:
                ragged = now["tile"] == plan.tiles - 1
                positions = units if plan.flat else units * width * sizes["map_row"]
                left = self.spec.out_channels - now["tile"] * self.geometry.columns
                yield {
                    "load": 0,
                    "read": 1,
                    "end": int(ragged and final),
                    "count": positions - 1,
                    "channels": min(left, self.geometry.columns),
                }

    def _line(self, now: dict[str, int], part: int) -> Segment:
        """Where a line of beats looks: line by line whether it is inside; every word's place."""
        spec, plan, model = self.spec, self.plan, self.model
        unit = self.first + now["unit"]
        top = (self.line * spec.pool_stride + now["map_row"]) * spec.stride - spec.padding[0]
        kernel_column = now["kx"] * (self.geometry.taps if plan.unroll == Unroll.KERNEL else 1)
        x = 0 if plan.flat else kernel_column - spec.padding[1]
        lane = 0 if plan.planes else now["lane"]
        reads: list[tuple[int, int] | None] = []
        inside = []
        for index, (ky, kx, word) in enumerate(self.window(now)):
            at_y, at_x = top + ky, self.first if plan.flat else kx - spec.padding[1]
            inside.append(0 <= at_y < spec.in_shape[0])
            counts = self.pass_of(now)["active"] >> index & inside[-1]
            if counts:
                image = (0 if plan.flat else unit) * self.geometry.pixels
                # Any x has a place, also left of the map: addresses wrap.
                _, bank, address = model.place(image, at_y, 0, word, lane)
                taps = self.geometry.taps
                bank = bank // taps * taps + (at_x + word) % taps
                address += at_x // taps + (CHUNK_STRIDE if part and self.from_input else 0)
                reads.append((bank, address % self.geometry.activation_depth))
            else:
                reads.append(None)
        taps = self.geometry.taps
        by_line = [inside[i * taps] for i in range(self.geometry.streams)]
        return {"x": x, "inside": _bits(by_line), "reads": reads}


def _bits(flags: list[bool]) -> int:
    return sum(bool(flag) << index for index, flag in enumerate(flags))


def conv(
    shape: tuple[int, int, int], out: int, kernel: tuple[int, int], **options: Any
) -> LayerSpec:
    return LayerSpec("layer", shape, out, kernel=kernel, **options)


LAYERS = {
    "padded and pooled": Layer(
        "2x1x2x8",
        conv((5, 4, 3), 5, (3, 3), padding=(1, 1), in_scales=(4, 2, 1), pool=2, out_lanes=2),
        units=2,
    ),
    "border code, planes of weights, stride": Layer(
        "3x3x4x16",
        conv((7, 6, 20), 9, (5, 5), padding=(2, 2), stride=2, border=1, in_scales=(3, 2),
             weight_scales=(2, 1)),
    ),
    "rows are words": Layer("2x2x3x8", conv((3, 3, 41), 4, (1, 1), in_scales=(2, 1)), base=40),
    "rows are words, three by three": Layer(
        "3x3x4x16", conv((3, 2, 220), 4, (1, 1), in_scales=(2, 1)), base=11
    ),
    "rows are words, several kernel positions": Layer(
        "3x1x12x8", conv((6, 4, 24), 13, (2, 2), padding=(1, 1)), units=3
    ),
    "rows are lines and words": Layer(
        "2x2x3x8", conv((5, 4, 30), 4, (3, 1), padding=(1, 0), in_scales=(2, 1)), units=2
    ),
    "flat": Layer(
        "3x2x12x8", conv((1, 1, 90), 14, (1, 1), in_scales=(4, 2, 1), out_lanes=3),
        units=5, base=9, first=2,
    ),
    "flat, last": Layer("2x2x3x8", conv((1, 1, 9), 7, (1, 1), out_lanes=0), units=6),
    "fully connected, last": Layer(
        "3x3x4x16", conv((3, 3, 10), 10, (3, 3), in_scales=(2, 1), out_lanes=0), units=3
    ),
    "last, some lines, ragged tile": Layer(
        "2x1x2x8", conv((4, 3, 9), 3, (1, 2), out_lanes=0), units=5, first=2, line=1, lines=2
    ),
    "a stride over the streams": Layer("2x2x3x8", conv((9, 9, 8), 3, (1, 3), stride=3), units=2),
    "a stride of whole groups": Layer("2x1x2x8", conv((9, 5, 8), 2, (3, 1), stride=4), units=2),
    "more padding than streams": Layer("2x2x3x8", conv((2, 2, 8), 3, (5, 5), padding=(3, 3))),
    "pixels side by side": Layer("2x2x3x8,pixels=2", conv((3, 5, 5), 11, (2, 2)), units=2),
    "input, pooled with overlap, from a line on": Layer(
        "2x2x4x8",
        conv((9, 8, 3), 5, (3, 3), in_scales=(2, 1), pool=3, pool_stride=2),
        units=2, first=1, line=1, lines=2, base=7, from_input=True,
    ),
    "planes of pixels": Layer(
        "3x3x4x32", conv((6, 6, 3), 5, (3, 3), in_scales=PIXELS), units=2, from_input=True
    ),
    "planes of pixels in two groups": Layer(
        "2x2x4x32",
        conv((5, 5, 2), 5, (3, 3), padding=(1, 1), border=77, in_scales=PIXELS),
        from_input=True,
    ),
}  # fmt: skip
