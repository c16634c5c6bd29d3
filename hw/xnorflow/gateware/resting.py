# SPDX-License-Identifier: Apache-2.0
"""Weights that rest in a column, and words that wait until their level of the tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from amaranth import Cat, Module, Signal, Value

__all__ = ["Window", "delayed_word", "load_windows", "resting_weights", "windowed_loads"]

Window = tuple[int, int]
"""Cycles ago at which it begins and ends, both of them in it."""


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


def load_windows(delays: Sequence[int], beat: int) -> list[Window]:
    """The windows of ``load`` that resting weights ask for; the first is ``load`` itself."""
    return sorted({(0, 0), *(window for window, _, _ in _shifts(delays, beat))})


def windowed_loads(m: Module, load: Value, windows: Sequence[Window], *, name: str) -> Value:
    """For each window, whether ``load`` was 1 in all of it."""
    loads = [load]
    for cycle in range(1, max(begin for begin, _ in windows) + 1):
        later = Signal(name=f"load_{name}_{cycle}", reset_less=True)
        m.d.sync += later.eq(loads[-1])
        loads.append(later)
    return Cat(Cat(loads[shift : begin + 1]).all() for begin, shift in windows)


def resting_weights(
    m: Module, weights: Value, loads: Mapping[Window, Value], delays: Sequence[int], *, name: str
) -> list[Signal]:
    """A column's weights, a register a bit, shifted along as many lanes as ``weights`` has bits.

    A bit that meets its word k cycles late must hold the old weight k cycles longer, and have the
    new one k cycles later than the others. It joins the shifting late: bits at depth j of a lane
    may miss the first j shifts. Where k > j, registers delay the lane before it.
    """
    beat = len(weights)
    bits = [Signal(name=f"resting_{name}_{bit}", reset_less=True) for bit in range(len(delays))]
    sources: list[Value] = list(weights)
    for window, bit, waits in _shifts(delays, beat):
        for wait in range(waits):
            waiting = Signal(name=f"waiting_{name}_{bit}_{wait}", reset_less=True)
            m.d.sync += waiting.eq(sources[bit % beat])
            sources[bit % beat] = waiting
        with m.If(loads[window]):
            m.d.sync += bits[bit].eq(sources[bit % beat])
        sources[bit % beat] = bits[bit]
    return bits


def _shifts(delays: Sequence[int], beat: int) -> Iterator[tuple[Window, int, int]]:
    """Lane by lane, bits in shifting order: window, bit, cycles that the lane waits before it."""
    width, latest = len(delays), max(delays)
    for lane in range(beat):
        shift = 0  # cycles by which the lane is delayed so far
        for depth in range(width // beat):
            bit = width - beat * (depth + 1) + lane
            waits = max(delays[bit] - depth - shift, 0)
            shift += waits
            begin = min(latest, depth + shift) if delays[bit] > shift else shift
            yield (begin, shift), bit, waits
