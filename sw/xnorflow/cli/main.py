# SPDX-License-Identifier: Apache-2.0
"""The command ``xnorflow``: its sub-commands, and how an error reaches the user.

Exit status: 0 done, 1 the array differs from the golden model, 2 a mistake in what was asked for,
3 an error inside xnorflow.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from xnorflow.cli import (
    artifacts,
    bench,
    build,
    compiling,
    evaluating,
    explore,
    hardware,
    pixels,
    pruning,
    running,
    serving,
    simulating,
    studies,
    summarising,
    training,
)
from xnorflow.cli.console import print_error

__all__ = ["app", "main"]

DEBUG = "XNORFLOW_DEBUG"

app = typer.Typer(
    name="xnorflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("xnorflow"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Binary neural networks from PyTorch to an XNOR-popcount systolic array, bit for bit.

    An array's geometry is written streams x taps x columns x word width, as in 3x3x8x32.
    XNORFLOW_DEBUG=1 shows where an error arose; XNORFLOW_CACHE names the folder of built
    simulations.
    """


app.command("sim")(simulating.sim)
app.command("run")(running.run)
app.command("info")(artifacts.info)
app.command("train")(training.train)
app.command("prune")(pruning.prune)
app.command("export")(training.export)
app.command("eval")(evaluating.evaluate)
app.command("plot")(training.plot)
app.command("study")(studies.study)
app.command("results")(studies.results)
app.command("summary")(summarising.summary)
app.command("compile")(compiling.compile_artifact)
app.command("explore")(explore.explore)
app.command("verilog")(hardware.verilog)
app.command("serve-uart")(serving.serve_uart)
app.command("build")(build.build)
app.command("pixels")(pixels.pixels)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line; every error is one line, unless XNORFLOW_DEBUG is set."""
    try:
        app(prog_name="xnorflow")
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        if _is_expected(error):
            print_error(str(error))
            sys.exit(2)
        print_error(
            f"{type(error).__name__}: {error} (an error inside xnorflow; {DEBUG}=1 shows where)"
        )
        sys.exit(3)


def _is_expected(error: Exception) -> bool:
    """Whether the error says by itself what the user can do about it."""
    ours = type(error).__module__.split(".")[0] == "xnorflow"
    return ours or isinstance(error, ValueError | TypeError | OSError)
