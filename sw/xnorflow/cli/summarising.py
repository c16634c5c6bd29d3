# SPDX-License-Identifier: Apache-2.0
"""``xnorflow summary``: how large a network is and how much it computes."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xnorflow.cli.console import output, print_json
from xnorflow.cli.options import JsonOption

if TYPE_CHECKING:
    from xnorflow.core.network import NetworkSpec
    from xnorflow.zoo.accounting import Account
    from xnorflow.zoo.architecture import Architecture

__all__ = ["summary"]

MIB = 1 << 20


def summary(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A network's name, a shipped artifact's, or an artifact's file; none lists names.",
        ),
    ] = None,
    as_json: JsonOption = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Picture of its binary layers' speed-up to write: .svg, .png or .pdf."),
    ] = None,
) -> None:
    """Count a network's parameters and operations, as docs/models.md says."""
    if model is None:
        output().print("\n".join(_names()))
        return
    if plot is not None:
        from xnorflow.cli.plots import check_picture

        check_picture(plot)
    network = find_network(model)
    facts = _facts(network)
    if plot is not None:
        from xnorflow.cli.plots import save_picture
        from xnorflow.cli.speedup import plot_speedup

        save_picture(plot_speedup(network), plot)
    if as_json:
        print_json(facts)
    else:
        _show(facts)


def find_network(name: str) -> NetworkSpec | Architecture:
    """The network of that name or file.

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name; the message lists the nearest names.
    ArtifactError
        If the file is no usable artifact.
    """
    from xnorflow.core.artifact import Artifact
    from xnorflow.zoo import architectures, catalog, networks

    if Path(name).is_file():
        return Artifact.load(Path(name)).network
    if name in architectures.names():
        return architectures.named(name)
    if name in catalog.names():
        return Artifact.load(catalog.artifact_path(name)).network
    try:
        return networks.named(name)
    except ValueError:
        near = get_close_matches(name, _names(), n=3) or _names()
        raise FileNotFoundError(
            f"{name[:80]}: no such file and no network of that name; near it: {', '.join(near)}; "
            "`xnorflow summary` lists all"
        ) from None


def _names() -> list[str]:
    from xnorflow.zoo import architectures, catalog, networks

    return [*networks.names(), *architectures.names(), *catalog.names()]


def _facts(network: NetworkSpec | Architecture) -> dict[str, Any]:
    """What --json prints."""
    from xnorflow.zoo.accounting import account

    counted = account(network)
    references = _references(network, counted)
    baseline = references[0]
    return {
        "model": network.name,
        "source": getattr(network, "source", ""),
        "parameters_1bit": counted.parameters_1bit,
        "parameters_32bit": counted.parameters_32bit,
        "parameters_norm": counted.parameters_norm,
        "packed_bytes": counted.packed_bytes,
        "memory_bits": counted.memory_bits,
        "baseline": baseline.name,
        "float_bytes": baseline.float_bytes,
        "compression_rate": baseline.float_bytes / counted.packed_bytes,
        "compression_rates": {
            each.name: each.float_bytes / counted.packed_bytes for each in references
        },
        "macs_1bit": counted.macs_1bit,
        "macs_32bit": counted.macs_32bit,
        "flops": counted.flops,
        "float_flops": baseline.float_flops,
        "speedup": baseline.float_flops / counted.flops,
        "layers": [layer.to_json() for layer in counted.layers],
    }


def _references(network: NetworkSpec | Architecture, counted: Account) -> list[Account]:
    """The networks whose size in full precision it is compared with, the main one first."""
    from xnorflow.zoo.accounting import account
    from xnorflow.zoo.architecture import Architecture
    from xnorflow.zoo.architectures import named

    if not isinstance(network, Architecture):
        return [counted]
    names = [network.baseline or network.name, network.name]
    names += ["alexnet-caffe"] if network.classes == 1000 else []
    return [account(named(name)) for name in dict.fromkeys(names)]


def _show(facts: dict[str, Any]) -> None:
    from xnorflow.cli.tables import table

    console = output()
    columns = ("layer", "in", "out", "1 bit", "32 bit", "1-bit M", "32-bit M")
    title = "parameters of 1 and of 32 bits; millions of MACs"
    console.print(table(columns, [_row(layer) for layer in facts["layers"]], title))
    packed, whole = facts["packed_bytes"], facts["float_bytes"]
    lines = {
        "network": f"{facts['model']}  {facts['source']}",
        "parameters": f"{facts['parameters_1bit']:,} of 1 bit, {facts['parameters_32bit']:,} of "
        f"32 bits; {facts['parameters_norm']:,} of BatchNorm beside them",
        "packed": f"{packed:,} bytes, {packed / MIB:.2f} MiB; with BatchNorm "
        f"{facts['memory_bits'] / 1e6:.2f} Mbit",
        "full": f"{whole:,} bytes, {whole / MIB:.2f} MiB in full precision ({facts['baseline']})",
        "compression": ", ".join(
            f"{rate:.2f}x of {name}" for name, rate in facts["compression_rates"].items()
        ),
        "operations": f"{facts['macs_1bit']:,} 1-bit MACs, {facts['macs_32bit']:,} 32-bit MACs",
        "FLOPs": f"{facts['flops']:.4g}, {facts['speedup']:.2f} times fewer than "
        f"{facts['float_flops']:.4g} in full precision",
    }
    for name, line in lines.items():
        console.print(f"{name:<12} {line.strip()}", soft_wrap=True)


def _row(layer: dict[str, Any]) -> tuple[str, ...]:
    shapes = ("x".join(map(str, layer[shape])) for shape in ("in_shape", "out_shape"))
    stored, done = ("parameters_1bit", "parameters_32bit"), ("macs_1bit", "macs_32bit")
    return (
        layer["name"],
        *shapes,
        *(f"{layer[count]:,}" if layer[count] else "" for count in stored),
        *(f"{layer[count] / 1e6:,.2f}" if layer[count] else "" for count in done),
    )
