# SPDX-License-Identifier: Apache-2.0
"""What the driver needs to know of a compiled program, and how it gets one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec

__all__ = ["DeviceProgram", "to_program"]


@runtime_checkable
class DeviceProgram(Protocol):
    """A network compiled for one geometry; ``xnorflow.compile`` makes them."""

    @property
    def geometry(self) -> Geometry:
        """The geometry that it was compiled for."""
        ...

    @property
    def network(self) -> NetworkSpec:
        """The network."""
        ...

    @property
    def epilogue(self) -> Mapping[str, npt.NDArray[Any]]:
        """Arrays of the float epilogue, named as in the artifact."""
        ...

    @property
    def config(self) -> npt.NDArray[np.uint32]:
        """Words of the configuration stream."""
        ...

    @property
    def block(self) -> int:
        """Most images in one block."""
        ...

    def block_cycles(self, n: int) -> int:
        """Cycles of a block of ``n`` images."""
        ...

    def results_count(self, n: int) -> int:
        """Result words of a block of ``n`` images."""
        ...

    def unpack_results(self, words: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
        """Accumulators (n, height, width, channels) from a block's result words."""
        ...

    def layer_codes(self, tap: npt.NDArray[Any], n: int) -> dict[str, npt.NDArray[np.uint8]]:
        """Codes (n, height, width, channels) of each layer from a tap record."""
        ...

    def useful_xnors(self, n: int) -> int:
        """XNORs on real inputs that ``n`` images need."""
        ...


def to_program(source: Any, geometry: Geometry) -> DeviceProgram:
    """A program as it is; an artifact, or the path of one, compiled for ``geometry``.

    Raises
    ------
    TypeError
        If ``source`` is none of them.
    FileNotFoundError, ArtifactError
        If the file is missing or unusable.
    """
    if isinstance(source, str | Path):
        source = Artifact.load(source)
    if isinstance(source, Artifact):
        from xnorflow.compile.program import compile_network

        program: DeviceProgram = compile_network(source, geometry)
        return program
    if isinstance(source, DeviceProgram):
        return source
    raise TypeError(
        "Load an artifact, the path of an artifact or a compiled program, "
        f"not {type(source).__name__}"
    )
