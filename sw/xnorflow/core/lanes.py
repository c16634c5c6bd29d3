# SPDX-License-Identifier: Apache-2.0
"""Fewer lanes at run time: accuracy for speed, on the same hardware and from the same artifact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from xnorflow.core.artifact import Artifact
from xnorflow.core.layer import LayerSpec
from xnorflow.core.network import NetworkSpec

__all__ = ["with_lanes"]


def with_lanes(artifact: Artifact, lanes: int) -> Artifact:
    """The network with at most ``lanes`` lanes in each activation: the highest ones of each code.

    Of a code of k bits the upper ``lanes`` stay:

        code' = code >> (k - lanes)

    is the number of thresholds reached among every 2^(k - lanes)-th one, so each channel keeps
    those thresholds, and nothing is trained or guessed. The next layer's lane scales lose their
    lowest ones, as does a border's code. Its accumulators then are the same sums without the
    lower lanes' terms, in the same unit: that is why thresholds and epilogue stay as they are.
    The pixels' lanes stay.

    Parameters
    ----------
    artifact : Artifact
    lanes : int
        From 1 to the most lanes that one of its layers gives; with that many nothing changes.

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is no integer, or outside that range.
    """
    network = artifact.network
    most = max((layer.out_lanes for layer in network.layers), default=0)
    if not isinstance(lanes, int) or isinstance(lanes, bool):
        raise TypeError(f"lanes must be an integer, not {lanes!r}")
    if most == 0:
        raise ValueError(f"{network.name}: its only layer gives no codes, so it has no lanes")
    if not 1 <= lanes <= most:
        raise ValueError(f"{network.name}: lanes must be from 1 to {most}, not {lanes}")
    if lanes == most:
        return artifact
    tensors = dict(artifact.tensors)
    layers: list[LayerSpec] = []
    for index, layer in enumerate(network.layers):
        changed: dict[str, Any] = {"out_lanes": min(layer.out_lanes, lanes)}
        if index:
            changed["in_scales"] = layer.in_scales[:lanes]
            if layer.border is not None:
                changed["border"] = layer.border >> max(layer.in_lanes - lanes, 0)
        layers.append(replace(layer, **changed))
        if layer.out_lanes > lanes:
            name = f"{layer.name}.thresholds"
            tensors[name] = _every(tensors[name], 1 << (layer.out_lanes - lanes))
    spec = NetworkSpec(
        network.name, network.image_shape, tuple(layers), network.epilogue, network.classes
    )
    return Artifact(spec, tensors, artifact.provenance | {"run_time_lanes": lanes})


def _every(thresholds: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """Every ``step``-th threshold of each channel."""
    return thresholds[:, step - 1 :: step].copy()
