# SPDX-License-Identifier: Apache-2.0
"""The files beside a Verilog file: manifest, clock constraints, and scripts for other tools."""

from __future__ import annotations

import json
from pathlib import Path

from xnorflow.gateware.verilog import Design
from xnorflow.packaging.manifest import manifest
from xnorflow.packaging.tops import TOPS, Settings
from xnorflow.packaging.vivado import packaging_script

__all__ = ["package_files"]


def package_files(name: str, design: Design, settings: Settings, file: str) -> dict[str, str]:
    """Names and texts of all files, the Verilog first.

    Parameters
    ----------
    name : str
        Of the top.
    design : Design
    settings : Settings
    file : str
        Name of the Verilog file; the others' begin with it, without its suffix.
    """
    top = TOPS[name]
    stem = Path(file).stem
    made = manifest(design, top, settings, file)
    period = 1000 / settings.clock_mhz
    clock = f"create_clock -name {top.clock} -period {period:.3f} [get_ports {{{top.clock}}}]\n"
    frequency = f'FREQUENCY PORT "{top.clock}" {settings.clock_mhz:g} MHZ;\n'
    about = f"{settings.clock_mhz:g} MHz; pins and other delays are the board's matter"
    here = "$::quartus(qip_path)"
    return {
        file: design.verilog,
        f"{stem}.json": json.dumps(made, indent=2) + "\n",
        f"{stem}.sdc": f"# Quartus, OpenSTA: {about}\n{clock}",
        f"{stem}.xdc": f"# Vivado, for synthesis out of context: {about}\n{clock}",
        f"{stem}.lpf": f"# ECP5: {about}\n{frequency}",
        f"{stem}.qip": (
            f"# Quartus: add this one file to a project\n"
            f'set_global_assignment -name VERILOG_FILE [file join {here} "{file}"]\n'
            f'set_global_assignment -name SDC_FILE [file join {here} "{stem}.sdc"]\n'
        ),
        f"{stem}_vivado.tcl": packaging_script(design, top, file),
    }
