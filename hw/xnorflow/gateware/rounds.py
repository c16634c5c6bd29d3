# SPDX-License-Identifier: Apache-2.0
"""A loop's rounds, counted so that its last one is known from a register."""

from amaranth import Module, Signal, Value

__all__ = ["last_round"]


def last_round(
    m: Module,
    name: str,
    limit: Value,
    *,
    step: Value,
    fresh: Value,
    first: int = 0,
    once: Value | int = 0,
    spaced: bool = False,
) -> Signal:
    """Count a loop's rounds. Returns: it is in its last round.

    Parameters
    ----------
    m : Module
    name : str
        Of the loop.
    limit : Value
        Number of its last round; constant from two cycles before ``fresh`` ends on.
    step : Value
        The round ends; after the last one the loop begins again.
    fresh : Value
        Until the first ``step``, whatever the loop was doing.
    first : int
        Number of the first round: 0, or 1 where ``limit`` is the number of rounds.
    once : Value
        The loop has one round, whatever ``limit`` says; constant like it.
    spaced : bool
        There is a cycle between two steps, so that counting may come a cycle later.
    """
    if len(limit) == 0 and not first:
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(1)
        return last
    following = Signal(limit.shape(), name=f"{name}_following", init=first + 1, reset_less=True)
    last = Signal(name=f"{name}_last", reset_less=True)
    single = Signal(name=f"{name}_single", reset_less=True)
    counts, wraps = Signal(name=f"{name}_counts"), Signal(name=f"{name}_wraps")
    m.d.sync += single.eq(once | (limit == first))
    m.d["sync" if spaced else "comb"] += [counts.eq(step), wraps.eq(fresh | (step & last))]
    with m.If(step | fresh):
        # In the last round ``following`` is beyond the limit.
        m.d.sync += last.eq(single | (~fresh & (following == limit)))
    with m.If(counts):
        m.d.sync += following.eq(following + 1)
    with m.If(wraps):  # last and alone, so that the counter's flip-flops do it by their own reset
        m.d.sync += following.eq(first + 1)
    return last
