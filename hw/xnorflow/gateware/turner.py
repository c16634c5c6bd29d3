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
        A piece is taken when both are 1.
    piece : In
        Bytes of its channels; 0 where there are none.
    number : In
        Which of its word's pieces it is; they come in rising order.
    ends_word : In(1)
        It is the last one.
    spot : In(spot_layout)
        Where the word goes.
    planes, lane_last, lane_stride : In
        Of the program's first row; constant while ``busy``.
    busy : Out(1)
        Something is not written yet.
    hold : In(1)
        The banks do not take what ``writes`` shows: it stays.
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
                "ready": Out(1),
                "piece": In(data.ArrayLayout(PIXEL_BITS, PIECE)),
                "number": In(ceil_log2(self.pieces)),
                "ends_word": In(1),
                "spot": In(spot_layout(geometry)),
                "planes": In(1),
                "lane_last": In(3),
                "lane_stride": In(ceil_log2(geometry.activation_depth)),
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
        into, out = memory.write_port(granularity=1), memory.read_port()
        lane_last = Signal(3)
        m.d.comb += lane_last.eq(Mux(self.planes, 0, self.lane_last))

        # Shift a piece's lanes out, the highest first.
        bytes_ = Signal(data.ArrayLayout(PIXEL_BITS, PIECE))
        number = Signal(len(self.number))
        spot = Signal(spot_layout(geometry))
        full, ends_word, buffer = Signal(), Signal(), Signal()
        lane = Signal(3)
        last_lane, shift, complete = Signal(), Signal(), Signal()
        waits = Signal()  # a complete word waits until the one before is written
        m.d.comb += [
            last_lane.eq(lane == lane_last),
            shift.eq(full & ~waits),
            complete.eq(shift & last_lane & ends_word),
            self.ready.eq(~full | (shift & last_lane)),
        ]
        with m.If(shift):
            m.d.sync += [
                bytes_[at].eq(Cat(Const(0, 1), bytes_[at][: PIXEL_BITS - 1])) for at in range(PIECE)
            ]
            m.d.sync += [lane.eq(Mux(last_lane, 0, lane + 1)), full.eq(~last_lane)]
        with m.If(self.valid & self.ready):
            m.d.sync += [
                bytes_.eq(self.piece),
                number.eq(self.number),
                spot.eq(self.spot),
                ends_word.eq(self.ends_word),
                full.eq(1),
            ]
        with m.If(complete):
            m.d.sync += buffer.eq(~buffer)

        # The first piece of a word clears the others.
        m.d.comb += into.addr.eq(Cat(lane, buffer))
        bits = Cat(bytes_[at][PIXEL_BITS - 1] for at in range(PIECE))
        for at in range(self.pieces):
            first = number == 0
            value = Mux(first, 0, bits) if at else bits
            if geometry.planes_per_pass and at < PIXEL_CHANNELS:
                value = Mux(self.planes, bytes_[at], value)
            m.d.comb += [
                into.data[at].eq(value),
                into.en[at].eq(shift & (first | (number == at))),
            ]

        # A word's address is added up when it is complete, then counts its lanes.
        sum_address = Signal(len(self.lane_stride))
        m.d.comb += sum_address.eq(spot.near + spot.far)
        busy = self._write(m, out, lane_last, complete, waits, sum_address, spot)
        m.d.comb += self.busy.eq(full | waits | busy)
        return m

    def _write(
        self,
        m: Module,
        port: wiring.PureInterface,
        lane_last: Signal,
        complete: Signal,
        waits: Signal,
        sum_address: Signal,
        spot: data.View,
    ) -> Signal:
        """Read complete words' lanes and offer them to the banks. Returns: under way."""
        geometry = self.geometry
        address, waiting_address = Signal(len(sum_address)), Signal(len(sum_address))
        where = {name: spot[name] for name in ("row", "column", "pixel")}
        waiting = {name: Signal(len(value), name=f"waiting_{name}")
                   for name, value in where.items()}  # fmt: skip
        now = {name: Signal(len(value), name=name) for name, value in where.items()}
        reading, shown = Signal(), Signal()
        lane = Signal(3)
        buffer = Signal(init=1)
        moves, last_lane, free = Signal(), Signal(), Signal()
        m.d.comb += [
            moves.eq(~shown | ~self.hold),
            last_lane.eq(lane == lane_last),
            free.eq(~reading | (moves & last_lane)),
            port.en.eq(reading & moves),
            port.addr.eq(Cat(lane, buffer)),
        ]
        with m.If(reading & moves):
            m.d.sync += [
                lane.eq(Mux(last_lane, 0, lane + 1)),
                address.eq(address + self.lane_stride),
                now["row"].eq(next_modulo(now["row"], geometry.streams)),
            ]
        with m.If(free):
            m.d.sync += [reading.eq(waits | complete), waits.eq(0)]
            with m.If(waits | complete):
                m.d.sync += [
                    buffer.eq(~buffer),
                    address.eq(Mux(waits, waiting_address, sum_address)),
                    *(now[name].eq(Mux(waits, waiting[name], where[name])) for name in now),
                ]
        with m.Elif(complete):
            m.d.sync += [
                waits.eq(1),
                waiting_address.eq(sum_address),
                *(waiting[name].eq(where[name]) for name in now),
            ]

        # One bank of one pixel stream takes it.
        shown_address = Signal(len(address))
        with m.If(moves):
            m.d.sync += [shown.eq(reading), shown_address.eq(address)]
        for bank, write in enumerate(self.writes):
            row, column = divmod(bank, geometry.taps)
            m.d.comb += write.address.eq(shown_address)
            for pixel in range(geometry.pixels):
                chosen = Signal(name=f"chosen_{bank}_{pixel}")
                with m.If(moves):
                    m.d.sync += chosen.eq(
                        reading
                        & (now["row"] == row)
                        & (now["column"] == column)
                        & (now["pixel"] == pixel)
                    )
                granules = geometry.word_width // geometry.granule
                m.d.comb += [
                    write.enable[pixel].eq(chosen.replicate(granules)),
                    write.data[pixel].eq(port.data.as_value()),
                ]
        busy = Signal()
        m.d.comb += busy.eq(reading | shown)
        return busy
