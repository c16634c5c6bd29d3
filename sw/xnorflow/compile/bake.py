# SPDX-License-Identifier: Apache-2.0
"""From an artifact to what a design holds of it from the start."""

from __future__ import annotations

from xnorflow.compile.program import compile_network
from xnorflow.core.answer import Answer
from xnorflow.core.artifact import Artifact
from xnorflow.core.baked import Baked
from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry

__all__ = ["bake"]


def bake(artifact: Artifact, geometry: Geometry) -> Baked:
    """The configuration that a driver would load, as the memories' contents.

    Raises
    ------
    CompileError
        If the network does not fit the geometry.
    """
    program = compile_network(artifact, geometry)
    answer, why = None, ""
    try:
        if geometry.pixels > 1:
            raise ValueError(
                f"{geometry}: a device without a host takes images one at a time, which needs "
                "pixels=1"
            )
        answer = Answer.of(program.network, program.epilogue)
    except ValueError as error:
        why = str(error)
    return Baked(
        name=artifact.network.name,
        digest=artifact.metadata()["digest"],
        contents=Contents.of(geometry, program.config),
        answer=answer,
        why=why,
    )
