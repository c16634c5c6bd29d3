# SPDX-License-Identifier: Apache-2.0
"""The designs that ``xnorflow verilog`` writes, and what other tools need to know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.lib import wiring

from xnorflow.core.baked import Baked
from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.flat.choose import make_accelerator
from xnorflow.gateware.verilog import Design, describe

__all__ = ["TOPS", "Interface", "Settings", "Top", "emit_top"]


@dataclass(frozen=True)
class Settings:
    """What a top may need beside the geometry.

    Parameters
    ----------
    clock_mhz : float
        The clock that the design is meant for; constraints say it.
    baud : int
        Bits a second of the UART.
    baked : Baked or None
        A network that is there from the start.

    Raises
    ------
    ValueError
        If one of them is not positive.
    """

    clock_mhz: float = 100.0
    baud: int = 1_000_000
    baked: Baked | None = None

    @property
    def contents(self) -> Contents | None:
        """What memories hold from the start."""
        return None if self.baked is None else self.baked.contents

    def __post_init__(self) -> None:
        for name in ("clock_mhz", "baud"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class Interface:
    """Ports that belong together: those whose names begin with ``name``."""

    name: str
    kind: str
    """For people: what protocol it is, and which side."""
    vlnv: str | None = None
    """Vivado's name of the protocol, where it knows one."""


@dataclass(frozen=True)
class Top:
    """A design that can be written as Verilog.

    Parameters
    ----------
    name : str
        As in ``--top``.
    title : str
        One line for people.
    interfaces : tuple of Interface
        Its other ports; some may be there only with a network that is baked in.
    make : callable
        ``make(geometry, build_hash, settings)`` is the component.
    clock, reset : str
        Ports of that purpose.
    reset_active : str
        ``"high"`` or ``"low"``; it is released with the clock in any case.
    uses_uart : bool
        Whether ``Settings.baud`` counts.
    """

    name: str
    title: str
    interfaces: tuple[Interface, ...]
    make: Callable[[Geometry, int, Settings], wiring.Component]
    clock: str = "clk"
    reset: str = "rst"
    reset_active: str = "high"
    uses_uart: bool = False

    @property
    def module(self) -> str:
        """Name of the top module."""
        return "xnorflow" if self.name == "core" else f"xnorflow_{self.name}"


def _core(geometry: Geometry, build_hash: int, settings: Settings) -> wiring.Component:
    return make_accelerator(geometry, build_hash=build_hash, contents=settings.contents)


def _axi(geometry: Geometry, build_hash: int, settings: Settings) -> wiring.Component:
    from xnorflow.buses.axi import AxiAccelerator

    return AxiAccelerator(geometry, build_hash=build_hash, contents=settings.contents)


def _wishbone(geometry: Geometry, build_hash: int, settings: Settings) -> wiring.Component:
    from xnorflow.buses.wishbone import WishboneAccelerator

    return WishboneAccelerator(geometry, build_hash=build_hash, contents=settings.contents)


def _uart(geometry: Geometry, build_hash: int, settings: Settings) -> wiring.Component:
    from xnorflow.links.uart import UartAccelerator, uart_divisor

    divisor = uart_divisor(settings.clock_mhz, settings.baud)
    return UartAccelerator(geometry, divisor=divisor, build_hash=build_hash, baked=settings.baked)


def _spi(geometry: Geometry, build_hash: int, settings: Settings) -> wiring.Component:
    from xnorflow.links.spi import SpiAccelerator

    return SpiAccelerator(geometry, build_hash=build_hash)


_STREAM = "stream of payload, valid and ready"

TOPS: dict[str, Top] = {
    top.name: top
    for top in (
        Top(
            name="core",
            title="accelerator",
            interfaces=(
                Interface("reg_", "register bus, read data in the next cycle"),
                Interface("config__", f"{_STREAM}, in: configuration"),
                Interface("pixels__", f"{_STREAM}, in: bytes of images"),
                Interface("results__", f"{_STREAM}, out: accumulators; the highest bit is last"),
                Interface("tap_", "for tests: leave them open"),
            ),
            make=_core,
        ),
        Top(
            name="axi",
            title="accelerator on AXI4-Lite and AXI4-Stream",
            clock="aclk",
            reset="aresetn",
            reset_active="low",
            interfaces=(
                Interface("s_axil", "AXI4-Lite slave", "xilinx.com:interface:aximm_rtl:1.0"),
                Interface("s_axis", "AXI4-Stream slave", "xilinx.com:interface:axis_rtl:1.0"),
                Interface("m_axis", "AXI4-Stream master", "xilinx.com:interface:axis_rtl:1.0"),
            ),
            make=_axi,
        ),
        Top(
            name="wishbone",
            title="accelerator on Wishbone",
            interfaces=(Interface("wb_", "Wishbone B4 classic slave, addresses of words"),),
            make=_wishbone,
        ),
        Top(
            name="uart",
            title="accelerator on a serial line",
            interfaces=(
                Interface("rx", "UART input, 8N1"),
                Interface("tx", "UART output, 8N1"),
                Interface("best", "class of the last image that came without a host"),
            ),
            make=_uart,
            uses_uart=True,
        ),
        Top(
            name="spi",
            title="accelerator on an SPI bus",
            interfaces=(
                Interface("sck", "SPI clock, at most an eighth of clk, modes 0 and 3"),
                Interface("cs_n", "SPI chip select, active low"),
                Interface("mosi", "SPI input, highest bit first"),
                Interface("miso", "SPI output, driven all the time"),
            ),
            make=_spi,
        ),
    )
}


def emit_top(name: str, geometry: Geometry, settings: Settings | None = None) -> Design:
    """Describe one of these designs in Verilog.

    Raises
    ------
    ValueError
        If there is no such top, or the settings do not fit it.
    """
    if name not in TOPS:
        raise ValueError(f"Unknown top {name!r}; known: {', '.join(TOPS)}")
    top, chosen = TOPS[name], settings or Settings()

    def make(build_hash: int) -> Any:
        return top.make(geometry, build_hash, chosen)

    return describe(make, geometry, top.module, top.title)
