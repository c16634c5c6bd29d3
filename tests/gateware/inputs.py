# SPDX-License-Identifier: Apache-2.0
"""Layers as the sequencer walks them: nested loops in Python, and what each segment says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from tests.gateware.helpers import geometry_of
from tests.gateware.maps import MapModel

from xnorflow.compile.layout import MapLayout
from xnorflow.compile.lower import Bases, layer_row
from xnorflow.compile.plan import LayerPlan
from xnorflow.core.geometry import Geometry
from xnorflow.core.layer import LayerSpec

__all__ = ["BASES", "LAYERS", "LOOPS", "Layer", "Segment"]

BASES = Bases(weight=5, scale=3, tile=2)
"""Where the layer's weights, scales and thresholds begin."""
LOOPS = ("group", "tile", "plane", "ky", "kx", "cw", "lane", "image", "map_row", "repeat")
"""Outermost first."""

Segment = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A layer on a geometry, and the segments that it must give."""

    shape: str
    spec: LayerSpec
    block: int = 1
    base: int = 0

    @cached_property
    def geometry(self) -> Geometry:
        return geometry_of(
            self.shape,
            activation_depth=1024,
            accumulator_depth=24,
            weight_depth=512,
            threshold_depth=16,
            scale_depth=32,
        )

    @cached_property
    def plan(self) -> LayerPlan:
        spec = self.spec
        source = MapLayout(self.geometry, spec.in_shape, spec.in_lanes, self.block, self.base)
        target = MapLayout(self.geometry, spec.out_shape, spec.out_lanes, self.block, 512)
        return LayerPlan(self.geometry, spec, source, target)

    @cached_property
    def row(self) -> dict[str, int]:
        """The layer's program row."""
        return layer_row(self.plan, BASES)

    def rounds(self, images: int) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
        """Each loop's round and number of rounds, line of beats by line of beats."""
        plan = self.plan
        groups = self.groups(images)
        lines, columns, words = plan.passes_shape
        for group in range(len(groups)):
            sizes = {
                "group": len(groups),
                "tile": plan.tiles,
                "plane": self.spec.planes,
                "ky": lines,
                "kx": columns,
                "cw": words,
                "lane": self.spec.in_lanes,
                "image": 1 if plan.flat else len(groups[group]),
                "map_row": plan.map_shape[0],
            }
            for at in product([group], *(range(size) for size in list(sizes.values())[1:])):
                last = all(r == n - 1 for r, n in list(zip(at, sizes.values(), strict=True))[2:7])
                repeats = plan.repeats if last else 1
                for repeat in range(repeats):
                    numbers = dict(zip(LOOPS, (*at, repeat), strict=True))
                    yield numbers, {**sizes, "repeat": repeats}

    def groups(self, images: int) -> list[range]:
        """Images of each weight load."""
        if self.plan.flat:
            return [range(images)]
        size = self.plan.group
        return [range(at, min(at + size, images)) for at in range(0, images, size)]

    def passes(self) -> Iterator[tuple[int, int, int, int, bool]]:
        """(plane, kernel lines, kernel columns, channel words, last) of each pass of a tile."""
        lines, columns, words = self.plan.passes_shape
        walk = [
            (plane, line, column, word)
            for plane in range(self.spec.planes)
            for line in range(lines)
            for column in range(columns)
            for word in range(words)
        ]
        for index, at in enumerate(walk):
            yield *at, index == len(walk) - 1

    def streams(self, line: int, word: int) -> list[tuple[int, int]]:
        """Kernel line and channel word of each stream in a pass."""
        count = self.geometry.streams
        if self.plan.by_words:
            return [(line, word * count + s) for s in range(count)]
        return [(line * count + s, word) for s in range(count)]

    def segments(self, images: int, scales: list[int]) -> Iterator[Segment]:
        """Weight loads, lines of beats and read-outs."""
        spec, plan, geometry = self.spec, self.plan, self.geometry
        groups = self.groups(images)
        for group in groups:
            weights = BASES.weight
            for tile in range(plan.tiles):
                for index, (plane, line, column, word, final) in enumerate(self.passes()):
                    taps = min(geometry.taps, spec.kernel[1] - column * geometry.taps)
                    pairs = self.streams(line, word)
                    tails = [w == plan.source.words - 1 for _, w in pairs]
                    shared = {"taps": (1 << taps) - 1, "tails": _bits(tails)}
                    yield {"load": 1, "read": 0, "weights": weights, **shared}
                    weights += geometry.weight_load_cycles
                    for lane in range(spec.in_lanes):
                        last = final and lane == spec.in_lanes - 1
                        yield from self._lines(
                            group,
                            lane,
                            pairs,
                            {
                                "load": 0,
                                "read": 0,
                                "tails": _bits(tails),
                                "x": column * geometry.taps - spec.padding[1],
                                "first": int(index == 0 and lane == 0),
                                "last": int(last and not plan.raw),
                                "tile": BASES.tile + tile,
                                "scale": scales[BASES.scale + plane * spec.in_lanes + lane],
                                "fill": (spec.border or 0) >> (spec.in_lanes - 1 - lane) & 1,
                                "repeats": plan.repeats if last else 1,
                                "tail": column == plan.passes_shape[1] - 1,
                            },
                        )
                if plan.raw:
                    ends = group[-1] == images - 1 and tile == plan.tiles - 1
                    yield self._read(len(group), tile, ends)

    def _read(self, count: int, tile: int, ends: bool) -> Segment:
        left = self.spec.out_channels - tile * self.geometry.columns
        return {
            "load": 0,
            "read": 1,
            "end": int(ends),
            "address": count * self.plan.accumulators,
            "channels": min(left, self.geometry.columns),
        }

    def _lines(
        self, group: range, lane: int, pairs: list[tuple[int, int]], shared: Segment
    ) -> Iterator[Segment]:
        spec, plan = self.spec, self.plan
        height, width = plan.map_shape
        tail, repeats = shared.pop("tail"), shared.pop("repeats")
        if plan.flat:
            spots, outputs = [(group[0], 0)], len(group)
        else:
            spots, outputs = [(image, row) for image in group for row in range(height)], width
        for number, (image, row) in enumerate(spots):
            rows = [row * spec.stride - spec.padding[0] + line for line, _ in pairs]
            for repeat in range(repeats):
                yield {
                    **shared,
                    "repeat": repeat,
                    "outputs": outputs,
                    "beats": plan.beats(outputs, tail=tail) - 1,
                    "address": number * width,
                    "active": _bits([line < spec.kernel[0] and word < plan.source.words
                                     for line, word in pairs]),
                    "inside": _bits([0 <= y < spec.in_shape[0] for y in rows]),
                    "reads": self._reads(image, lane, pairs, rows),
                }  # fmt: skip

    def _reads(
        self, image: int, lane: int, pairs: list[tuple[int, int]], rows: list[int]
    ) -> list[tuple[int, int] | None]:
        """Bank and address of position 0 of each stream that reads the map."""
        spec = self.spec
        places = MapModel(self.geometry, spec.in_shape, spec.in_lanes, self.block, self.base)
        reads = []
        for (line, word), y in zip(pairs, rows, strict=True):
            real = line < spec.kernel[0] and word < places.words and 0 <= y < spec.in_shape[0]
            reads.append(places.place(image, y, 0, word, lane) if real else None)
        return reads


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
        block=2,
    ),
    "border code, planes, stride": Layer(
        "3x3x4x16",
        conv((7, 6, 20), 9, (5, 5), padding=(2, 2), stride=2, border=1, in_scales=(3, 2),
             weight_scales=(2, 1)),
    ),
    "streams are words": Layer("2x2x3x8", conv((3, 3, 41), 4, (1, 1), in_scales=(2, 1)), base=40),
    "words, several kernel lines": Layer("3x1x12x8", conv((6, 4, 24), 13, (2, 1)), block=3),
    "flat": Layer(
        "3x1x12x8", conv((1, 1, 40), 14, (1, 1), in_scales=(4, 2, 1), out_lanes=3), block=5, base=9
    ),
    "flat, last": Layer("2x2x3x8", conv((1, 1, 9), 7, (1, 1), out_lanes=0), block=6),
    "fully connected, last": Layer(
        "3x3x4x16", conv((3, 3, 10), 10, (3, 3), in_scales=(2, 1), out_lanes=0), block=3
    ),
    "last, groups of images, ragged tile": Layer(
        "2x1x2x8", conv((4, 3, 9), 3, (1, 2), out_lanes=0), block=5
    ),
    "a stride over the streams": Layer("2x2x3x8", conv((9, 9, 8), 3, (1, 3), stride=3), block=2),
    "a stride of whole groups": Layer("2x1x2x8", conv((9, 5, 8), 2, (3, 1), stride=4), block=2),
    "more padding than streams": Layer("2x2x3x8", conv((2, 2, 8), 3, (5, 5), padding=(3, 3))),
    "repeats": Layer("2x2x3x8", conv((2, 5, 5), 11, (1, 1), out_lanes=3)),
}  # fmt: skip
