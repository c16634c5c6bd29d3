# SPDX-License-Identifier: Apache-2.0
"""A compiled simulation of one design: built once by Verilator and the compiler, then cached."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xnorflow.core.geometry import Geometry
from xnorflow.simulation.cache import cached_folder
from xnorflow.simulation.design import TOP, SimulatedDesign, load_design
from xnorflow.simulation.ports import WRAPPER, ports_header, wrapper
from xnorflow.simulation.toolchain import Toolchain, find_toolchain

__all__ = ["SimulationModel", "build_design", "build_library", "build_model", "library_key"]

PREFIX = "Vxnorflow"
LIBRARY = "model.so"
SLOW_MARK = "__Slow"
"""Ends the name of a file whose code seldom runs."""
HARNESS = Path(__file__).with_name("harness.cpp")

VERILATOR_FLAGS = (
    *("--cc", "-O3", "--no-timing", "--no-assert"),
    *("--x-assign", "fast"),
    *("--x-initial", "unique"),  # memories start as harness.cpp says
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),  # linted elsewhere
    *("--output-split", "20000"),  # enough files for every core; each has its overhead
)
COMMON_FLAGS = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w")
"""Hidden symbols: fewer indirect calls, and several models in one process never mix."""
FAST_FLAGS = ("-O2",)
"""For what runs every cycle, and for the run-time library."""
SLOW_FLAGS = ("-O0",)
"""For what Verilator marks as slow: construction and the set-up of traces."""


@dataclass(frozen=True)
class SimulationModel:
    """A built simulation.

    Parameters
    ----------
    geometry : Geometry
        The geometry it was built for.
    library : Path
        The shared library that harness.cpp describes.
    build_hash : int
        What the device's ``build_hash`` register answers.
    trace : bool
        Whether it can write a VCD file; that makes it slower.
    """

    geometry: Geometry
    library: Path
    build_hash: int
    trace: bool


def build_model(geometry: Geometry, *, trace: bool = False) -> SimulationModel:
    """The simulation of the accelerator of ``geometry``; the first call builds it.

    Raises
    ------
    ToolchainError
        If a tool is missing or fails.
    """
    return build_design(load_design(geometry), trace=trace)


def build_design(
    design: SimulatedDesign, *, trace: bool = False, optimise: bool = True
) -> SimulationModel:
    """The simulation of any Verilog with the accelerator's ports; the first call builds it.

    The model is cached under everything that decides it: Verilog, harness, flags, tools.

    Parameters
    ----------
    design : SimulatedDesign
    trace : bool
        Whether it can write a VCD file.
    optimise : bool
        False: the compiler takes the least time, which for a few blocks on a netlist is more than
        the model then loses.
    """
    toolchain = find_toolchain()
    verilog = design.verilog + wrapper(design.geometry, TOP)
    header = ports_header(design.geometry, PREFIX)

    def build(folder: Path) -> None:
        (folder / "ports.h").write_text(header)
        build_library(
            folder, verilog, toolchain, top=WRAPPER, harness=HARNESS, trace=trace, optimise=optimise
        )

    folder = cached_folder(
        "model",
        library_key(toolchain, verilog, header, HARNESS.read_text(), repr((trace, optimise))),
        build,
        message=f"Building the simulation of {design.geometry} (once)",
    )
    return SimulationModel(design.geometry, folder / LIBRARY, design.build_hash, trace)


def library_key(toolchain: Toolchain, *texts: str) -> str:
    """What a built library is cached under: its texts, the flags and the tools."""
    facts = (
        *texts,
        repr((VERILATOR_FLAGS, COMMON_FLAGS, FAST_FLAGS, SLOW_FLAGS)),
        repr((toolchain.version, toolchain.compiler_version(), platform.machine())),
    )
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _macros(trace: bool) -> list[str]:
    on = int(trace)
    return [
        f"-DVM_TRACE={on}",
        f"-DVM_TRACE_VCD={on}",
        "-DVM_TRACE_FST=0",
        "-DVM_TRACE_SAIF=0",
        "-DVM_COVERAGE=0",
        "-DVM_SC=0",
        "-DVM_TIMING=0",
        "-DVERILATOR=1",
    ]


def build_library(
    folder: Path,
    verilog: str,
    toolchain: Toolchain,
    *,
    top: str,
    harness: Path,
    trace: bool = False,
    optimise: bool = True,
) -> None:
    """Verilate, compile and link ``folder``/model.so; leave nothing else of size behind."""
    work = folder / "work"
    work.mkdir()
    source = work / "xnorflow.v"
    source.write_text(verilog)
    tracing = ["--trace-vcd"] if trace else []
    toolchain.verilate(
        [*VERILATOR_FLAGS, *tracing, "--prefix", PREFIX, "--top-module", top,
         "--Mdir", str(work), str(source)]
    )  # fmt: skip
    include = [f"-I{work}", f"-I{folder}", f"-I{toolchain.root / 'include'}"]
    units = [*_units(work), harness]
    fast = FAST_FLAGS if optimise else SLOW_FLAGS
    objects = _compile(units, work, [*include, *_macros(trace)], toolchain, fast)
    runtime = _runtime(toolchain, trace)
    toolchain.run(
        [toolchain.compiler, "-shared", "-o", str(folder / LIBRARY),
         *map(str, objects), *map(str, sorted(runtime.glob("*.o"))), "-pthread"]
    )  # fmt: skip
    shutil.rmtree(work)


def _units(work: Path) -> list[Path]:
    """Verilator's output as few, equally large files: one fast and one slow a core.

    Each file costs more than a second for Verilator's own headers.
    """
    sources = sorted(work.glob("*.cpp"), key=lambda path: path.stat().st_size, reverse=True)
    units = []
    for mark, wanted in (("", False), (SLOW_MARK, True)):
        bins: list[list[Path]] = [[] for _ in range(_cores())]
        sizes = [0] * len(bins)
        for source in sources:
            if source.stem.endswith(SLOW_MARK) is wanted:
                smallest = sizes.index(min(sizes))
                bins[smallest].append(source)
                sizes[smallest] += source.stat().st_size
        for index, members in enumerate(filter(None, bins)):
            unit = work / f"unit_{index}{mark}.cc"
            unit.write_text("".join(f'#include "{member.name}"\n' for member in members))
            units.append(unit)
    return units


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _runtime(toolchain: Toolchain, trace: bool) -> Path:
    """Verilator's run-time library, compiled once for all designs."""
    include = toolchain.root / "include"
    names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if trace else [])]
    flags = [f"-I{include}", f"-I{include / 'vltstd'}", *_macros(trace)]
    facts = repr((toolchain, toolchain.compiler_version(), flags, COMMON_FLAGS, FAST_FLAGS))

    def build(folder: Path) -> None:
        _compile([include / f"{name}.cpp" for name in names], folder, flags, toolchain)

    return cached_folder(
        "runtime",
        hashlib.sha256(facts.encode()).hexdigest()[:32],
        build,
    )


def _compile(
    sources: list[Path],
    folder: Path,
    flags: list[str],
    toolchain: Toolchain,
    fast: tuple[str, ...] = FAST_FLAGS,
) -> list[Path]:
    """Compile every source into ``folder``, on every core, in order."""

    def compile_one(source: Path) -> Path:
        optimise = SLOW_FLAGS if source.stem.endswith(SLOW_MARK) else fast
        target = folder / f"{source.stem}.o"
        toolchain.run(
            [toolchain.compiler, *COMMON_FLAGS, *optimise, *flags,
             "-c", str(source), "-o", str(target)]
        )  # fmt: skip
        return target

    with ThreadPoolExecutor(_cores()) as pool:
        return list(pool.map(compile_one, sources))
