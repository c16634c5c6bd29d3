# SPDX-License-Identifier: Apache-2.0
"""Verilog of an accelerator: one plain Verilog-2001 file, and its hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amaranth._toolchain import yosys
from amaranth.back import rtlil
from amaranth.hdl import _nir
from amaranth.lib import wiring

from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.flat.choose import make_accelerator
from xnorflow.gateware.memory import INITIALISED

__all__ = [
    "HASH_MARK",
    "TOP",
    "WAIVERS",
    "Design",
    "convert",
    "describe",
    "emit",
    "uninitialised_memories",
]

TOP = "xnorflow"
HASH_MARK = 0x9E3779B1
"""Stands for the build hash while the rest of the text is hashed."""

WAIVERS = {
    "DECLFILENAME": "all modules are in one file",
    "CASEINCOMPLETE": "every case assigns over a default",
    "PROCASSINIT": "registers have initial values and a reset",
    "UNUSEDSIGNAL": "fields of structures also appear as wires of their own",
    "WIDTHEXPAND": "operands widen as Verilog defines",
    "WIDTHTRUNC": "!x stands for x == 0",
    "UNSIGNED": "comparisons with 0 in unrolled loops",
    "CMPCONST": "comparisons with a field's maximum in unrolled loops",
    "ALWNEVER": "a constant field of a structure",
    "ASCRANGE": "fields of no bits",
    "VARHIDDEN": "a signal in a submodule may have the submodule's name",
}
"""What generated text does that ``verilator -Wall`` would report, and why it is right."""


@dataclass(frozen=True)
class Design:
    """Verilog of one accelerator.

    Parameters
    ----------
    geometry : Geometry
    verilog : str
        The file's text.
    digest : str
        SHA-256 (hexadecimal) of the text with a placeholder for the build hash.
    build_hash : int
        First 32 bits of the digest: what the device's ``build_hash`` register says.
    top : str
        Its top module.
    """

    geometry: Geometry
    verilog: str
    digest: str
    build_hash: int
    top: str = TOP


def emit(geometry: Geometry, *, contents: Contents | None = None) -> Design:
    """Describe the accelerator of this geometry in Verilog; its top module is ``xnorflow``.

    The same geometry, contents and sources give the same text, wherever and whenever it is made.
    """

    def make(mark: int) -> wiring.Component:
        return make_accelerator(geometry, build_hash=mark, contents=contents)

    return describe(make, geometry, TOP)


def describe(
    make: Callable[[int], wiring.Component],
    geometry: Geometry,
    top: str,
    title: str = "accelerator",
) -> Design:
    """Describe in Verilog what holds one accelerator, and give it its hash.

    Parameters
    ----------
    make : callable
        ``make(build_hash)`` is the component.
    geometry : Geometry
        The accelerator's.
    top : str
        Name of the component's module.
    title : str
        Of the file.
    """
    text = convert(make(HASH_MARK), top)
    mark = re.compile(rf"32'd{HASH_MARK}\b|32'h{HASH_MARK:08x}\b")
    if len(mark.findall(text)) != 1:
        raise RuntimeError("the build hash's place in the Verilog text is not unique")
    digest = hashlib.sha256(text.encode()).hexdigest()
    build_hash = int(digest[:8], 16)
    text = mark.sub(f"32'h{build_hash:08x}", text)
    header = (
        f"// xnorflow {title}, Apache-2.0\n"
        f"// geometry   {geometry}\n"
        f"// build hash {build_hash:08x}\n"
        + "".join(f"/* verilator lint_off {rule} */ // {why}\n" for rule, why in WAIVERS.items())
    )
    return Design(geometry, header + text, digest, build_hash, top)


@contextmanager
def uninitialised_memories() -> Iterator[None]:
    """Emit memories without initial values: every word is written before it is read.

    Amaranth always emits them, bit by bit, which would take most of the time and of the text.
    Those that must have them (``INITIALISED``) do.
    """
    emit_memory = rtlil.ModuleEmitter.emit_memory

    def emit(emitter: rtlil.ModuleEmitter, index: int, cell: _nir.Memory) -> None:
        if INITIALISED in cell.attributes:
            emit_memory(emitter, index, cell)

    rtlil.ModuleEmitter.emit_memory = emit
    try:
        yield
    finally:
        rtlil.ModuleEmitter.emit_memory = emit_memory


def convert(component: wiring.Component, name: str) -> str:
    """Verilog of a component and what it contains; ``name`` becomes its module's name."""
    with uninitialised_memories():
        text = rtlil.convert(component, name=name, emit_src=False)
    script = (
        f"read_rtlil <<rtlil\n{text}\nrtlil",
        "proc -nomux -norom -noopt",  # the optimiser would split the popcount's masks into bits
        "memory_collect",
        "write_verilog -norename -noattr",
    )
    # Yosys always warns that processes are written as they are, which is what we want.
    tool = yosys.find_yosys(lambda version: version >= (0, 40))
    return tool.run(["-q", "-"], "\n".join(script), ignore_warnings=True)
