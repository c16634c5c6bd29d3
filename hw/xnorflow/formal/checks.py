# SPDX-License-Identifier: Apache-2.0
"""Properties that many proofs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume

__all__ = ["Tracked", "count_ones", "history", "stream_waits"]


def count_ones(bits: Sequence[Value], width: int) -> Value:
    """Number of bits that are 1, in ``width`` bits, as a balanced sum."""
    if len(bits) == 1:
        return Cat(bits[0], Const(0, width - 1))
    half = len(bits) // 2
    return (count_ones(bits[:half], width) + count_ones(bits[half:], width))[:width]


def history(m: Module, value: Value, cycles: int, name: str) -> list[Value]:
    """``value`` of 0, 1, ..., ``cycles`` cycles ago; 0 before the first cycle."""
    values = [Value.cast(value)]
    for cycle in range(1, cycles + 1):
        later = Signal(len(values[0]), name=f"{name}_{cycle}_ago")
        m.d.sync += later.eq(values[-1])
        values.append(later)
    return values


def stream_waits(
    m: Module, stream: Any, *, name: str, assume: bool = False, unless: Value | None = None
) -> None:
    """While a sender waits, it keeps ``valid`` and ``payload``: asserted, or assumed.

    A reset ends the waiting, and so does ``unless``.
    """
    waited = Signal(name=f"{name}_waited")
    payload = Value.cast(stream.payload)
    kept = Signal(len(payload), name=f"{name}_kept")
    m.d.sync += [waited.eq(stream.valid & ~stream.ready), kept.eq(payload)]
    claim = Assume if assume else Assert
    with m.If(waited if unless is None else waited & ~unless):
        m.d.comb += [claim(stream.valid), claim(payload == kept)]


class Tracked:
    """Follows one item, which the solver chooses, from its way in to its way out.

    Items are numbered as they go in; the n-th that comes out must be the n-th that went in. As the
    item is any item, nothing is lost, comes twice, or overtakes.

    Parameters
    ----------
    m : Module
    enter, item : Value
        An item goes in.
    mark : Value
        A free input: follow the item that goes in, if none is followed.
    leave, left : Value
        An item comes out, and which.
    limit : int
        Most items inside.
    """

    def __init__(
        self,
        m: Module,
        *,
        enter: Value,
        item: Value,
        mark: Value,
        leave: Value,
        left: Value,
        limit: int,
    ) -> None:
        item, left = Value.cast(item), Value.cast(left)
        self.inside = Signal(range(limit + 2), name="inside")
        """Items inside."""
        self.followed = Signal(name="followed")
        """The followed item is inside."""
        self.item = Signal(len(item), name="followed_item")
        self.ahead = Signal(range(limit + 2), name="ahead")
        """Items inside that went in before it."""
        m.d.sync += self.inside.eq(self.inside + enter - leave)
        with m.If(leave):
            m.d.comb += Assert(self.inside != 0)
            with m.If(self.followed):
                m.d.sync += self.ahead.eq(self.ahead - 1)
                with m.If(self.ahead == 0):
                    m.d.comb += Assert(left == self.item)
                    m.d.sync += self.followed.eq(0)
        with m.If(enter & mark & ~self.followed):
            m.d.sync += [
                self.followed.eq(1),
                self.item.eq(item),
                self.ahead.eq(self.inside - Mux(leave, 1, 0)),
            ]
        # What holds by construction; induction needs to be told.
        with m.If(self.followed):
            m.d.comb += Assert(self.ahead < self.inside)
