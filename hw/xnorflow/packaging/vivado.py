# SPDX-License-Identifier: Apache-2.0
"""A Tcl script with which Vivado makes an IP-XACT component of a Verilog file."""

from __future__ import annotations

from pathlib import Path

from xnorflow.core.registers import INTERFACE_VERSION
from xnorflow.gateware.verilog import Design
from xnorflow.packaging.tops import Top

__all__ = ["packaging_script"]

_SCRIPT = """\
# Vivado: make an IP of {file}, in the folder {stem}_ip beside it.
#   vivado -mode batch -source {stem}_vivado.tcl [-tclargs PART]
# Then add that folder to a project's IP repositories.
# Commands as in AMD's UG835 (Tcl commands) and UG1118 (packaging IP).

set here [file dirname [file normalize [info script]]]
set part [expr {{$argc > 0 ? [lindex $argv 0] : "{part}"}}]

create_project -in_memory -part $part
add_files -norecurse [file join $here "{file}"]
set_property top {module} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $here "{stem}_ip"] -vendor xnorflow -library user \\
  -taxonomy /UserIP -import_files -set_current true -force
set core [ipx::current_core]
set_property name {module} $core
set_property version 1.{interface} $core
set_property display_name "xnorflow {title}" $core
set_property description "{description}" $core

# Clock and reset.
ipx::infer_bus_interface {clock} xilinx.com:signal:clock_rtl:1.0 $core
ipx::infer_bus_interface {reset} xilinx.com:signal:reset_rtl:1.0 $core
ipx::associate_bus_interfaces -clock {clock} -reset {reset} $core
set reset_interface [ipx::get_bus_interfaces {reset} -of_objects $core]
if {{[llength [ipx::get_bus_parameters -quiet POLARITY -of_objects $reset_interface]] == 0}} {{
  ipx::add_bus_parameter POLARITY $reset_interface
}}
set_property value ACTIVE_{polarity} [ipx::get_bus_parameters POLARITY -of_objects $reset_interface]
{interfaces}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
"""

_INTERFACES = """
# Buses, by the names of their ports; they run on {clock}.
foreach {{bus kind}} {{
{pairs}}} {{
  if {{[llength [ipx::get_bus_interfaces -quiet $bus -of_objects $core]] == 0}} {{
    ipx::infer_bus_interfaces $kind $core
  }}
  if {{[llength [ipx::get_bus_interfaces -quiet $bus -of_objects $core]] == 0}} {{
    error "Vivado found no bus $bus in {file}"
  }}
  ipx::associate_bus_interfaces -busif $bus -clock {clock} $core
}}
"""

_PART = "xc7z020clg400-1"
"""Any part of a family that the IP is for; it can be used with others, too."""


def packaging_script(design: Design, top: Top, file: str) -> str:
    """The script for a design that is in this file, beside it."""
    known = [item for item in top.interfaces if item.vlnv]
    interfaces = ""
    if known:
        pairs = "".join(f"  {item.name} {item.vlnv}\n" for item in known)
        interfaces = _INTERFACES.format(clock=top.clock, pairs=pairs, file=file)
    return _SCRIPT.format(
        stem=Path(file).stem,
        file=file,
        part=_PART,
        module=design.top,
        title=top.title,
        description=f"Geometry {design.geometry}, build hash {design.build_hash:08x}",
        interface=INTERFACE_VERSION,
        clock=top.clock,
        reset=top.reset,
        polarity=top.reset_active.upper(),
        interfaces=interfaces,
    )
