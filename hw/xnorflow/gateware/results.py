# SPDX-License-Identifier: Apache-2.0
"""The way out: accumulators of output positions, column after column."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.queue import Queue

__all__ = ["ResultShifter", "result_layout"]

result_layout = data.StructLayout({"data": signed(32), "last": 1})

QUEUE_DEPTH = 64
"""Positions that are promised and not yet sent."""
GROUP = 8
"""Values of which one register holds the chosen one."""

FIFO_CYCLES = 3
"""From a word's way into the empty FIFO to its way out."""

ROOM_CYCLES = 6
"""What was promised so shortly before is not in ``room`` yet."""


class ResultShifter(wiring.Component):
    """Sends a position's accumulators: for each pixel stream, columns 0 .. channels - 1.

    A mark walks over the columns, one a cycle, and a tree of ORs gathers the marked value into a
    FIFO, from which the results' stream is fed: leaving overlaps computing. The last level of the
    tree takes the sign back.

    Parameters
    ----------
    depth : int
        Words that the FIFO holds, a power of two: at least ``columns * pixels``.
    capture : bool
        Keep the values as they come, behind gates of LUTs. Without it each value must stay for
        ``channels * pixels`` cycles from its valid on, and the gates are flip-flops' resets.
        Either way there are ``accumulator_width * columns * pixels`` flip-flops.

    Members
    -------
    values : In(signed(accumulator_width)), one a column and pixel stream
        Accumulators, negated; index ``column * pixels + pixel``.
    valids : In(columns)
        A position's values come, hop by hop, a cycle apart: the first column's counts.
    promise : In(1)
        A position was asked for. Its values come five or more cycles later, and those of the next
        one at least ``channels * pixels`` cycles after them, or three.
    channels : In(8)
        With ``promise``: words of each pixel stream, at least 1.
    end : In(1)
        With ``promise``: the position's last word ends the block.
    room : Out(1)
        One more position may be promised, in any of the next ``ROOM_CYCLES`` cycles.
    waiting : Out(1)
        None may: the host takes no words.
    idle : Out(1)
        Every promised word was taken.
    results : Out(stream)
        32-bit signed words with ``last`` on the block's final one.

    Raises
    ------
    ValueError
        If the FIFO's depth is not a power of two, or it cannot hold one position.
    """

    def __init__(self, geometry: Geometry, *, depth: int = 512, capture: bool = True) -> None:
        self.geometry = geometry
        self.depth = depth
        self.capture = capture
        self.count = geometry.columns * geometry.pixels
        if depth & (depth - 1):
            raise ValueError(f"ResultShifter: depth must be a power of two, not {depth}")
        if depth < self.count + ROOM_CYCLES:
            raise ValueError(
                f"ResultShifter: depth is {depth}, a position of {geometry} has {self.count} "
                f"words; use a depth of at least {self.count + ROOM_CYCLES}"
            )
        value = signed(geometry.accumulator_width)
        super().__init__(
            {
                "values": In(data.ArrayLayout(value, self.count)),
                "valids": In(geometry.columns),
                "promise": In(1),
                "channels": In(8),
                "end": In(1),
                "room": Out(1),
                "waiting": Out(1),
                "idle": Out(1),
                "results": Out(stream.Signature(result_layout)),
            }
        )

    @property
    def _levels(self) -> int:
        """Levels of the tree."""
        levels, left = 1, -(-self.count // GROUP)
        while left > 1:
            levels, left = levels + 1, -(-left // GROUP)
        return levels

    @property
    def latency_cycles(self) -> int:
        """Cycles from a position's first value to its first word, if the FIFO is empty."""
        return 1 + self._levels + FIFO_CYCLES

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.waiting.eq(~self.room)
        popped, queued = Signal(), Signal()
        position, single = self._promises(m, popped, queued)
        marks, sending, final = self._marks(m, position, single)
        m.d.comb += popped.eq(final)
        last = Signal()
        m.d.comb += last.eq(final & position.end)
        value, sending, last = self._gather(m, marks, sending, last)
        self._buffer(m, Cat(value, last), sending, queued)
        return m

    def _promises(self, m: Module, popped: Signal, queued: Signal) -> tuple[data.View, Value]:
        """A queue of what the promises said.

        Returns: the oldest one; whether that of the next cycle has a single channel.
        """
        layout = data.StructLayout({"channel_last": 8, "single": 1, "end": 1})
        m.submodules.queue = queue = Queue(layout, depth=QUEUE_DEPTH)
        oldest, known = Signal(layout), Signal()
        take, taken, gone = Signal(), Signal(), Signal()
        count = Signal(range(2 * QUEUE_DEPTH))
        m.d.comb += [
            queue.push.eq(self.promise),
            queue.item.channel_last.eq(self.channels - 1),
            queue.item.single.eq(self.channels == 1),
            queue.item.end.eq(self.end),
            # The queue moves on a cycle later: positions are at least three cycles apart.
            take.eq((popped | ~known) & queue.items.valid & ~taken),
            queue.items.ready.eq(taken),
        ]
        with m.If(popped):
            m.d.sync += known.eq(0)
        with m.If(take):
            m.d.sync += [oldest.eq(queue.items.payload), known.eq(1)]
        m.d.sync += [
            taken.eq(take),
            gone.eq(popped),
            count.eq(count + self.promise - gone),
            queued.eq(count >= QUEUE_DEPTH - ROOM_CYCLES - 1),
        ]
        return oldest, Mux(take, queue.items.payload.single, oldest.single)

    def _buffer(self, m: Module, word: Value, sending: Value, queued: Signal) -> None:
        """The FIFO; words have their place in it from the promise on, so it never overflows."""
        m.submodules.words = words = Memory(shape=len(word), depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port()
        promised, newest, oldest = (
            Signal(range(2 * self.depth), name=name) for name in ("promised", "newest", "oldest")
        )
        used, stored = Signal(len(promised)), Signal(len(promised))
        some = Signal()  # a word is stored
        there = Signal()  # one has come out of the memory
        fetch, move = Signal(), Signal()
        m.d.comb += [
            write.en.eq(sending),
            write.addr.eq(newest[:-1]),
            write.data.eq(word),
            move.eq(~self.results.valid | self.results.ready),
            fetch.eq(some & (~there | move)),
            read.en.eq(fetch),
            read.addr.eq(oldest[:-1]),
            self.idle.eq((promised == oldest) & ~there & ~self.results.valid),
        ]
        m.d.sync += [
            used.eq(promised - oldest),
            some.eq((stored > 1) | ((stored != 0) & ~fetch) | sending),
        ]
        with m.If(sending & ~fetch):
            m.d.sync += stored.eq(stored + 1)
        with m.Elif(fetch & ~sending):
            m.d.sync += stored.eq(stored - 1)
        m.d.sync += self.room.eq((used <= self.depth - self.count - ROOM_CYCLES) & ~queued)
        with m.If(self.promise):
            m.d.sync += promised.eq(promised + self.channels * self.geometry.pixels)
        with m.If(sending):
            m.d.sync += newest.eq(newest + 1)
        with m.If(move):  # a register of its own: a block memory's way from its clock is long
            m.d.sync += [
                self.results.valid.eq(there),
                self.results.payload.data.eq(read.data[:-1].as_signed()),
                self.results.payload.last.eq(read.data[-1]),
                there.eq(0),
            ]
        with m.If(fetch):
            m.d.sync += [oldest.eq(oldest + 1), there.eq(1)]

    def _gather(
        self, m: Module, unmarked: list[Value], sending: Value, last: Value
    ) -> tuple[Value, Value, Value]:
        """The marked value, found level by level: of the others only zeros arrive."""
        width = self.geometry.accumulator_width
        values = [self._gated(m, index, other) for index, other in enumerate(unmarked)]
        for level in range(self._levels):
            groups = [values[at : at + GROUP] for at in range(0, len(values), GROUP)]
            ends = level == self._levels - 1
            values = [
                Signal(width + ends, name=f"gathered_{level}_{at}", reset_less=True)
                for at in range(len(groups))
            ]
            for found, group in zip(values, groups, strict=True):
                gathered = reduce(or_, group)
                m.d.sync += found.eq(-gathered.as_signed() if ends else gathered)
        # The first value is marked as it comes: a cycle more where its gate is a register.
        for level in range(self._levels + (not self.capture)):
            flags = [Signal(name=f"{name}_{level}") for name in ("sending", "last")]
            m.d.sync += [flags[0].eq(sending), flags[1].eq(last)]
            sending, last = flags
        return values[0], sending, last

    def _marks(
        self, m: Module, position: data.View, single: Value
    ) -> tuple[list[Value], Value, Value]:
        """Walk over a position's values. Returns: 0 at the marked one; one is; it is the last."""
        columns, pixels = self.geometry.columns, self.geometry.pixels
        begin = Signal()
        if self.capture:
            m.d.sync += begin.eq(self.valids[0])
        else:
            m.d.comb += begin.eq(self.valids[0])
        going = Signal()  # the first value went
        channel = Signal(8)
        last_channel = Signal()  # the value that goes next ends its line
        pixel = Signal(range(pixels))
        sending, line_end, final = Signal(), Signal(), Signal()
        last_next = Signal()
        ending = Signal()  # the line ends, and not with the position's first value
        m.d.comb += [
            sending.eq(begin | going),
            line_end.eq(sending & last_channel),
            final.eq(line_end & (pixel == pixels - 1)),
            last_next.eq(
                Mux(sending & ~line_end, channel + 1 == position.channel_last, single),
            ),
        ]
        m.d.sync += [
            going.eq(sending & ~final),
            last_channel.eq(last_next),
            ending.eq(sending & ~final & last_next),
        ]
        with m.If(sending & ~line_end):
            m.d.sync += channel.eq(channel + 1)
        with m.If(line_end):
            m.d.sync += pixel.eq(Mux(final, 0, pixel + 1))
        with m.If(ending):
            m.d.sync += channel.eq(0)

        # Elsewhere 1, so that it can be the reset of a gate; the line's end stops it.
        marks: list[Value] = []
        for column in range(columns):
            for at in range(pixels):
                if not column and not at:
                    marks.append(~begin)
                    continue
                mark = Signal(name=f"unmarked_{column}_{at}", init=1)
                if column == 1 and not at:
                    m.d.sync += mark.eq(~begin | last_channel)
                elif column:
                    m.d.sync += mark.eq(marks[(column - 1) * pixels + at])
                    with m.If(ending):
                        m.d.sync += mark.eq(1)
                else:
                    m.d.sync += mark.eq(~(line_end & (pixel == at - 1)))
                marks.append(mark)
        return marks, sending, final

    def _gated(self, m: Module, index: int, unmarked: Value) -> Value:
        """A value where its mark is, else 0."""
        value = self.values[index].as_unsigned()
        # Without a reset, which would have to reach all of them in a cycle: marks choose.
        kept = Signal(len(value), name=f"kept_{index}", reset_less=True)
        if self.capture:
            with m.If(self.valids[index // self.geometry.pixels]):
                m.d.sync += kept.eq(value)
            return kept & ~unmarked.replicate(len(value))
        m.d.sync += kept.eq(value)
        with m.If(unmarked):
            m.d.sync += kept.eq(0)
        return kept
