# SPDX-License-Identifier: Apache-2.0
"""Turns bytes of eight channels into lanes, lanes into words, and writes those to the banks."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import PIXEL_BITS, PIXEL_CHANNELS, Geometry
from xnorflow.gateware.inwalk import spot_layout
from xnorflow.gateware.layouts import write_layout
from xnorflow.gateware.memory import early_read
from xnorflow.gateware.modulo import next_modulo

__all__ = ["PIECE", "LaneTurner"]

PIECE = 8
"""Channels that are turned into lanes together."""


class LaneTurner(wiring.Component):
    """Takes a word's pieces one after another and writes its lanes, a lane a cycle.

    Lane l of a byte is its bit 7 - l. A piece's lanes leave a shift register one by one and meet
    the word's other pieces in a memory, in which two words have room: one is written to the banks
    while the other is collected. With ``planes`` a piece is a word of bytes side by side.

    Members
    -------
    valid, ready : In(1), Out(1)
        A piece is taken when both are 1. ``ready`` is a register.
    fills : In(1)
        A piece may be offered from the next cycle on.
    room : Out(1)
        No piece is offered, or it is taken: one more may be gathered. A register, which takes for
        granted that a piece that may be offered is.
    piece : In
        Bytes of its channels; 0 where there are none.
    ends_word, ends_position : In(1)
        It is its word's last piece, its position's last.
    spot : In(spot_layout)
        Where the word goes.
    planes, lane_last, lane_stride, tail : In
        Of the program's first row; constant from two cycles before the first piece on, while
        ``busy``.
    busy : Out(1)
        Something is not written yet.
    hold : In(1)
        In the next cycle ``writes`` must write nothing.
    writes : Out(write_layout), one a bank
        Registered. At most one bank and pixel stream is enabled; all have the same data.

    Timing
    ------
    A piece a lane_last + 1 cycles. The first write of a word is in ``writes`` lane_last + 3
    cycles after its last piece was taken, if it needs not wait.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.pieces = geometry.word_width // PIECE
        super().__init__(
            {
                "valid": In(1),
                "ready": Out(1, init=1),
                "fills": In(1),
                "room": Out(1, init=1),
                "piece": In(data.ArrayLayout(PIXEL_BITS, PIECE)),
                "ends_word": In(1),
                "ends_position": In(1),
                "spot": In(spot_layout(geometry)),
                "planes": In(1),
                "lane_last": In(3),
                "lane_stride": In(ceil_log2(geometry.activation_depth)),
                "tail": In(7),
                "busy": Out(1),
                "hold": In(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.words = memory = Memory(
            shape=data.ArrayLayout(PIECE, self.pieces), depth=2 * PIXEL_BITS, init=[]
        )
        into = memory.write_port(granularity=1)
        lane_last = Signal(3, reset_less=True)
        one_lane, two_lanes = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            lane_last.eq(Mux(self.planes, 0, self.lane_last)),
            one_lane.eq(self.planes | (self.lane_last == 0)),
            two_lanes.eq(~self.planes & (self.lane_last == 1)),
        ]

        # Shift a piece's lanes out, the highest first. ``empties``: nothing is left after this
        # cycle's shift; what is loaded while ``full`` is 0 does not matter.
        bytes_ = Signal(data.ArrayLayout(PIXEL_BITS, PIECE), reset_less=True)
        spot = Signal(spot_layout(geometry), reset_less=True)
        full, empties, buffer = Signal(), Signal(init=1), Signal()
        ends_word, ends_position = Signal(init=1), Signal(reset_less=True)
        number = Signal(self.pieces)  # one bit a piece of the word
        lane = Signal(3, reset_less=True)
        load, shift, complete = Signal(), Signal(), Signal()
        loads = Signal(init=1, reset_less=True)  # ``ready``, for all bytes; if not, they shift
        waits, will_wait = Signal(), Signal()  # a complete word waits for the one before it
        will_empty, empties_next = Signal(), Signal(reset_less=True)
        m.d.comb += [
            load.eq(self.valid & self.ready),
            shift.eq(full & ~waits),
            complete.eq(shift & empties & ends_word),
            will_empty.eq(Mux(load, one_lane, empties | (shift & empties_next))),
        ]
        will_be_ready = will_empty & ~will_wait
        m.d.sync += [
            empties.eq(will_empty),
            self.ready.eq(will_be_ready),
            loads.eq(will_be_ready),
            self.room.eq(will_be_ready | ~(self.fills | (self.valid & ~self.ready))),
        ]
        with m.If(shift):
            m.d.sync += [lane.eq(lane + 1), empties_next.eq(lane + 2 == lane_last)]
        with m.If(shift & empties):
            m.d.sync += full.eq(0)
        with m.If(~waits & (full | self.valid)):
            m.d.sync += [
                bytes_[at].eq(Mux(loads, self.piece[at], bytes_[at].rotate_left(1)))
                for at in range(PIECE)
            ]
        with m.If(empties & ~waits):  # ``ready``, which has enough to drive
            m.d.sync += [spot.eq(self.spot), ends_position.eq(self.ends_position)]
            m.d.sync += [lane.eq(0), empties_next.eq(two_lanes)]
        with m.If(load):
            m.d.sync += [
                full.eq(1),
                number.eq(Mux(ends_word, 1, number << 1)),
                ends_word.eq(self.ends_word),
            ]
        with m.If(complete):
            m.d.sync += buffer.eq(~buffer)

        m.d.comb += into.addr.eq(Cat(lane, buffer))
        bits = Cat(bytes_[at][PIXEL_BITS - 1] for at in range(PIECE))
        for at in range(self.pieces):
            value, chosen = bits, number[at]
            if geometry.planes_per_pass and at < PIXEL_CHANNELS:
                value = Mux(self.planes, bytes_[at], bits)
                chosen = chosen | self.planes
            m.d.comb += [into.data[at].eq(value), into.en[at].eq(shift & chosen)]

        # A word's address is added up when it is complete, then counts its lanes.
        word = Signal(
            data.StructLayout(
                {
                    "address": len(self.lane_stride),
                    **{name: spot[name].shape() for name in ("row", "column", "pixel")},
                    "ends_position": 1,
                }
            )
        )
        m.d.comb += [
            word.address.eq(spot.near + spot.far),
            *(word[name].eq(spot[name]) for name in ("row", "column", "pixel")),
            word.ends_position.eq(ends_position),
        ]
        m.d.sync += waits.eq(will_wait)
        writing = self._write(
            m, platform, memory, (lane_last, one_lane), word, complete=complete, waits=waits,
            will_wait=will_wait,
        )  # fmt: skip
        m.d.comb += self.busy.eq(full | waits | writing)
        return m

    def _write(
        self,
        m: Module,
        platform: object,
        memory: Memory,
        lanes: tuple[Signal, Signal],
        word: data.View,
        *,
        complete: Signal,
        waits: Signal,
        will_wait: Signal,
    ) -> Signal:
        """Read complete words' lanes and write them to the banks. Returns: under way."""
        geometry = self.geometry
        port = early_read(m, memory, platform)
        lane_last, one_lane = lanes
        waiting = Signal(word.shape(), reset_less=True)
        now = Signal(word.shape(), reset_less=True)
        reading, shown = Signal(), Signal()
        lane = Signal(3, reset_less=True)
        buffer = Signal(init=1)
        ends, begins, moves = Signal(init=1), Signal(), Signal()  # ends: of the lanes, or idle
        m.d.comb += [
            moves.eq(~self.hold),
            begins.eq(waits | complete),
            will_wait.eq(begins & ~(ends & moves)),
            port.addr.eq(Cat(lane, buffer)),
        ]
        with m.If(~waits):
            m.d.sync += waiting.eq(word)
        with m.If(moves):
            m.d.sync += [
                lane.eq(lane + 1),
                now.address.eq(now.address + self.lane_stride),
                now.row.eq(next_modulo(now.row, geometry.streams)),
                ends.eq(Mux(ends, ~begins | one_lane, lane + 1 == lane_last)),
                reading.eq(~ends | begins),
            ]
            with m.If(ends):
                m.d.sync += [now.eq(Mux(waits, waiting, word)), lane.eq(0)]
                m.d.sync += buffer.eq(buffer ^ begins)

        # A position's last word may have fewer pieces; what lies in the others' place is older.
        pieces = Signal(self.pieces, reset_less=True)
        planes = Const((1 << PIXEL_CHANNELS) - 1, self.pieces)
        m.d.sync += pieces.eq(
            Mux(self.planes, planes, Cat(self.tail > at * PIECE for at in range(self.pieces)))
        )
        bits = Signal(data.ArrayLayout(PIECE, self.pieces), reset_less=True)
        m.d.sync += bits.eq(port.data)
        for at in range(1, self.pieces):
            with m.If(now.ends_position & ~pieces[at]):
                m.d.sync += bits[at].eq(0)

        # One bank of one pixel stream takes it.
        address = Signal(len(now.address), reset_less=True)
        m.d.sync += [shown.eq(reading & moves), address.eq(now.address)]
        for bank, write in enumerate(self.writes):
            row, column = divmod(bank, geometry.taps)
            m.d.comb += write.address.eq(address)
            for pixel in range(geometry.pixels):
                chosen = Signal(name=f"chosen_{bank}_{pixel}")
                m.d.sync += chosen.eq(
                    reading
                    & moves
                    & (now.row == row)
                    & (now.column == column)
                    & (now.pixel == pixel)
                )
                granules = geometry.word_width // geometry.granule
                m.d.comb += [
                    write.enable[pixel].eq(chosen.replicate(granules)),
                    write.data[pixel].eq(bits.as_value()),
                ]
        busy = Signal()
        m.d.comb += busy.eq(reading | shown)
        return busy
