# SPDX-License-Identifier: Apache-2.0
"""The input formatter: raw pixel bytes become words in the activation banks, part by part."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import PIXEL_BITS, Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.inwalk import InputWalk
from xnorflow.gateware.layouts import row_layout, write_layout
from xnorflow.gateware.turner import PIECE, LaneTurner

__all__ = ["Formatter"]


class Formatter(wiring.Component):
    """Takes images as bytes (height, width, channels) and lays them out as the first row's map.

    Lane l of a pixel is its bit 7 - l: a layer with m lanes takes the m highest bits. With
    ``planes`` a position's bytes lie side by side instead, channel c in bits 8c .. 8c + 7.

    A block of n images is ``ceil(n / pixels)`` units, and comes in parts of ``chunk_last + 1``
    units. With ``chunk_double`` parts go to ``in_base`` and ``in_base + chunk_stride`` in turn,
    from block to block too; a reset begins with ``in_base``.

    Members
    -------
    start : In(1)
        Take ``images`` images; only while ``idle``.
    row : In(row_layout)
        The program's first row; constant until ``idle``.
    images : In(16)
        Images to take, at least 1; constant until ``idle``.
    pixels : In(stream)
        Bytes.
    room : In(1)
        The next part may be filled. It is looked at from the cycle after ``start``, or after
        ``full``, until it is 1.
    full : Out(1)
        A part is complete: the banks took its last write in the cycle before.
    idle : Out(1)
        Nothing is left to be taken or written: high from the cycle after the last ``full`` on.
    waiting : Out(1)
        A byte could be taken but none is offered.
    hold : In(1)
        The banks do not take what ``writes`` shows: it stays.
    writes : Out(write_layout), one a bank
        Registered. At most one bank and pixel stream is enabled; all have the same data.

    Timing
    ------
    One byte a cycle while no write is held, but at least m cycles for each eight channels of a
    position, and for its last ones (with ``planes``, m = 1). ``full`` comes ``2 * m +
    DRAIN_CYCLES`` cycles after these, and the next part's first byte 2 cycles later.
    """

    DRAIN_CYCLES = 2

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "images": In(16),
                "pixels": In(stream.Signature(PIXEL_BITS)),
                "room": In(1),
                "full": Out(1),
                "idle": Out(1),
                "waiting": Out(1),
                "hold": In(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = self.row
        m.submodules.walk = walk = InputWalk(self.geometry)
        filling, drained, turned = Signal(), Signal(), Signal()
        m.d.comb += [
            walk.row.eq(row),
            walk.images.eq(self.images),
            self.waiting.eq(self.pixels.ready & ~self.pixels.valid),
        ]
        self._parts(m, walk, filling, drained)

        # Gather a piece: the bytes of eight channels, or of a position's last ones.
        piece = Signal(data.ArrayLayout(PIXEL_BITS, PIECE))
        number = Signal(ceil_log2(self.geometry.word_width // PIECE))
        whole, ends_word, ends_position = (
            Signal(name=name) for name in ("whole", "ends_word", "ends_position")
        )
        word = Signal(SIZE_BITS)
        channel = Signal(ceil_log2(self.geometry.word_width))
        next_channel = Signal(len(channel) + 1)
        place = channel[: ceil_log2(PIECE)]
        take, last_word, last_channel = Signal(), Signal(), Signal()
        m.d.comb += [
            self.pixels.ready.eq(filling & (~whole | (turned & ~walk.part_end))),
            take.eq(self.pixels.valid & self.pixels.ready),
            last_word.eq(word == row.word_last),
            next_channel.eq(channel + 1),
            last_channel.eq(next_channel[-1] | (last_word & (next_channel == row.tail))),
            walk.step.eq(turned & ends_word),
            walk.position_end.eq(ends_position),
        ]
        with m.If(turned):
            m.d.sync += whole.eq(0)
        with m.If(take):
            m.d.sync += channel.eq(next_channel)
            for at in range(PIECE):
                with m.If(place == at):
                    m.d.sync += piece[at].eq(self.pixels.payload)
                if at:
                    with m.If(place == 0):
                        m.d.sync += piece[at].eq(0)
            with m.If(last_channel | (place == PIECE - 1)):
                m.d.sync += [
                    whole.eq(1),
                    number.eq(channel[ceil_log2(PIECE) :]),
                    ends_word.eq(last_channel),
                    ends_position.eq(last_channel & last_word),
                ]

        with m.If(take & last_channel):
            m.d.sync += [channel.eq(0), word.eq(word + 1)]
        with m.If(take & last_channel & last_word):
            m.d.sync += word.eq(0)

        # Turn it into lanes, collect the word, write it.
        m.submodules.turner = turner = LaneTurner(self.geometry)
        m.d.comb += [
            turner.piece.eq(piece),
            turner.number.eq(number),
            turner.ends_word.eq(ends_word),
            turner.valid.eq(whole),
            turned.eq(turner.ready & whole),
            turner.spot.eq(walk.spot),
            turner.planes.eq(row.planes),
            turner.lane_last.eq(row.lane_last),
            turner.lane_stride.eq(row.lane_stride),
            turner.hold.eq(self.hold),
            self.writes.eq(turner.writes),
            drained.eq(~whole & ~turner.busy),
        ]
        return m

    def _parts(self, m: Module, walk: InputWalk, filling: Signal, drained: Signal) -> None:
        """Part after part: wait for room, fill it, wait until it is written."""
        last = Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.start):
                    m.next = "ROOM"
            with m.State("ROOM"):
                m.d.comb += walk.begin.eq(self.room)
                with m.If(self.room):
                    m.next = "FILL"
            with m.State("FILL"):
                m.d.comb += filling.eq(1)
                with m.If(walk.step & walk.part_end):
                    m.d.sync += last.eq(walk.block_end)
                    m.next = "DRAIN"
            with m.State("DRAIN"), m.If(drained):
                m.d.comb += self.full.eq(1)
                with m.If(last):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "ROOM"
