# SPDX-License-Identifier: Apache-2.0
"""The input formatter: raw pixel bytes become words in the activation banks, part by part."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import PIXEL_BITS, Geometry
from xnorflow.gateware.inwalk import InputWalk
from xnorflow.gateware.layouts import images_shape, row_layout, write_layout
from xnorflow.gateware.rounds import last_round
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
        A part is complete: its last write was in ``writes`` in the cycle before.
    idle : Out(1)
        Nothing is left to be taken or written: high from the cycle after the last ``full`` on.
    waiting : Out(1)
        A byte could be taken but none is offered.
    hold : In(1)
        In the next cycle ``writes`` must write nothing.
    writes : Out(write_layout), one a bank
        Registered. At most one bank and pixel stream is enabled; all have the same data.

    Timing
    ------
    One byte a cycle while no write is held, but at least m cycles for each eight channels of a
    position, and for its last ones (with ``planes``, m = 1), and 2 for a line. ``full`` comes
    ``2 * m + DRAIN_CYCLES`` cycles after these, and the next part's first byte 2 cycles later.
    """

    DRAIN_CYCLES = 3

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "row": In(row_layout(geometry)),
                "images": In(images_shape(geometry)),
                "pixels": In(stream.Signature(PIXEL_BITS)),
                "room": In(1),
                "full": Out(1),
                "idle": Out(1, init=1),
                "waiting": Out(1),
                "hold": In(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        m.submodules.walk = walk = InputWalk(geometry)
        m.submodules.turner = turner = LaneTurner(geometry)
        piece = Signal(data.ArrayLayout(PIXEL_BITS, PIECE), reset_less=True)
        place = Signal(PIECE, init=1, reset_less=True)  # one bit: where the next byte goes
        ends_word, ends_position, ends_line = (
            Signal(name=f"ends_{name}", reset_less=True) for name in ("word", "position", "line")
        )
        whole, take, turned, filled, fresh, begins, open_ = (
            Signal(name=name)
            for name in ("whole", "take", "turned", "filled", "fresh", "begins", "open")
        )
        m.d.comb += [
            self.pixels.ready.eq(open_ & turner.room),
            self.waiting.eq(self.pixels.ready & ~self.pixels.valid),
            take.eq(self.pixels.valid & self.pixels.ready),
            turned.eq(whole & turner.ready),
        ]
        filling, rests = self._parts(
            m, fresh, begins, filled, walk.block_last, ~whole & ~turner.busy
        )
        byte_last, position_last = self._bytes(m, take, fresh)
        x_last = last_round(
            m, "x", row.column_last, step=take & position_last, fresh=rests, once=row.flat
        )
        piece_last, line_last, part_last = (
            Signal(name=name) for name in ("piece_last", "line_last", "part_last")
        )
        m.d.comb += [
            piece_last.eq(byte_last | place[-1]),
            line_last.eq(position_last & x_last),
            part_last.eq(line_last & walk.part_last),
            filled.eq(take & part_last),
        ]

        # Gather a piece: the bytes of eight channels, or of a position's last ones.
        with m.If(turned):
            m.d.sync += whole.eq(0)
        with m.If(take):
            m.d.sync += [
                whole.eq(piece_last),
                place.eq(Mux(byte_last, 1, place.rotate_left(1))),
                ends_word.eq(byte_last),
                ends_position.eq(position_last),
                ends_line.eq(line_last),
            ]
        with m.If(fresh):
            m.d.sync += place.eq(1)
        for at in range(PIECE):
            with m.If(take & place[at]):
                m.d.sync += piece[at].eq(self.pixels.payload)
        with m.If(turned | fresh):  # channels that do not come are 0
            m.d.sync += [piece[at].eq(0) for at in range(1, PIECE)]

        # ``open_`` takes for granted that the part's last byte comes when it may. The flags of a
        # part's last line must be there when its last byte comes, so a line of one byte waits
        # until the one before was turned.
        lone = Signal(reset_less=True)
        part_open = Signal()
        m.d.sync += lone.eq(
            (row.flat | (row.column_last == 0)) & (row.word_last == 0) & (row.tail == 1)
        )
        m.d.sync += open_.eq(part_open & ~(self.pixels.ready & (lone | part_last)))
        with m.If(filled | (lone & take)):
            m.d.sync += part_open.eq(0)
        with m.If(begins | (lone & turned & filling)):
            m.d.sync += [part_open.eq(1), open_.eq(1)]
        m.d.comb += [
            walk.row.eq(row),
            walk.images.eq(self.images),
            walk.idle.eq(rests),
            walk.fresh.eq(fresh),
            walk.filled.eq(filled),
            walk.word.eq(turned & ends_word),
            walk.position.eq(turned & ends_position),
            walk.line.eq(turned & ends_line),
        ]

        # Turn it into lanes, collect the word, write it.
        m.d.comb += [
            turner.piece.eq(piece),
            turner.ends_word.eq(ends_word),
            turner.ends_position.eq(ends_position),
            turner.valid.eq(whole),
            turner.fills.eq(self.pixels.ready & piece_last),
            turner.spot.eq(walk.spot),
            turner.planes.eq(row.planes),
            turner.lane_last.eq(row.lane_last),
            turner.lane_stride.eq(row.lane_stride),
            turner.tail.eq(row.tail),
            turner.hold.eq(self.hold),
            self.writes.eq(turner.writes),
        ]
        return m

    def _bytes(self, m: Module, take: Signal, fresh: Signal) -> tuple[Signal, Signal]:
        """Count a position's bytes. Returns: the next one is its word's last; the position's."""
        row, width = self.row, self.geometry.word_width
        ahead = Signal(range(width + 2), init=2, reset_less=True)  # the byte's number and 2
        word = Signal(len(row.word_last) + 1, init=1, reset_less=True)  # the word's number and 1
        byte_last, position_last, word_last, word_ends, one_word, one_byte = (
            Signal(name=name, reset_less=True)
            for name in (
                "byte_last", "position_last", "word_last", "word_ends", "one_word", "one_byte"
            )
        )  # fmt: skip
        next_last, ends, only = (Signal(name=name) for name in ("next_last", "ends", "only"))
        m.d.sync += [
            one_word.eq(row.word_last == 0),
            one_byte.eq(row.tail == 1),
            word_ends.eq(word == row.word_last),  # in time: a word before it has eight bytes
        ]
        full = ahead[-1] & ~ahead[0]  # ``width``: one more comes only as ``width + 1``
        m.d.comb += [
            next_last.eq(Mux(word_last, one_word, word_ends)),
            only.eq(byte_last & next_last & one_byte),
            ends.eq(only | (word_last & (ahead == row.tail))),
        ]
        with m.If(take):
            m.d.sync += [
                ahead.eq(ahead + 1),
                byte_last.eq(ends | (~word_last & full)),
                position_last.eq(ends),
            ]
        with m.If(take & byte_last):
            m.d.sync += [ahead.eq(2), word.eq(word + 1), word_last.eq(next_last)]
        with m.If(take & position_last):
            m.d.sync += word.eq(1)
        with m.If(fresh):
            m.d.sync += [
                ahead.eq(2),
                word.eq(1),
                word_last.eq(one_word),
                byte_last.eq(one_word & one_byte),
                position_last.eq(one_word & one_byte),
            ]
        return byte_last, position_last

    def _parts(
        self,
        m: Module,
        fresh: Signal,
        begins: Signal,
        filled: Signal,
        block_last: Signal,
        drained: Value,
    ) -> tuple[Signal, Signal]:
        """Part after part: wait for room, fill it, wait until it is written.

        Each state is a register. The first one after ``start`` lets the walk look at ``images``.
        Returns: filling; the block's first part has not begun.
        """
        starts, filling, drains, last = (
            Signal(name=name) for name in ("starts", "filling", "drains", "last")
        )
        rests = Signal(init=1)
        m.d.comb += begins.eq(fresh & self.room)
        m.d.sync += [
            starts.eq(self.start & self.idle),
            self.full.eq(drains & drained & ~self.full),
        ]
        with m.If(self.start):
            m.d.sync += self.idle.eq(0)
        with m.If(starts):
            m.d.sync += fresh.eq(1)
        with m.If(begins):
            m.d.sync += [fresh.eq(0), filling.eq(1), rests.eq(0)]
        with m.If(filled):
            m.d.sync += [filling.eq(0), drains.eq(1), last.eq(block_last)]
        with m.If(self.full):
            m.d.sync += [drains.eq(0), fresh.eq(~last), self.idle.eq(last), rests.eq(last)]
        return filling, rests
