# SPDX-License-Identifier: Apache-2.0
"""How many images a second a board may be expected to classify."""

from __future__ import annotations

from dataclasses import dataclass

from xnorflow.compile.errors import CompileError
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.zoo.catalog import artifact_path, names

__all__ = ["Expected", "expected"]

BITS_A_BYTE = 10
"""On a UART, with start and stop bit."""


@dataclass(frozen=True)
class Expected:
    """A network on a board.

    Parameters
    ----------
    network : str
    array : float
        Images a second that the array computes, by the exact count of cycles.
    link : float
        Images a second whose bytes a UART brings, were there nothing else on it.
    """

    network: str
    array: float
    link: float

    def to_json(self) -> dict[str, float]:
        """The figures as plain JSON values."""
        return {"array": round(self.array, 1), "link": round(self.link, 1)}


def expected(
    geometry: Geometry, clock_mhz: float, baud: int, artifact: Artifact | None = None
) -> list[Expected]:
    """For ``artifact``, or for each shipped network that fits the geometry."""
    found = []
    given = (Artifact.load(artifact_path(name)) for name in names())
    for each in given if artifact is None else (artifact,):
        try:
            program = compile_network(each, geometry)
        except CompileError:
            continue
        height, width, channels = program.network.image_shape
        found.append(
            Expected(
                each.network.name,
                array=clock_mhz * 1e6 * program.block / program.block_cycles(program.block),
                link=baud / BITS_A_BYTE / (height * width * channels),
            )
        )
    return found
