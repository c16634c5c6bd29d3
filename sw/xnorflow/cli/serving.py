# SPDX-License-Identifier: Apache-2.0
"""``xnorflow serve-uart``: a simulated board behind a serial port."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xnorflow.cli.console import output
from xnorflow.cli.options import GeometryOption, NetOption

__all__ = ["serve_uart"]


def serve_uart(
    geometry: GeometryOption = "3x3x8x32",
    net: NetOption = None,
    link: Annotated[
        Path | None, typer.Option(help="Also make this symbolic link to the port.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="End after that long; with Ctrl-C by default.")
    ] = None,
) -> None:
    """Simulate a board behind a serial port.

    The whole design is simulated, with its UART: the driver talks to it through its pins, as to
    a board. Prints the port's name, a pseudo-terminal, for `xnorflow run --device uart:PORT`.
    """
    import time

    from xnorflow.cli.images import open_artifact
    from xnorflow.compile.bake import bake
    from xnorflow.core.geometry import Geometry
    from xnorflow.simulation.terminal import Terminal
    from xnorflow.simulation.uart import SimulatedBoard, load_uart

    shape = Geometry.parse(geometry)
    baked = None if net is None else bake(open_artifact(net), shape)
    terminal = Terminal(SimulatedBoard(load_uart(shape, baked=baked)))
    end = None if seconds is None else time.monotonic() + seconds
    try:
        if link is not None:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(terminal.path)
        console = output()
        console.print(f"{shape} at {terminal.path}", soft_wrap=True)
        if baked is not None and baked.answer is not None:
            console.print(
                f"it takes images of {baked.answer.image_bytes:,} bytes, until a host comes",
                soft_wrap=True,
            )
        console.print(
            f"xnorflow run ARTIFACT --device uart:{link or terminal.path} --geometry {shape}",
            soft_wrap=True,
        )
        terminal.serve(lambda: end is None or time.monotonic() < end)
    except KeyboardInterrupt:
        pass
    finally:
        if link is not None and link.is_symlink():
            link.unlink()
        terminal.close()
