# SPDX-License-Identifier: Apache-2.0
"""Delay lines."""

from amaranth import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OwnRegister", "delayed"]


class OwnRegister(wiring.Component):
    """A register in a module of its own, so that synthesis does not merge it with its like.

    Of a bit that half the chip takes, each part so has a copy beside it.

    Members
    -------
    i, o : In(1), Out(1)
    """

    def __init__(self) -> None:
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal()
        m.d.sync += held.eq(self.i)
        m.d.comb += self.o.eq(held)
        return m

    @classmethod
    def of(cls, m: Module, bit: Value, name: str) -> Signal:
        """``bit`` a cycle later, from a submodule of that name."""
        m.submodules[name] = copy = cls()
        m.d.comb += copy.i.eq(bit)
        return copy.o


def delayed(m: Module, signal: Signal, cycles: int, name: str) -> Signal:
    """``signal``, ``cycles`` cycles later."""
    for cycle in range(cycles):
        later = Signal(signal.shape(), name=f"{name}_{cycle + 1}")
        m.d.sync += later.eq(signal)
        signal = later
    return signal
