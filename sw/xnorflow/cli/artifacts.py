# SPDX-License-Identifier: Apache-2.0
"""``xnorflow info``: what an artifact holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from xnorflow.cli.console import output, print_json
from xnorflow.cli.options import ArtifactArgument, JsonOption

if TYPE_CHECKING:
    from xnorflow.core.layer import LayerSpec

__all__ = ["info"]


def info(artifact: ArtifactArgument, as_json: JsonOption = False) -> None:
    """Show an artifact.

    Its layers with the XNORs that one image needs, its epilogue and where it came from.
    """
    from xnorflow.cli.images import find_artifact, open_artifact
    from xnorflow.cli.tables import table

    path = find_artifact(artifact)
    loaded = open_artifact(artifact)
    network = loaded.network
    size = len(loaded.to_bytes()) if path is None else path.stat().st_size
    if as_json:
        print_json(
            {
                "file": None if path is None else str(path),
                "bytes": size,
                "network": network.to_json(),
                "provenance": loaded.provenance,
                "digest": loaded.metadata()["digest"],
            }
        )
        return
    console = output()
    console.print(f"{network.name}: {path or 'no file'}, {size:,} bytes", soft_wrap=True)
    columns = ("layer", "in", "out", "kernel", "pool", "lanes", "weights", "XNORs")
    console.print(table(columns, [_row(layer) for layer in network.layers]))
    console.print(f"image     {_size(network.image_shape)}, highest {network.input_lanes} bits")
    console.print(f"epilogue  {', '.join(op.kind for op in network.epilogue) or 'none'}")
    console.print(f"classes   {', '.join(network.classes) or 'not named'}")
    for key, value in loaded.provenance.items():
        console.print(f"{_plain(key):<9} {_plain(value)}", soft_wrap=True)
    console.print(f"digest    {loaded.metadata()['digest']}", soft_wrap=True)


def _plain(value: Any) -> str:
    """A JSON value on one line, escaped where it does not print; --json shows what lies deeper."""
    if isinstance(value, dict):
        flat = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
        return ", ".join(f"{_plain(key)} {_plain(item)}" for key, item in flat.items())
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


def _pool(layer: LayerSpec) -> str:
    if layer.pool == 1:
        return ""
    overlap = f" /{layer.pool_stride}" if layer.pool_stride < layer.pool else ""
    return f"{layer.pool}{overlap}"


def _row(layer: LayerSpec) -> tuple[Any, ...]:
    kernel = _size(layer.kernel)
    if layer.stride > 1:
        kernel += f" /{layer.stride}"
    if any(layer.padding):
        kernel += f" +{_size(tuple(dict.fromkeys(layer.padding)))}"
    weights = layer.out_channels * layer.reduction * layer.planes
    return (
        layer.name,
        _size(layer.in_shape),
        _size(layer.out_shape),
        kernel,
        _pool(layer),
        f"{layer.in_lanes} > {layer.out_lanes or 'raw'}",
        f"{weights:,}",
        f"{layer.xnors:,}",
    )
