# SPDX-License-Identifier: Apache-2.0
"""The buffer of data for the accelerator's streams: a frame's bytes count only when it is good."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from xnorflow.core.link import CHECK_BYTES, CREDIT_UNIT

__all__ = ["Inbox"]


class Inbox(wiring.Component):
    """Bytes for one of two streams, put in on trial and kept or forgotten frame by frame.

    Parameters
    ----------
    depth : int
        Bytes; a power of two, 512 to 4096. One place stays empty.

    Members
    -------
    data, write : In
        A byte behind a frame's head; its CRC's bytes come too.
    keep : In(1)
        All of them but the CRC's belong to the stream ``keep_config`` names: once a frame, its
        CRC there, only while ``fits``, for words only while ``whole``. Not in a cycle with
        ``write``, and neither of them in one with ``begin`` or ``clear``, or after it until the
        next ``begin``.
    keep_config : In(1)
        Words of the configuration stream instead of bytes of the pixel stream.
    begin : In(1)
        The next byte is a new frame's; forgets what was not kept.
    clear : In(1)
        Forgets everything.
    fits : Out(1)
        All bytes of this frame so far found room, and nothing is kept for the other stream.
    whole : Out(1)
        They are a multiple of 4.
    credit : Out(8)
        Room behind what is kept, in steps of ``CREDIT_UNIT`` bytes, rounded down.
    config : Out(stream)
        32-bit words, first byte lowest.
    pixels : Out(stream)
        Bytes.
    """

    def __init__(self, *, depth: int) -> None:
        if depth & (depth - 1) or not 512 <= depth <= 256 * CREDIT_UNIT:
            raise ValueError(
                f"The depth must be a power of two from 512 to {256 * CREDIT_UNIT}, not {depth}"
            )
        self.depth = depth
        super().__init__(
            {
                "data": In(8),
                "write": In(1),
                "keep": In(1),
                "keep_config": In(1),
                "begin": In(1),
                "clear": In(1),
                "fits": Out(1),
                "whole": Out(1),
                "credit": Out(8),
                "config": Out(stream.Signature(32)),
                "pixels": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        trial = Signal(range(self.depth))  # the next byte's place
        kept = Signal.like(trial)  # what is kept lies before this place
        taken = Signal.like(trial)  # the next byte to leave
        is_config = Signal()  # which stream everything kept is for
        found_room = Signal(init=1)
        empty = Signal()

        # In: on trial.
        full = Signal()
        room = Signal.like(trial)
        m.d.comb += [
            full.eq((trial + 1)[: len(trial)] == taken),
            write.en.eq(self.write & ~full),
            write.addr.eq(trial),
            write.data.eq(self.data),
            self.fits.eq(found_room & (empty | (is_config == self.keep_config))),
            self.whole.eq(trial[:2] == kept[:2]),
            room.eq(taken + ~kept),
            self.credit.eq(room // CREDIT_UNIT),
        ]
        with m.If(self.write):
            m.d.sync += found_room.eq(found_room & ~full)
            with m.If(~full):
                m.d.sync += trial.eq(trial + 1)
        with m.If(self.keep):
            m.d.sync += [kept.eq(trial - CHECK_BYTES), is_config.eq(self.keep_config)]
        with m.If(self.begin):
            m.d.sync += [trial.eq(kept), found_room.eq(1)]

        # Out: a byte waits in a register behind the memory's. At most one comes in three cycles.
        more = Signal()  # there are some behind those that left
        coming = Signal()  # one is in the memory's register
        some = Signal()
        byte = Signal(8)
        fetch = Signal()
        move = Signal()
        m.d.comb += [
            fetch.eq(more & ~coming & ~some & ~self.write),
            read.en.eq(fetch),
            read.addr.eq(taken),
            self.pixels.valid.eq(some & ~is_config),
            self.pixels.payload.eq(byte),
        ]
        m.d.sync += [more.eq(taken != kept), coming.eq(fetch)]
        with m.If(fetch):
            m.d.sync += taken.eq(taken + 1)
        with m.If(coming):
            m.d.sync += [byte.eq(read.data), some.eq(1)]
        with m.Elif(move):
            m.d.sync += some.eq(0)

        # Bytes to configuration words.
        count = Signal(3)  # bytes of a word that are there
        gather = Signal()
        m.d.comb += [
            gather.eq(some & is_config & (~self.config.valid | self.config.ready)),
            move.eq(gather | (self.pixels.valid & self.pixels.ready)),
            self.config.valid.eq(count[2]),
            empty.eq((taken == kept) & ~coming & ~some & (count == 0)),
        ]
        with m.If(gather):
            m.d.sync += [
                self.config.payload.eq(Cat(self.config.payload[8:], byte)),
                count.eq(count[:2] + 1),
            ]
        with m.Elif(self.config.valid & self.config.ready):
            m.d.sync += count.eq(0)

        with m.If(self.clear):
            m.d.sync += [trial.eq(0), kept.eq(0), taken.eq(0), more.eq(0)]
            m.d.sync += [coming.eq(0), some.eq(0), count.eq(0)]
        return m
