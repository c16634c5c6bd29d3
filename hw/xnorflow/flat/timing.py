# SPDX-License-Identifier: Apache-2.0
"""Which geometries a flat accelerator can have."""

from __future__ import annotations

from amaranth.utils import ceil_log2

from xnorflow.core.flat import FlatTiming, is_flat
from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import field_width

__all__ = ["check_flat"]


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
