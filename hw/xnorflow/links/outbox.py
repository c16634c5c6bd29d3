# SPDX-License-Identifier: Apache-2.0
"""The buffer of results: a word stays until the host says that it has it."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.gateware.results import result_layout

__all__ = ["Outbox"]

_MARGIN = 2
"""2 to this power places stay free, for words that come while ``ready`` is taken back."""


class Outbox(wiring.Component):
    """A ring of result words that can be read more than once.

    It is never read and written in the same cycle: block memories of some families would need
    gates for that.

    Parameters
    ----------
    depth : int
        Words; a power of two, 64 to 4096.

    Members
    -------
    results : In(stream)
        Accumulators and ``last``.
    take : In(1)
        Forget the words before ``confirmed``, go to ``at``; both count the words since ``clear``,
        modulo 2^16.
    confirmed, at : In(16)
    some : Out(1)
        There is a word at this place; 0 if the host asks for one that has not come.
    look : In(1)
        Fetch that word; none comes in from the accelerator in this cycle.
    word : Out
        The word of the latest ``look``, from ``LOOK_CYCLES`` after it until the next one.
    next : In(1)
        Go to the next place.
    clear : In(1)
        Forget everything.
    """

    LOOK_CYCLES = 2

    def __init__(self, *, depth: int) -> None:
        if depth & (depth - 1) or not 64 <= depth <= 4096:
            raise ValueError(f"The depth must be a power of two from 64 to 4096, not {depth}")
        self.depth = depth
        super().__init__(
            {
                "results": In(stream.Signature(result_layout)),
                "take": In(1),
                "confirmed": In(16),
                "at": In(16),
                "some": Out(1),
                "look": In(1),
                "word": Out(result_layout),
                "next": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=result_layout, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        end = Signal(range(2 * self.depth))  # words that came
        oldest = Signal.like(end)  # words that the host has
        place = Signal.like(end)
        level, room = Signal.like(end), Signal()
        ahead = Signal.like(end)  # words behind this one; as if negative at the end and beyond
        m.d.comb += [
            level.eq(end - oldest),
            self.results.ready.eq(room & ~self.look),
            write.en.eq(self.results.valid & self.results.ready),
            write.addr.eq(end),
            write.data.eq(self.results.payload),
            read.en.eq(self.look),
            read.addr.eq(place),
            ahead.eq(end + ~place),
            self.some.eq(~ahead[-1]),
        ]
        # Registers: the way from the accelerator's results to their own ready would be long, and so
        # is a block memory's from its clock.
        m.d.sync += [
            room.eq(~level[-1] & ~level[_MARGIN:-1].all()),
            self.word.eq(read.data),
        ]
        with m.If(write.en):
            m.d.sync += end.eq(end + 1)
        with m.If(self.take):
            m.d.sync += [oldest.eq(self.confirmed), place.eq(self.at)]
        with m.Elif(self.next):
            m.d.sync += place.eq(place + 1)
        with m.If(self.clear):
            m.d.sync += [end.eq(0), oldest.eq(0), place.eq(0), room.eq(0)]
        return m
