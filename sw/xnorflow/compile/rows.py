# SPDX-License-Identifier: Apache-2.0
"""A program row: one run of a layer, over some units of the block and some lines of its map."""

from __future__ import annotations

from dataclasses import dataclass

from xnorflow.compile.layout import MapLayout
from xnorflow.compile.plan import LayerPlan

__all__ = ["Bases", "Row", "row_values"]


@dataclass(frozen=True)
class Row:
    """One run of a layer.

    Parameters
    ----------
    plan : LayerPlan
    layer : int
        The layer's number in the network.
    source, target : MapLayout
        Where the input and the output map lie; a map may hold all units of the block or a part.
    first, count : int
        Units of the block that the row is for.
    source_first, target_first : int
        Unit of the block that is the first one of the source map, of the target map.
    line, lines : int
        Output lines (after pooling) that the row computes.
    from_input, frees_input : bool
        The source holds what the host sent; no later row needs it.
    """

    plan: LayerPlan
    layer: int
    source: MapLayout
    target: MapLayout
    first: int
    count: int
    source_first: int
    target_first: int
    line: int
    lines: int
    from_input: bool = False
    frees_input: bool = False

    def units(self, total: int) -> int:
        """Units that the row runs for in a block of ``total`` units."""
        return max(0, min(self.count, total - self.first))

    @property
    def map_lines(self) -> int:
        """Convolution lines that the row computes."""
        return self.plan.map_lines(self.lines)


@dataclass(frozen=True)
class Bases:
    """Where a layer's part of each program memory begins."""

    weight: int
    record: int
    scale: int


def row_values(row: Row, bases: Bases, *, chunk: int, double: bool) -> dict[str, int]:
    """Fields of the program row (core/program.py).

    ``chunk`` units of input lie in the banks at once, ``double`` of that if one part is filled
    while another is used.
    """
    plan, source, target = row.plan, row.source, row.target
    geometry, spec = plan.geometry, plan.spec
    streams, taps = geometry.streams, geometry.taps
    addresses = 1 << (geometry.activation_depth - 1).bit_length()  # address arithmetic wraps here
    lines, columns, words = plan.passes_shape
    signed = 1 << 11

    top = row.line * spec.pool_stride * spec.stride - spec.padding[0]
    left = -spec.padding[1]
    source_unit = row.first - row.source_first
    target_unit = row.first - row.target_first
    if plan.flat:
        top, left = 0, source_unit
    in_base = source.base + source_unit * source.image_stride
    out_base = (
        target.base + target_unit * target.image_stride + row.line // streams * (target.line_stride)
    )
    if target.flat:
        out_base += target_unit // taps
    steps = {0: 1, 1: taps, 2: streams * taps}[int(plan.unroll)]
    border = spec.border or 0
    bits = spec.in_lanes  # lanes, or planes
    return {
        "flat": int(plan.flat),
        "raw": int(plan.raw),
        "unroll": int(plan.unroll),
        "planes": int(plan.planes),
        "from_input": int(row.from_input),
        "frees_input": int(row.frees_input),
        "border_enable": int(spec.border is not None),
        "border_bits": sum((border >> (bits - 1 - i) & 1) << i for i in range(bits)),
        "unit_first": row.first,
        "unit_last": row.count - 1,
        "in_base": in_base % addresses,
        "start_line": top // streams * source.line_stride % addresses,
        "start_row": top % streams,
        "start_y": top % signed,
        "start_slot": left // taps % addresses,
        "start_column": left % taps,
        "start_x": 0 if plan.flat else left % signed,
        "row_last": spec.in_shape[0] - 1,
        "column_last": (1 << 10) - 1 if plan.flat else spec.in_shape[1] - 1,
        "word_last": source.words - 1,
        "tail": source.tail,
        "lane_last": plan.lanes - 1,
        "lane_stride": source.lane_stride % addresses,
        "word_stride": source.word_stride % addresses,
        "line_stride": source.line_stride % addresses,
        "image_stride": source.image_stride % addresses,
        "stride": spec.stride,
        "step_line": spec.stride // streams * source.line_stride % addresses,
        "step_row": spec.stride % streams,
        "step_slot": 0 if plan.flat and taps > 1 else (1 if plan.flat else spec.stride // taps),
        "step_column": (1 % taps) if plan.flat else spec.stride % taps,
        "kernel_row_last": spec.kernel[0] - 1,
        "kernel_column_last": spec.kernel[1] - 1,
        "ky_last": lines - 1,
        "kx_last": columns - 1,
        "cw_last": words - 1,
        "cw_step": steps * source.word_stride % addresses,
        "plane_last": spec.planes - 1,
        "map_row_last": row.map_lines - 1,
        "map_width_last": plan.map_width - 1,
        "pace": plan.pace - 1,
        "shortest": 3 if plan.lanes > 1 else 0,
        "keep": int(plan.keep),
        "ends": int(row.line + row.lines == spec.out_shape[0]),
        "weight_base": bases.weight,
        "record_base": bases.record,
        "scale_base": bases.scale,
        "tile_last": plan.tiles - 1,
        "channels_tail": spec.out_channels - (plan.tiles - 1) * geometry.columns,
        "pool_last": spec.pool - 1,
        "pool_overlap": int(spec.pool > spec.pool_stride),
        "out_flat": int(target.flat),
        "out_base": out_base % addresses,
        "out_start_row": row.line % streams,
        "out_row_last": row.lines - 1,
        "out_column_last": spec.out_shape[1] - 1,
        "out_word_last": target.words - 1,
        "out_lane_last": max(spec.out_lanes - 1, 0),
        "out_lane_stride": target.lane_stride % addresses,
        "out_word_stride": target.word_stride % addresses,
        "out_line_stride": target.line_stride % addresses,
        "out_image_stride": target.image_stride % addresses,
        "chunk_last": chunk - 1,
        "chunk_double": int(double),
        "chunk_stride": source.size % addresses if double else 0,
    }
