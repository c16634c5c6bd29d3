# SPDX-License-Identifier: Apache-2.0
"""Delay lines."""

from amaranth import Module, Signal

__all__ = ["delayed"]


def delayed(m: Module, signal: Signal, cycles: int, name: str) -> Signal:
    """``signal``, ``cycles`` cycles later."""
    for cycle in range(cycles):
        later = Signal(signal.shape(), name=f"{name}_{cycle + 1}")
        m.d.sync += later.eq(signal)
        signal = later
    return signal
