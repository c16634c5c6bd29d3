# SPDX-License-Identifier: Apache-2.0
"""Builds a component's Verilog with cocotb's interface and runs a bench on it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from cocotb_tools.runner import get_results, get_runner

from xnorflow.simulation.cache import cache_dir, cached_folder
from xnorflow.simulation.toolchain import ToolchainError, find_toolchain

__all__ = ["BenchError", "run_bench"]

BUILD_FLAGS = (
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
    # Ports alone: whatever else cocotb's runner makes visible costs minutes of compile time.
    *("--no-public-flat-rw", "--public-depth", "1"),
)
MAKE_FLAGS = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
"""A bench spends its time in Python; a quick build is worth more than a quick model."""
TIMESCALE = ("1ns", "1ps")
LIBRARY = "verilated"
REWRITTEN = {"COCOTB_REWRITE_ASSERTION_FILES": "bench_*.py"}
"""Files whose failed assertions show their values; for all files, PyTorch's too, it takes long."""


class BenchError(AssertionError):
    """A bench failed; the message ends with its log."""


@contextmanager
def _environment() -> Iterator[None]:
    """cocotb's runner looks for its tools in the process's own environment."""
    environment = find_toolchain().environment()
    environment["MAKEFLAGS"] += " " + " ".join(MAKE_FLAGS)
    with patch.dict(os.environ, environment):
        yield


def _executable(verilog: str, top: str) -> Path:
    """The folder of the simulator of this Verilog; the first call builds it."""
    toolchain = find_toolchain()
    cocotb = importlib.metadata.distribution("cocotb")
    # Its libraries are linked by where they lie: another virtual environment needs its own model.
    tools = (
        toolchain.version,
        toolchain.compiler_version(),
        cocotb.version,
        str(cocotb.locate_file("cocotb")),
    )
    flags = (BUILD_FLAGS, MAKE_FLAGS, TIMESCALE)

    def build(folder: Path) -> None:
        source = folder / f"{top}.v"
        source.write_text(verilog)
        # Verilator's own library, the largest part of a small design, is compiled once. make must
        # find it newer than the makefile that Verilator is about to write.
        library = _key(tools, flags)
        later = time.time() + 3600
        for path in (cache_dir() / LIBRARY).joinpath(library).glob("*.o"):
            os.utime(shutil.copy(path, folder), (later, later))
        _build(folder, source, top)
        cached_folder(LIBRARY, library, lambda kept: _copy_library(folder, kept))
        for path in folder.iterdir():
            if path.name != top:
                path.unlink()

    key = _key(verilog, top, tools, flags, LIBRARY)
    return cached_folder("bench", key, build, message=f"Building the bench of {top} (once)")


def _key(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _build(folder: Path, source: Path, top: str) -> None:
    log = folder / "build.log"
    try:
        with _environment():
            get_runner("verilator").build(
                sources=[source],
                hdl_toplevel=top,
                build_dir=folder,
                build_args=list(BUILD_FLAGS),
                timescale=TIMESCALE,
                log_file=log,
            )
    except (RuntimeError, SystemExit, OSError) as error:
        raise ToolchainError(
            f"Building the bench of {top} failed: {error}\n{_tail(log)}"
        ) from error


def _copy_library(folder: Path, kept: Path) -> None:
    # Not cocotb's verilator.o: it makes the model, whose size is that of one design's ports.
    for path in folder.glob("verilated*.o"):
        shutil.copy(path, kept)


def run_bench(
    verilog: str,
    top: str,
    bench: str,
    *,
    seed: int,
    settings: Mapping[str, str] | None = None,
    case: str | None = None,
) -> int:
    """Run the cocotb tests of one module.

    Parameters
    ----------
    verilog : str
        Text of the design.
    top : str
        Its top module.
    bench : str
        Dotted name of the module that holds the tests.
    seed : int
        For cocotb's random numbers.
    settings : dict of str to str or None
        Environment variables that the bench reads.
    case : str or None
        Run only this test.

    Returns
    -------
    int
        How many tests ran; all of them passed.

    Raises
    ------
    BenchError
        If a test failed, or if there was none.
    ToolchainError
        If the simulator cannot be built.
    """
    folder = _executable(verilog, top)
    with tempfile.TemporaryDirectory(prefix="xnorflow-bench-") as name:
        work = Path(name)
        log, results = work / "bench.log", work / "results.xml"
        # Under pytest the runner ends the process where a test failed; the results say which.
        with suppress(SystemExit), _environment():
            get_runner("verilator").test(
                test_module=bench,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=work,
                results_xml=str(results),
                extra_env={**REWRITTEN, **(settings or {})},
                testcase=case,
                seed=seed,
                log_file=log,
            )
        try:
            total, failed = get_results(results)
        except (RuntimeError, OSError) as error:
            raise BenchError(f"{bench} gave no results: {error}\n{_tail(log)}") from error
        if failed or not total:
            raise BenchError(f"{bench}: {failed} of {total} tests failed\n{_tail(log)}")
        return total


def _tail(log: Path) -> str:
    return log.read_text()[-6000:] if log.exists() else ""
