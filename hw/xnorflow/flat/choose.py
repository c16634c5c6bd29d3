# SPDX-License-Identifier: Apache-2.0
"""Which accelerator a geometry gets."""

from __future__ import annotations

from xnorflow.core.contents import Contents
from xnorflow.core.flat import is_flat
from xnorflow.core.geometry import Geometry
from xnorflow.flat.accelerator import FlatAccelerator
from xnorflow.gateware.accelerator import Accelerator
from xnorflow.links.crossed import CrossedDevice

__all__ = ["make_accelerator", "make_crossed"]


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


def make_crossed(
    geometry: Geometry, *, build_hash: int = 0, contents: Contents | None = None
) -> CrossedDevice | FlatAccelerator:
    """The same, its array in the domain ``array``, which has another clock than the host's ports.

    Raises
    ------
    ValueError
        As :func:`make_accelerator`.
    """
    if not is_flat(geometry):
        return CrossedDevice(make_accelerator(geometry, build_hash=build_hash, contents=contents))
    if contents is not None:
        contents.check(geometry)
    return FlatAccelerator(geometry, build_hash=build_hash, contents=contents, array_domain="array")
