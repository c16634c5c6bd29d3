# SPDX-License-Identifier: Apache-2.0
"""Weights that rest in a column, and words that wait until their level of the tree."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Signal, Value

__all__ = ["delayed_loads", "delayed_word", "resting_weights"]


def delayed_word(m: Module, word: Value, delays: Sequence[int], *, name: str) -> list[Value]:
    """The bits of a word, each as many cycles late as ``delays`` says."""
    bits: list[Value] = list(Value.cast(word))
    for cycle in range(1, max(delays) + 1):
        late = [bit for bit, delay in enumerate(delays) if delay >= cycle]
        stage = Signal(len(late), name=f"word_{name}_{cycle}", reset_less=True)
        m.d.sync += stage.eq(Cat(bits[bit] for bit in late))
        for at, bit in enumerate(late):
            bits[bit] = stage[at]
    return bits


def delayed_loads(m: Module, load: Signal, delays: Sequence[int]) -> list[Signal]:
    """``load``, and how it was up to the longest delay ago."""
    loads = [load]
    for cycle in range(1, max(delays) + 1):
        name = f"load_{cycle}"
        later = Signal(name=name, reset_less=True)
        m.d.sync += later.eq(loads[-1])
        loads.append(later)
    return loads


def resting_weights(
    m: Module, weights: Value, loads: Sequence[Signal], delays: Sequence[int], *, name: str
) -> list[Signal]:
    """A column's weights, a register a bit, shifted along as many lanes as ``weights`` has bits.

    A bit that meets its word k cycles late must hold the old weight k cycles longer, and have the
    new one k cycles later than the others. It joins the shifting late: bits at depth j of a lane
    may miss the first j shifts. Where k > j, registers delay the lane before it.
    """
    beat, width = len(weights), len(delays)
    bits = [Signal(name=f"resting_{name}_{bit}", reset_less=True) for bit in range(width)]
    latest = max(delays)
    windows: dict[tuple[int, int], list[object]] = {}
    for lane in range(beat):
        source: Value = weights[lane]
        shift = 0  # cycles by which the lane is delayed so far
        for depth in range(width // beat):
            bit = width - beat * (depth + 1) + lane
            delay = delays[bit]
            while delay > depth + shift:
                waiting = Signal(name=f"waiting_{name}_{bit}_{shift}", reset_less=True)
                m.d.sync += waiting.eq(source)
                source = waiting
                shift += 1
            begin = min(latest, depth + shift) if delay > shift else shift
            windows.setdefault((begin, shift), []).append(bits[bit].eq(source))
            source = bits[bit]
    for (begin, shift), statements in windows.items():
        with m.If(Cat(loads[shift : begin + 1]).all()):
            m.d.sync += statements
    return bits
