# SPDX-License-Identifier: Apache-2.0
"""Which accelerator a geometry gets."""

from __future__ import annotations

from xnorflow.core.contents import Contents
from xnorflow.core.flat import is_flat
from xnorflow.core.geometry import Geometry
from xnorflow.flat.accelerator import FlatAccelerator
from xnorflow.gateware.accelerator import Accelerator

__all__ = ["make_accelerator"]


def make_accelerator(
    geometry: Geometry, *, build_hash: int = 0, contents: Contents | None = None
) -> Accelerator | FlatAccelerator:
    """The flat accelerator where the geometry allows fully connected layers only, else the general.

    Raises
    ------
    ValueError
        If the flat one cannot have the geometry, or the contents are for another one.
    """
    if contents is not None:
        contents.check(geometry)
    kind = FlatAccelerator if is_flat(geometry) else Accelerator
    return kind(geometry, build_hash=build_hash, contents=contents)
