# SPDX-License-Identifier: Apache-2.0
"""The walk over the output map: where each position lies in its window, where each result goes."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.layouts import field_width, row_layout, units_shape
from xnorflow.gateware.modulo import add_modulo, next_modulo
from xnorflow.gateware.rounds import last_round

__all__ = ["OutputWalk", "place_layout"]


def place_layout(geometry: Geometry) -> data.StructLayout:
    """Where a result's codes go."""
    return data.StructLayout(
        {
            "address": ceil_log2(geometry.activation_depth),  # lane 0 of the tile's first word
            "row": ceil_log2(geometry.streams),  # its bank row
            "column": ceil_log2(geometry.taps),  # its bank column
            "word": max(1, field_width(geometry, "out_word_last")),  # its number in its position
            "word_column": ceil_log2(geometry.taps),  # that, modulo taps
            "granule": ceil_log2(geometry.word_width // geometry.granule),  # the tile's first one
            "end": 1,  # the row's last result
        }
    )


class OutputWalk(wiring.Component):
    """Tile, unit, line, window: the order in which results come.

    Members
    -------
    start : In(1)
        A row begins: ``row`` and ``units`` are its, and stay until it ends.
    valid : In(1)
        A position comes; not in the cycle after ``start``, or after a tile's last one.
    row : In(row_layout)
    units : In(16)
        Units of the row.
    first_x, last_x, first_y, last_y, window : Out
        Where that position lies in its pooling window (:class:`Pool`). A line's only window, if
        it shares nothing, is one run of positions, whose lines may be short.
    place : Out(place_layout)
        Where the window's result goes, when it leaves the pool and until the next one does.

    Timing
    ------
    ``place`` is that of the window whose last position came ``latency_cycles`` before.
    """

    latency_cycles = 3

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "row": In(row_layout(geometry)),
                "units": In(units_shape(geometry)),
                "first_x": Out(1),
                "last_x": Out(1),
                "first_y": Out(1),
                "last_y": Out(1),
                "window": Out(ceil_log2(geometry.pool_depth)),
                "place": Out(place_layout(geometry)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, row = self.geometry, self.row
        address_bits = ceil_log2(geometry.activation_depth)
        begins = Signal()  # what follows from the row is known
        m.d.sync += begins.eq(self.start)
        map_last = Signal()
        closes, line_end = self._windows(m, begins, map_last)

        # Where the outer loops end; a unit has an address or, in a flat map, a slot's position.
        # What a tile's end changes may come a cycle later.
        unit_end, tile_ends, tile_end = Signal(), Signal(), Signal()
        units = self.units[: ceil_log2(geometry.taps * geometry.activation_depth) + 1]
        unit_last = last_round(m, "unit", units, step=unit_end, fresh=begins, first=1)
        tile_last = last_round(m, "tile", row.tile_last, step=tile_end, fresh=begins)
        m.d.comb += [
            map_last.eq(last_round(m, "y", row.out_row_last, step=line_end, fresh=begins)),
            unit_end.eq(line_end & map_last),
            tile_ends.eq(line_end & map_last & unit_last),
        ]
        m.d.sync += tile_end.eq(tile_ends)

        # Slot and bank column of the position, line group and bank row of the line, unit.
        # Resets come last and alone, so that flip-flops' own resets do them.
        slot, line, image = (
            Signal(address_bits, name=name, reset_less=True) for name in ("slot", "line", "image")
        )
        x_column = Signal(range(geometry.taps), reset_less=True)
        y_row = Signal(range(geometry.streams), reset_less=True)
        with m.If(closes):
            m.d.sync += x_column.eq(next_modulo(x_column, geometry.taps))
            with m.If(x_column == geometry.taps - 1):
                m.d.sync += slot.eq(slot + 1)
        with m.If(Mux(row.out_flat, tile_end, line_end) | begins):
            m.d.sync += [slot.eq(0), x_column.eq(0)]
        with m.If(line_end):
            m.d.sync += y_row.eq(next_modulo(y_row, geometry.streams))
            with m.If(y_row == geometry.streams - 1):
                m.d.sync += line.eq(line + row.out_line_stride)
        with m.If(unit_end):
            m.d.sync += image.eq(image + row.out_image_stride)
        with m.If(tile_end | begins):
            m.d.sync += image.eq(0)
        with m.If(unit_end | begins):
            m.d.sync += [y_row.eq(row.out_start_row), line.eq(0)]

        # Add them up while the codes are pooled.
        words, word_row, where = self._words(m, tile_end, begins)
        near, far = Signal(address_bits, reset_less=True), Signal(address_bits, reset_less=True)
        place = Signal(place_layout(geometry), reset_less=True)
        summed = Signal()
        m.d.sync += [
            near.eq(line + slot),
            far.eq(image + words),
            place.eq(where),
            place.row.eq(add_modulo(y_row, word_row, geometry.streams)),
            place.column.eq(add_modulo(x_column, where.word_column, geometry.taps)),
            place.end.eq(tile_ends & tile_last),
            summed.eq(closes),
        ]
        with m.If(summed):
            m.d.sync += [self.place.eq(place), self.place.address.eq(near + far)]
        return m

    def _windows(self, m: Module, begins: Signal, map_last: Signal) -> tuple[Signal, Signal]:
        """Walk the windows. Returns, a cycle later: one closes; and is the last of its line.

        ``map_last`` is of that later cycle: in time, since only windows of several lines share any.
        """
        row = self.row
        alone, x_end, line_end = (Signal(name=name) for name in ("alone", "x_end", "line_end"))
        m.d.sync += alone.eq((row.out_column_last == 0) & ~row.pool_overlap)
        line_last = last_round(m, "x", row.out_column_last, step=x_end, fresh=begins)
        first_y, last_y = self._side(m, "y", step=line_end, ends=map_last, fresh=begins)
        first_x, last_x = self._side(
            m, "x", step=self.valid, ends=line_last, fresh=begins, anew=~alone | last_y
        )
        m.d.comb += [
            x_end.eq(self.valid & last_x),
            line_end.eq(self.valid & last_x & line_last),
            self.first_x.eq(first_x),
            self.last_x.eq(last_x & (last_y | ~alone)),
            self.first_y.eq(first_y | alone),
            self.last_y.eq(last_y),
        ]
        with m.If(x_end):
            m.d.sync += self.window.eq(Mux(line_last, 0, self.window + 1))
        with m.If(begins):
            m.d.sync += self.window.eq(0)
        closes, closes_line = Signal(), Signal()
        m.d.sync += [
            closes.eq(self.valid & last_x & last_y),
            closes_line.eq(line_end & last_y),
        ]
        return closes, closes_line

    def _side(
        self, m: Module, name: str, *, step: Value, ends: Value, fresh: Value, anew: Value | int = 1
    ) -> tuple[Signal, Signal]:
        """A side of the window, step by step. Returns: its first step, its last.

        ``ends``: the window is the last one along this side; the next begins with a first step if
        ``anew``.
        """
        row = self.row
        following = Signal(4, name=f"inner_{name}_following", init=1, reset_less=True)
        first, last, single, pair = (
            Signal(name=f"inner_{name}_{kind}", reset_less=True)
            for kind in ("first", "last", "single", "pair")
        )
        m.d.sync += [single.eq(row.pool_last == 0), pair.eq(row.pool_last == 1)]
        shares = row.pool_overlap & ~ends  # the next window's first step was this one's last
        with m.If(step):
            m.d.sync += [
                following.eq(following + 1),
                last.eq(Mux(last, Mux(shares, pair, single), following == row.pool_last)),
                first.eq(last & Mux(ends, anew, ~row.pool_overlap)),
            ]
            with m.If(last):
                m.d.sync += following.eq(1 + shares)
        with m.If(fresh):
            m.d.sync += [following.eq(1), last.eq(single), first.eq(1)]
        return first, last

    def _words(
        self, m: Module, tile_end: Signal, begins: Signal
    ) -> tuple[Signal, Signal, data.View]:
        """The tile's first word: its address in a unit, its bank row, what a place says of it."""
        geometry, row = self.geometry, self.row
        streams, taps = geometry.streams, geometry.taps
        words = Signal(ceil_log2(geometry.activation_depth), reset_less=True)
        word_row = Signal(range(streams), reset_less=True)
        where = Signal(place_layout(geometry), reset_less=True)
        whole, rest = divmod(geometry.columns, geometry.word_width)
        granules, step = geometry.word_width // geometry.granule, rest // geometry.granule
        carry = Signal(reset_less=True)
        m.d.sync += carry.eq(where.granule + step >= granules)  # in time for the tile's end
        with m.If(tile_end):
            m.d.sync += where.granule.eq(where.granule + step)  # modulo a power of two
            for more in (0, 1) if rest else (0,):
                count = whole + more
                turns = [(count // taps + over) % streams for over in (0, 1)]
                wraps = where.word_column + count % taps >= taps
                with m.If(carry == more if rest else 1):
                    m.d.sync += [
                        words.eq(words + count * row.out_word_stride),
                        where.word.eq(where.word + count),
                        where.word_column.eq(add_modulo(where.word_column, count % taps, taps)),
                        word_row.eq(
                            Mux(
                                wraps,
                                add_modulo(word_row, turns[1], streams),
                                add_modulo(word_row, turns[0], streams),
                            )
                        ),
                    ]
        with m.If(begins):
            m.d.sync += [words.eq(row.out_base), word_row.eq(0), where.as_value().eq(0)]
        return words, word_row, where
