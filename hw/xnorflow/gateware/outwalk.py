# SPDX-License-Identifier: Apache-2.0
"""The walk over the output map: where each position lies in its window, where each result goes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import SIZE_BITS
from xnorflow.gateware.layouts import row_layout
from xnorflow.gateware.modulo import add_modulo, next_modulo
from xnorflow.gateware.pool import Pool

__all__ = ["OutputWalk", "place_layout"]


def place_layout(geometry: Geometry) -> data.StructLayout:
    """Where a result's codes go."""
    return data.StructLayout(
        {
            "address": ceil_log2(geometry.activation_depth),  # lane 0 of the tile's first word
            "row": ceil_log2(geometry.streams),  # its bank row
            "column": ceil_log2(geometry.taps),  # its bank column
            "word": SIZE_BITS,  # its number in its position
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
        A position comes.
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

    latency_cycles = Pool.latency_cycles

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "row": In(row_layout(geometry)),
                "units": In(16),
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
        closes, line_last, map_last = self._windows(m)

        # Where the loops end.
        # A unit has an address or, in a flat map, a slot's position.
        unit = Signal(range(geometry.taps * geometry.activation_depth))
        tile = Signal(SIZE_BITS)
        next_unit = Signal(len(unit) + 1)
        line_end, unit_end, tile_end, row_end = (
            Signal(name=f"{name}_end") for name in ("line", "unit", "tile", "row")
        )
        m.d.comb += [
            next_unit.eq(unit + 1),
            line_end.eq(closes & line_last),
            unit_end.eq(line_end & map_last),
            tile_end.eq(unit_end & (next_unit == self.units[: len(next_unit)])),
            row_end.eq(tile_end & (tile == row.tile_last)),
        ]
        # Resets come last and alone, so that flip-flops' own resets do them.
        with m.If(unit_end):
            m.d.sync += unit.eq(next_unit)
        with m.If(tile_end):
            m.d.sync += [unit.eq(0), tile.eq(tile + 1)]
        with m.If(row_end):
            m.d.sync += tile.eq(0)

        # Slot and bank column of the position, line group and bank row of the line, unit.
        slot, line, image = (Signal(address_bits, name=name) for name in ("slot", "line", "image"))
        x_column = Signal(range(geometry.taps))
        y_row = Signal(range(geometry.streams))
        with m.If(closes):
            m.d.sync += x_column.eq(next_modulo(x_column, geometry.taps))
            with m.If(x_column == geometry.taps - 1):
                m.d.sync += slot.eq(slot + 1)
        with m.If(Mux(row.out_flat, tile_end, line_end)):
            m.d.sync += [slot.eq(0), x_column.eq(0)]
        with m.If(line_end):
            m.d.sync += y_row.eq(next_modulo(y_row, geometry.streams))
            with m.If(y_row == geometry.streams - 1):
                m.d.sync += line.eq(line + row.out_line_stride)
        with m.If(unit_end):
            m.d.sync += [line.eq(0), image.eq(image + row.out_image_stride)]
        with m.If(tile_end):
            m.d.sync += image.eq(0)
        with m.If(unit_end | self.start):
            m.d.sync += y_row.eq(row.out_start_row)

        # Add them up while the codes are pooled.
        words, word_row, where = self._words(m, tile_end, row_end)
        near, far, total = (Signal(address_bits, name=n) for n in ("near", "far", "total"))
        steps = [closes]
        places = [Signal(place_layout(geometry), name=f"place_{cycle}") for cycle in (1, 2)]
        for cycle in range(self.latency_cycles - 1):
            steps.append(Signal(name=f"step_{cycle + 1}"))
            m.d.sync += steps[-1].eq(steps[-2])
        m.d.sync += [
            near.eq(line + slot),
            far.eq(image + words),
            places[0].eq(where),
            places[0].row.eq(add_modulo(y_row, word_row, geometry.streams)),
            places[0].column.eq(add_modulo(x_column, where.word_column, geometry.taps)),
            places[0].end.eq(row_end),
            total.eq(near + far),
            places[1].eq(places[0]),
        ]
        with m.If(steps[-1]):
            m.d.sync += [self.place.eq(places[1]), self.place.address.eq(total + row.out_base)]
        return m

    def _windows(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Walk the windows. Returns: one closes; it is its line's last; its line is the last."""
        row = self.row
        inner_x, inner_y = Signal(4), Signal(4)
        x, y = Signal(SIZE_BITS), Signal(SIZE_BITS)
        last_x, last_y, line_last, map_last, alone, closes = (
            Signal(name=name)
            for name in ("last_x", "last_y", "line_last", "map_last", "alone", "closes")
        )
        m.d.comb += [
            last_x.eq(inner_x == row.pool_last),
            last_y.eq(inner_y == row.pool_last),
            line_last.eq(x == row.out_column_last),
            map_last.eq(y == row.out_row_last),
            alone.eq((row.out_column_last == 0) & ~row.pool_overlap),
            closes.eq(self.valid & last_x & last_y),
            self.first_x.eq((inner_x == 0) & ((inner_y == 0) | ~alone)),
            self.last_x.eq(last_x & (last_y | ~alone)),
            self.first_y.eq((inner_y == 0) | alone),
            self.last_y.eq(last_y),
            self.window.eq(x),
        ]
        x_end, line_end, y_end, map_end = (
            Signal(name=name) for name in ("x_end", "map_line_end", "y_end", "map_end")
        )
        m.d.comb += [
            x_end.eq(self.valid & last_x),
            line_end.eq(x_end & line_last),
            y_end.eq(line_end & last_y),
            map_end.eq(y_end & map_last),
        ]
        with m.If(self.valid):
            m.d.sync += inner_x.eq(inner_x + 1)
        with m.If(x_end):
            m.d.sync += [inner_x.eq(row.pool_overlap), x.eq(x + 1)]
        with m.If(line_end):
            m.d.sync += [inner_x.eq(0), x.eq(0), inner_y.eq(inner_y + 1)]
        with m.If(y_end):
            m.d.sync += [inner_y.eq(row.pool_overlap), y.eq(y + 1)]
        with m.If(map_end):
            m.d.sync += [inner_y.eq(0), y.eq(0)]
        return closes, line_last, map_last

    def _words(
        self, m: Module, tile_end: Signal, row_end: Signal
    ) -> tuple[Signal, Signal, data.View]:
        """The tile's first word: addresses to it, its bank row, and what a place says of it."""
        geometry, row = self.geometry, self.row
        streams, taps = geometry.streams, geometry.taps
        words = Signal(ceil_log2(geometry.activation_depth))
        word_row = Signal(range(streams))
        where = Signal(place_layout(geometry))
        whole, rest = divmod(geometry.columns, geometry.word_width)
        granules, step = geometry.word_width // geometry.granule, rest // geometry.granule
        carry = Signal()
        m.d.comb += carry.eq(where.granule + step >= granules)
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
        with m.If(row_end):
            m.d.sync += [words.eq(0), word_row.eq(0), where.as_value().eq(0)]
        return words, word_row, where
