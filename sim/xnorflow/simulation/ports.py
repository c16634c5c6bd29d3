# SPDX-License-Identifier: Apache-2.0
"""What the harness sees of a design: a Verilog wrapper with plain names, and a C++ header."""

from __future__ import annotations

from xnorflow.core.geometry import Geometry

__all__ = ["WRAPPER", "ports_header", "wrapper"]

WRAPPER = "simulation"
"""Name of the wrapper's module: the top of a trace."""

_PORTS = (
    ("input", 8, "reg_address"),
    ("input", 1, "reg_write"),
    ("input", 32, "reg_write_data"),
    ("output", 32, "reg_read_data"),
    ("input", 32, "config__payload"),
    ("input", 1, "config__valid"),
    ("output", 1, "config__ready"),
    ("input", 8, "pixels__payload"),
    ("input", 1, "pixels__valid"),
    ("output", 1, "pixels__ready"),
    ("output", 33, "results__payload"),
    ("output", 1, "results__valid"),
    ("input", 1, "results__ready"),
    ("output", 8, "tap_row"),
)


def _taps(geometry: Geometry) -> list[tuple[str, int, str]]:
    widths = {
        "enable": geometry.word_width // geometry.granule,
        "address": (geometry.activation_depth - 1).bit_length(),
        **{f"data_{pixel}": geometry.word_width for pixel in range(geometry.pixels)},
    }
    return [
        ("output", width, f"tap_{bank}__{name}")
        for bank in range(geometry.banks)
        for name, width in widths.items()
    ]


def wrapper(geometry: Geometry, design: str) -> str:
    """Verilog around the module ``design``: its ports, with single underscores.

    Reset passes through a register. Every next state depends on it, and what depends on a top
    input is evaluated twice a cycle; registered, it costs a tenth less time.
    """
    ports = [*_PORTS, *_taps(geometry)]
    declared = "".join(
        f",\n  {direction} [{width - 1}:0] {_plain(name)}" for direction, width, name in ports
    )
    connected = "".join(f",\n    .{name}({_plain(name)})" for _, _, name in ports)
    return f"""
module {WRAPPER}(
  input clk,
  input rst{declared}
);
  reg reset = 1'b0;
  always @(posedge clk) reset <= rst;
  {design} device(
    .clk(clk),
    .rst(reset){connected}
  );
endmodule
"""


def ports_header(geometry: Geometry, class_name: str) -> str:
    """C++ access to the ports whose number depends on the geometry."""
    visits = "".join(
        f"    visit({bank}, {pixel}, top.tap_{bank}_enable, top.tap_{bank}_address, "
        f"top.tap_{bank}_data_{pixel});\n"
        for bank in range(geometry.banks)
        for pixel in range(geometry.pixels)
    )
    return (
        "// Calls visit(bank, pixel, enable, address, data) for the tap of each activation bank.\n"
        "template <class Visit>\n"
        f"inline void visit_taps(const {class_name}& top, Visit visit) {{\n{visits}}}\n"
    )


def _plain(name: str) -> str:
    return name.replace("__", "_")
