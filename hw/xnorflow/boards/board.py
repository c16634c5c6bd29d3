# SPDX-License-Identifier: Apache-2.0
"""What a board is: its FPGA, its pins, and the design that it is built with by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amaranth.build import Resource

from xnorflow.boards.pll import Setting, settings
from xnorflow.core.geometry import Geometry

__all__ = ["Board", "BoardError"]


class BoardError(ValueError):
    """A board cannot do what was asked for; the message says what it can."""


@dataclass(frozen=True)
class Board:
    """A board.

    Parameters
    ----------
    name : str
        As openFPGALoader calls it, if it does.
    title : str
        In words.
    family : str
        ``"ecp5"``, ``"ice40"`` or ``"gowin"``.
    platform : class
        Pins and oscillator, as amaranth-boards describes them.
    nextpnr : tuple of str
        Arguments that name the device.
    part : str
        What the PLL's cell calls the device.
    packer : str
        What Gowin's packer calls it.
    geometry : Geometry
        Array that is built unless another one is asked for.
    clock_mhz : float
        Clock that it is meant to run with.
    options : tuple of str
        More arguments for nextpnr: placer, router.
    aim : float
        The router aims so many times higher than the clock. One that rips up what is late
        (``--tmg-ripup``) ends only where it is met.
    seeds : tuple of int
        The placer's, in the order in which they are tried.
    loader : str
        openFPGALoader's name of the board.
    baud : int
        Of the host link.
    leds : tuple of str
        Package pins of LEDs, lowest bit first.
    leds_low : bool
        They shine at 0.
    """

    name: str
    title: str
    family: str
    platform: type[Any]
    nextpnr: tuple[str, ...]
    part: str
    geometry: Geometry
    clock_mhz: float
    loader: str
    packer: str = ""
    options: tuple[str, ...] = ()
    aim: float = 1.05
    seeds: tuple[int, ...] = (1,)
    baud: int = 1_000_000
    leds: tuple[str, ...] = ()
    leds_low: bool = False

    @cached_property
    def _resources(self) -> dict[str, Resource]:
        return {each.name: each for each in self.platform.resources if each.number == 0}

    @property
    def oscillator_mhz(self) -> float:
        """The oscillator's frequency."""
        clock = self._resources[self.platform.default_clk].clock
        assert clock is not None  # every platform's default clock has one
        return float(clock.frequency) / 1e6

    @cached_property
    def pins(self) -> Mapping[str, str]:
        """Package pins of ``clk``, ``rx`` and ``tx``, and of outputs that must be 1, by name."""
        found = {"clk": self._resources[self.platform.default_clk].ios[0].names[0]}
        for signal in self._resources["uart"].ios:
            if signal.name in ("rx", "tx"):
                found[signal.name] = signal.ios[0].names[0]
        return found

    def pins_of(self, leds: int) -> dict[str, str]:
        """The same with the first LEDs: those of a design that has so many."""
        return {**self.pins, **{f"led_{index}": self.leds[index] for index in range(leds)}}

    def setting(self, mhz: float) -> Setting:
        """The PLL's setting for the highest clock up to ``mhz``.

        Raises
        ------
        BoardError
            If the PLL makes no clock that slow.
        """
        possible = [s for s in settings(self.family, self.oscillator_mhz) if s.mhz <= mhz + 1e-6]
        if not possible:
            raise BoardError(
                f"{self.name}: the PLL makes no clock of {mhz:g} MHz or less from "
                f"{self.oscillator_mhz:g} MHz; choose a smaller array"
            )
        return possible[-1]
