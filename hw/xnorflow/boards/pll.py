# SPDX-License-Identifier: Apache-2.0
"""Each family's PLL: the clocks that it makes of a board's oscillator, and its cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth import Const, Module, Signal
from amaranth.hdl import Instance

__all__ = ["PLLS", "Setting", "add_pll", "settings"]


@dataclass(frozen=True, order=True)
class Setting:
    """One way to set a PLL.

    Parameters
    ----------
    mhz : float
        The clock that it gives.
    dividers : tuple of int
        The family's, in the order of its function below.
    """

    mhz: float
    dividers: tuple[int, ...]


def _ecp5(oscillator: float) -> Iterator[Setting]:
    """EHXPLLL: CLKI_DIV, CLKFB_DIV, CLKOP_DIV; VCO 400 to 800 MHz (FPGA-DS-02012)."""
    for input_ in range(1, 9):
        if oscillator / input_ < 3.125:
            continue
        for feedback in range(1, 33):
            for output in range(1, 129):
                clock = oscillator / input_ * feedback
                if 400 <= clock * output <= 800:
                    yield Setting(clock, (input_, feedback, output))


def _ice40(oscillator: float) -> Iterator[Setting]:
    """SB_PLL40: DIVR, DIVF, DIVQ; VCO 533 to 1066 MHz (FPGA-TN-02052)."""
    for reference in range(16):
        if not 10 <= oscillator / (reference + 1) <= 133:
            continue
        for feedback in range(128):
            vco = oscillator / (reference + 1) * (feedback + 1)
            if 533 <= vco <= 1066:
                for output in range(1, 7):
                    yield Setting(vco / (1 << output), (reference, feedback, output))


def _gowin(oscillator: float) -> Iterator[Setting]:
    """rPLL: IDIV_SEL, FBDIV_SEL, ODIV_SEL; VCO 500 to 1200 MHz (UG286: up to 1250)."""
    for input_ in range(64):
        if oscillator / (input_ + 1) < 3:
            continue
        for feedback in range(64):
            clock = oscillator / (input_ + 1) * (feedback + 1)
            for output in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
                if 500 <= clock * output <= 1200:
                    yield Setting(clock, (input_, feedback, output))


PLLS = {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}
"""Every setting by family, for an oscillator in MHz."""


def settings(family: str, oscillator: float) -> list[Setting]:
    """One setting a clock, slowest first; of several the one that compares its phase most often."""
    found: dict[float, Setting] = {}
    for setting in PLLS[family](oscillator):
        key = round(setting.mhz, 6)
        if key not in found or setting.dividers < found[key].dividers:
            found[key] = setting
    return sorted(found.values())


def add_pll(
    m: Module, family: str, setting: Setting, oscillator: float, pin: Signal, *, part: str = ""
) -> tuple[Signal, Signal]:
    """Add the PLL behind a clock pin. Returns its clock, and the oscillator's."""
    pll = _Pll(setting.dividers, oscillator, pin, part, Signal(name="clock"), Signal(name="slow"))
    if family != "ice40":  # there the pin is the PLL's own
        m.d.comb += pll.slow.eq(pin)
    m.submodules.pll = _CELLS[family](m, pll)
    return pll.clock, pll.slow


@dataclass(frozen=True)
class _Pll:
    """What a family's cell is made of: its pin, what it gives, and the oscillator in MHz."""

    dividers: tuple[int, ...]
    oscillator: float
    pin: Signal
    part: str
    clock: Signal
    slow: Signal


def _ecp5_cell(m: Module, pll: _Pll) -> Instance:
    input_, feedback, output = pll.dividers
    made, locked = Signal(), Signal()
    # The clock begins when the PLL has locked: what registers begin with stays until then.
    m.submodules.gate = Instance("DCCA", i_CLKI=made, i_CE=locked, o_CLKO=pll.clock)
    fixed: dict[str, Any] = {
        "p_PLLRST_ENA": "DISABLED",
        "p_INTFB_WAKE": "DISABLED",
        "p_STDBY_ENABLE": "DISABLED",
        "p_DPHASE_SOURCE": "DISABLED",
        "p_OUTDIVIDER_MUXA": "DIVA",
        "p_CLKOP_ENABLE": "ENABLED",
        "p_FEEDBK_PATH": "CLKOP",
        "i_RST": Const(0),
        "i_STDBY": Const(0),
        "i_PHASESEL0": Const(0),
        "i_PHASESEL1": Const(0),
        "i_PHASEDIR": Const(1),
        "i_PHASESTEP": Const(1),
        "i_PHASELOADREG": Const(1),
        "i_PLLWAKESYNC": Const(0),
        "i_ENCLKOP": Const(0),
    }
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_CLKI_DIV=input_,
        p_CLKFB_DIV=feedback,
        p_CLKOP_DIV=output,
        p_CLKOP_CPHASE=output // 2,
        p_CLKOP_FPHASE=0,
        i_CLKI=pll.pin,
        i_CLKFB=made,
        o_CLKOP=made,
        o_LOCK=locked,
        **fixed,
    )


def _ice40_cell(m: Module, pll: _Pll) -> Instance:
    reference, feedback, output = pll.dividers
    compared = pll.oscillator / (reference + 1)
    limits = (17, 26, 44, 66, 101, 133)  # MHz at the phase detector, by filter range less one
    return Instance(
        "SB_PLL40_2_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(reference, 4),
        p_DIVF=Const(feedback, 7),
        p_DIVQ=Const(output, 3),
        p_FILTER_RANGE=Const(1 + next(at for at, top in enumerate(limits) if compared <= top), 3),
        p_PLLOUT_SELECT_PORTB="GENCLK",
        i_PACKAGEPIN=pll.pin,
        i_RESETB=Const(1),
        i_BYPASS=Const(0),
        o_PLLOUTGLOBALA=pll.slow,
        o_PLLOUTGLOBALB=pll.clock,
    )


def _gowin_cell(m: Module, pll: _Pll) -> Instance:
    input_, feedback, output = pll.dividers
    none = {name: Const(0, 6) for name in ("i_FBDSEL", "i_IDSEL", "i_ODSEL")}
    off = {f"p_DYN_{name}_SEL": "false" for name in ("IDIV", "FBDIV", "ODIV")}
    bypass = {f"p_CLKOUT{name}_BYPASS": "false" for name in ("", "P", "D")}
    return Instance(
        "rPLL",
        p_FCLKIN=f"{pll.oscillator:g}",
        p_DEVICE=pll.part,
        p_IDIV_SEL=input_,
        p_FBDIV_SEL=feedback,
        p_ODIV_SEL=output,
        p_CLKFB_SEL="internal",
        p_DYN_DA_EN="false",
        p_DYN_SDIV_SEL=2,
        p_PSDA_SEL="0000",
        p_DUTYDA_SEL="1000",
        **off,
        **bypass,
        **none,
        i_CLKIN=pll.pin,
        i_CLKFB=Const(0),
        i_RESET=Const(0),
        i_RESET_P=Const(0),
        i_PSDA=Const(0, 4),
        i_DUTYDA=Const(0, 4),
        i_FDLY=Const(0, 4),
        o_CLKOUT=pll.clock,
    )


_CELLS = {"ecp5": _ecp5_cell, "ice40": _ice40_cell, "gowin": _gowin_cell}
