# SPDX-License-Identifier: Apache-2.0
"""``xnorflow explore``: which geometry computes a network best on a device."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xnorflow.cli.console import output, print_json, progress
from xnorflow.cli.options import JsonOption

if TYPE_CHECKING:
    from xnorflow.compile.explore import Candidate
    from xnorflow.core.network import NetworkSpec

__all__ = ["explore"]


def explore(
    network: Annotated[
        str,
        typer.Argument(
            metavar="[NETWORK]",
            help="An artifact's file, a shipped one's name, or a network's: cnv.",
        ),
    ] = "cnv",
    device: Annotated[
        str,
        typer.Option(help="ecp5-85f, ecp5-45f, ecp5-25f, up5k, xc7a35t, xc7a100t or xc7z020."),
    ] = "ecp5-85f",
    objective: Annotated[str, typer.Option(help="throughput or latency.")] = "throughput",
    top: Annotated[int, typer.Option(help="Geometries shown.")] = 10,
    clock_mhz: Annotated[
        float | None,
        typer.Option(help="The clock; else an assumption for the device.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only show the estimates beside what synthesis said.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the geometries: FILE.png or .svg.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the geometries that compute a network best on a device.

    Cycles are exact; LUTs and flip-flops are estimates fitted to synthesised accelerators, and
    the clock is an assumption unless it is given.
    """
    from xnorflow.compile.explore import explore as search
    from xnorflow.compile.resources import DEVICES

    if check:
        _check(as_json)
        return
    if device not in DEVICES:
        raise ValueError(f"--device must be one of {', '.join(DEVICES)}, not {device!r}")
    if clock_mhz is not None and not 0 < clock_mhz < 10000:
        raise ValueError(f"--clock-mhz must be positive, not {clock_mhz}")
    if plot is not None:
        from xnorflow.cli.plots import check_picture

        check_picture(plot)
    chosen = DEVICES[device]
    if clock_mhz is not None:
        chosen = replace(chosen, clock_mhz=clock_mhz)
    spec = _network(network)
    with progress("exact schedules") as advance:
        found = search(spec, chosen, objective=objective, top=top, progress=advance)
    if not found:
        raise ValueError(
            f"{spec.name} fits no geometry on {device}: the smallest array's logic, or the "
            "network's weights, are more than it has; try a larger --device"
        )
    if plot is not None:
        from xnorflow.cli.plots import plot_candidates, save_picture

        save_picture(plot_candidates(found, f"{spec.name} on {device}"), plot)
    if as_json:
        print_json([_json(each) for each in found])
        return
    _show(found, f"{spec.name} on {device} at {chosen.clock_mhz:g} MHz, by {objective}")


def _network(name: str) -> NetworkSpec:
    """The network's layers; their weights are not needed."""
    from xnorflow.cli.images import find_artifact
    from xnorflow.core.artifact import Artifact
    from xnorflow.zoo.networks import named

    path = find_artifact(name)
    return named(name) if path is None else Artifact.load(path).network


def _show(found: list[Candidate], title: str) -> None:
    from xnorflow.cli.tables import table

    columns = (
        "", "shape", "pixels", "images/s", "latency us", "cycles", "useful",
        "LUT", "FF", "block RAM", "DSP", "limit",
    )  # fmt: skip
    rows = []
    for number, each in enumerate(found, 1):
        shares = each.resources.shares(each.device)
        one = each.block == each.geometry.pixels
        rows.append(
            (
                str(number),
                str(each.geometry).split(",", maxsplit=1)[0],
                str(each.geometry.pixels),
                f"{each.images_per_second:,.0f}",
                f"{each.latency_cycles / each.device.clock_mhz:,.1f}" if one else "",
                f"{each.cycles_per_image:,.0f}",
                f"{100 * each.utilisation:.1f} %",
                *(f"{100 * share:.0f} %" for share in shares.values()),
                each.limit,
            )
        )
    console = output()
    if not console.is_terminal:
        console.width = max(console.width, 140)
    console.print(title)
    console.print(table(columns, rows))
    for number, each in enumerate(found, 1):
        console.print(f"{number:>3}  --geometry {each.geometry}", soft_wrap=True)


def _json(each: Candidate) -> dict[str, Any]:
    return {
        "geometry": str(each.geometry),
        "device": each.device.name,
        "clock_mhz": each.device.clock_mhz,
        "images_per_second": each.images_per_second,
        "cycles_per_image": each.cycles_per_image,
        "latency_cycles": each.latency_cycles if each.block == each.geometry.pixels else None,
        "utilisation": each.utilisation,
        "block": each.block,
        **asdict(each.resources),
        "limit": each.limit,
    }


def _check(as_json: bool) -> None:
    from xnorflow.cli.tables import table
    from xnorflow.compile.resources import estimate, measured

    rows = []
    for each in measured():
        guess = estimate(each.geometry, each.family)
        errors = {
            name: getattr(guess, name) / max(getattr(each, name), 1) - 1
            for name in ("lut", "ff", "memory_blocks", "dsp")
        }
        rows.append((each, guess, errors))
    if as_json:
        print_json(
            [
                {"family": each.family, "geometry": str(each.geometry), "error": errors}
                for each, _, errors in rows
            ]
        )
        return
    names = ("lut", "ff", "memory_blocks", "dsp")
    console = output()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print("synthesis > estimate (error)")
    console.print(
        table(
            ("geometry", "family", *names),
            [
                (
                    str(each.geometry),
                    each.family,
                    *(
                        f"{getattr(each, n):,} > {getattr(guess, n):,} ({100 * errors[n]:+.1f} %)"
                        for n in names
                    ),
                )
                for each, guess, errors in rows
            ],
        )
    )
