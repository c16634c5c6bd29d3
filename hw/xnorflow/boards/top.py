# SPDX-License-Identifier: Apache-2.0
"""What a board's FPGA holds: the PLL, and a device on the pins of its UART."""

from __future__ import annotations

from typing import Any

from amaranth import ClockDomain, Fragment, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.boards.board import Board
from xnorflow.boards.pll import Setting, add_pll
from xnorflow.gateware.target import Target

__all__ = ["BoardTop"]


class BoardTop(wiring.Component):
    """Clock, rx and tx of a board; LEDs, if the device names a class without a host.

    There is no reset: a bitstream says what registers begin with, and the host can abort.

    Parameters
    ----------
    board : Board
    setting : Setting
        The PLL's.
    device : Component
        With ``rx`` and ``tx``: the host link in the domain ``sync``, which the oscillator clocks,
        the array in the domain ``array``, the PLL's; perhaps with ``best``.
    """

    def __init__(self, board: Board, setting: Setting, device: Any) -> None:
        self.board = board
        self.setting = setting
        self.device = device
        best = getattr(device, "best", None)
        self.leds = 0 if best is None else min(len(best), len(board.leds))
        leds = {f"led_{index}": Out(1) for index in range(self.leds)}
        super().__init__({"clk": In(1), "rx": In(1), "tx": Out(1), **leds})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        board = self.board
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.domains.array = array = ClockDomain(reset_less=True)
        clock, slow = add_pll(
            m, board.family, self.setting, board.oscillator_mhz, self.clk, part=board.part
        )
        m.d.comb += [
            sync.clk.eq(slow),
            array.clk.eq(clock),
            self.device.rx.eq(self.rx),
            self.tx.eq(self.device.tx),
        ]
        for index in range(self.leds):
            m.d.comb += getattr(self, f"led_{index}").eq(self.device.best[index] ^ board.leds_low)
        m.submodules.device = Fragment.get(self.device, Target(board.family))
        return m
