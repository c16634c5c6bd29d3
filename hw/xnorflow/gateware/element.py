# SPDX-License-Identifier: Apache-2.0
"""One row of one hop: processing elements that share a word, each with its resting weights."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Instance
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.chains import Adder, Cell, add_chains
from xnorflow.gateware.compressor import Compressor
from xnorflow.gateware.delay import delayed
from xnorflow.gateware.popcount import PopcountTree
from xnorflow.gateware.resting import Window, delayed_word, load_windows, resting_weights
from xnorflow.gateware.target import PORTABLE, device_family, family_of

__all__ = ["ElementRow"]

CHAIN_POSITIONS = 28
"""Most positions of a carry chain: longer ones waste fewer, shorter ones are quicker."""

PAIRED_POSITIONS = 16
"""The same, where a path leads through two chains; by the timing analysis, from end to end."""

SHORT_CHAINS = ("ice40", "gowin")
"""Families whose carry cells take no XOR: each count is an adder of its own."""

TWO_OUTPUTS = ("xc7",)
"""Families with a LUT that is a full adder."""

LUTS = {1: 3, 2: 5}
"""There, most LUTs between two registers, by ``popcount_levels``."""


def carried_out(m: Module, total: Value, platform: object) -> Value:
    """A sum whose top bit is a carry: on an iCE40 out of a LUT, which may have a register."""
    if device_family(platform) != "ice40":
        return total
    top = Signal()
    unused = {f"i_I{pin}": Const(0) for pin in range(3)}
    carry = {"i_I3": total[-1]}
    m.submodules += Instance("SB_LUT4", p_LUT_INIT=Const(0xFF00, 16), **unused, **carry, o_O=top)
    return Cat(total[:-1], top)


class ElementRow(wiring.Component):
    """Counts mismatches between streaming words and resting weights, and adds them to the sums.

        sums_out[t + latency_cycles] = (sums_in[t + latency_cycles - 1] << double)
                                       + (0 if idle[t] else popcount(words[t] ^ weights))

    for each column (its own weights) and pixel stream (its own word); index
    ``column * pixels + pixel``. In a row that does not double, a sum larger than the words so far
    can give comes from rows that did, and the word must then be idle.

    Parameters
    ----------
    geometry : Geometry
        Gives the widths, ``columns_per_hop`` and ``pixels``.
    row : int
        Row of the array: gives the widths of the sums, and whether they can double.

    Members
    -------
    words : In(word_width), one a pixel stream
        Activation words, lowest channel in the lowest bit.
    idle : In(pixels)
        The pixel stream's word does not count.
    loads : In
        Shift ``weights`` in, lowest bits first: for each of ``load_windows``, whether that was so
        in all of it. A load is ``weight_load_cycles`` cycles without a gap, and a cycle at least
        lies between two loads. The words of its first cycle still meet the old weights, those
        after its last one the new; words between must be idle.
    weights : In(weight_beat), one a column
        Next bits of the weights.
    double : In(1)
        The sum from above counts twice; only for rows where ``geometry.doubles(row)``. Must stay
        the same while words are under way.
    sums_in, sums_out : In, Out
        Mismatches of the rows above (row 0 ignores them), and with this row's.

    Timing
    ------
    One word a cycle: registers are in the popcount (:class:`PopcountTree`) and behind the sum.
    Nothing stalls, and nothing needs a reset: an idle word leaves zeros.
    """

    def __init__(self, geometry: Geometry, *, row: int) -> None:
        if not 0 <= row < geometry.rows:
            raise ValueError(f"ElementRow: row must be from 0 to {geometry.rows - 1}, not {row}")
        self.geometry = geometry
        self.row = row
        self.tree = PopcountTree.of(geometry)
        lanes = geometry.columns_per_hop * geometry.pixels
        above = geometry.sum_width(row - 1) if row else 1
        super().__init__(
            {
                "words": In(data.ArrayLayout(geometry.word_width, geometry.pixels)),
                "idle": In(geometry.pixels),
                "loads": In(len(self.load_windows(geometry))),
                "weights": In(data.ArrayLayout(geometry.weight_beat, geometry.columns_per_hop)),
                "double": In(1),
                "sums_in": In(data.ArrayLayout(above, lanes)),
                "sums_out": Out(data.ArrayLayout(geometry.sum_width(row), lanes)),
            }
        )

    @staticmethod
    def load_windows(geometry: Geometry) -> list[Window]:
        """The windows of ``loads``."""
        tree = PopcountTree.of(geometry)
        delays = [tree.delay(bit) for bit in range(tree.width)]
        return load_windows(delays, geometry.weight_beat)

    @property
    def latency_cycles(self) -> int:
        """Cycles from a word to the sum that counts it."""
        return self.tree.cycles + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        family = family_of(platform)
        if device_family(platform) in SHORT_CHAINS:
            self._narrow(m, platform)
        elif family == PORTABLE:
            self._portable(m)
        elif family in TWO_OUTPUTS:
            self._compressed(m, family)
        else:
            self._chained(m, family)
        return m

    def _delayed_idle(self, m: Module) -> Signal:
        """``idle`` in the cycle of the last level: its registers alone are cleared."""
        return delayed(m, self.idle, self.tree.cycles - 1, "idle")

    # -- portable: one wide addition a level -------------------------------------------------

    def _portable(self, m: Module) -> None:
        geometry, tree = self.geometry, self.tree
        beat, half = geometry.weight_beat, tree.half
        idle = self._delayed_idle(m)
        for column in range(geometry.columns_per_hop):
            resting = Signal(geometry.word_width, name=f"resting_{column}", reset_less=True)
            with m.If(self.loads[0]):
                m.d.sync += resting.eq(Cat(resting, self.weights[column])[beat:])
            for pixel in range(geometry.pixels):
                index = column * geometry.pixels + pixel
                # Level 1: three bits to a count of two, in fields of two bits.
                differ = self.words[pixel] ^ resting
                low = tree.mask(2, 1)
                total = (differ[half:] & low) + ((differ[half:] >> 1) & low) + (differ & low)
                later = (differ[:half] >> 1) & low  # slot s in bit 2s
                for level in range(1, tree.levels + 1):
                    name = f"{column}_{pixel}_{level}"
                    fields = Signal(half, name=f"fields_{name}", reset_less=True)
                    slots = Signal(half, name=f"slots_{name}", reset_less=True)
                    domain = m.d.sync if tree.registered(level) else m.d.comb
                    domain += [fields.eq(total), slots.eq(later & tree.mask(1 << level, 1))]
                    if level == tree.levels:
                        with m.If(idle[pixel]):
                            m.d.sync += [fields.eq(0), slots.eq(0)]
                    # Next level: two counts and the slot in the middle of their field.
                    later = slots
                    stride = 1 << level
                    own = tree.mask(2 * stride, level + 1)
                    total = (fields & own) + ((fields >> stride) & own)
                    total += (slots >> stride) & tree.mask(2 * stride, 1)
                m.d.sync += self.sums_out[index].eq(self._above(index) + fields + slots[0])

    def _above(self, index: int) -> Value:
        if self.row == 0:
            return Const(0, 1)
        above = self.sums_in[index]
        return Mux(self.double, above << 1, above) if self.geometry.doubles(self.row) else above

    # -- an adder for each count -------------------------------------------------------------

    def _narrow(self, m: Module, platform: object) -> None:
        geometry, tree = self.geometry, self.tree
        beat, width = geometry.weight_beat, geometry.word_width
        idle = self._delayed_idle(m)

        def add(a: Value, b: Value, carry: Value) -> Value:
            """The carry enters the chain at a position of its own."""
            return carried_out(m, (Cat(Const(1, 1), a) + Cat(carry, b))[1:], platform)

        for column in range(geometry.columns_per_hop):
            resting = Signal(width, name=f"resting_{column}", reset_less=True)
            with m.If(self.loads[0]):
                m.d.sync += resting.eq(Cat(resting, self.weights[column])[beat:])
            for pixel in range(geometry.pixels):
                index = column * geometry.pixels + pixel
                differ = self.words[pixel] ^ resting
                leaves = width // 4
                threes = [differ[at::leaves][:3] for at in range(leaves)]
                counts: list[Value] = [
                    Cat(a ^ b ^ c, (a & b) | (c & (a ^ b))) for a, b, c in threes
                ]
                slots: list[Value] = list(differ[3 * leaves :])
                for level in range(1, tree.levels + 1):
                    if level > 1:
                        pairs = zip(counts[::2], counts[1::2], strict=True)
                        counts = [add(a, b, slots.pop()) for a, b in pairs]
                    name = f"{column}_{pixel}_{level}"
                    fields = [
                        Signal(level + 1, name=f"count_{name}_{at}", reset_less=True)
                        for at in range(len(counts))
                    ]
                    later = Signal(len(slots), name=f"slots_{name}", reset_less=True)
                    domain = m.d.sync if tree.registered(level) else m.d.comb
                    domain += [
                        *(field.eq(count) for field, count in zip(fields, counts, strict=True)),
                        later.eq(Cat(slots)),
                    ]
                    if level == tree.levels:
                        with m.If(idle[pixel]):
                            m.d.sync += [field.eq(0) for field in [*fields, later]]
                    counts, slots = list(fields), list(later)
                m.d.sync += self.sums_out[index].eq(add(self._above(index), counts[0], slots[0]))

    # -- carry chains of a family's cells ----------------------------------------------------

    def _chained(self, m: Module, family: str) -> None:
        geometry, tree = self.geometry, self.tree
        columns, pixels = range(geometry.columns_per_hop), range(geometry.pixels)
        delays = [tree.delay(bit) for bit in range(tree.width)]
        loads = dict(zip(self.load_windows(geometry), self.loads, strict=True))
        resting = [
            resting_weights(m, self.weights[column], loads, delays, name=f"{column}")
            for column in columns
        ]
        words = [
            delayed_word(m, self.words[pixel], delays, name=f"{pixel}")
            for pixel in range(geometry.pixels)
        ]

        # By the timing analysis every input of a chain reaches all its sums. So adders whose sums
        # others take in the same cycle have chains of their own, and so have those that take them.
        first: list[Adder] = []
        second: list[Adder] = []
        alone: list[Adder] = []
        counts: dict[tuple[int, int], list[Signal]] = {}
        for level in range(1, tree.levels + 1):
            above: dict[tuple[int, int], list[Signal]] = {}
            for node in range(tree.nodes(level)):
                for pixel in pixels:
                    for column in columns:
                        pairs = [
                            (words[pixel][bit], resting[column][bit])
                            for bit in (tree.leaf(node) if level == 1 else
                                        (2 * tree.slot(level, node) + 1,))
                        ]  # fmt: skip
                        carry, *rest = pairs
                        if level == 1:
                            cells = [Cell.add(*rest)]
                        else:
                            below = counts[column, pixel]
                            operands = zip(below[2 * node], below[2 * node + 1], strict=True)
                            cells = [Cell.add((a,), (b,)) for a, b in operands]
                        name = f"{column}_{pixel}_{level}_{node}"
                        total = Signal(level + 1, name=f"total_{name}")
                        adder = Adder(carry, tuple(cells), total)
                        if tree.registered(level):
                            (alone if tree.registered(level - 1) else second).append(adder)
                            total = Signal(level + 1, name=f"count_{name}", reset_less=True)
                            m.d.sync += total.eq(adder.total)
                        else:
                            first.append(adder)
                        above.setdefault((column, pixel), []).append(total)
            counts = above

        # The last bit of each word goes into the sum; cleared, word and weight do not differ.
        idle = self._delayed_idle(m)
        for pixel in pixels:
            bit = Signal(name=f"last_{pixel}", reset_less=True)
            weights = [Signal(name=f"last_{column}_{pixel}", reset_less=True) for column in columns]
            m.d.sync += bit.eq(words[pixel][1])
            m.d.sync += [last.eq(resting[column][1]) for column, last in enumerate(weights)]
            with m.If(idle[pixel]):
                m.d.sync += [last.eq(0) for last in (bit, *weights)]
                for column in columns:
                    m.d.sync += [each.eq(0) for each in counts[column, pixel]]
            for column in columns:
                index = column * geometry.pixels + pixel
                (count,) = counts[column, pixel]
                alone.append(self._falling(m, index, count, bit, weights[column]))
        for adders in (first, second):
            add_chains(m, family, adders, cap=PAIRED_POSITIONS)
        add_chains(m, family, alone, cap=CHAIN_POSITIONS)

    # -- full adders of a LUT each -----------------------------------------------------------

    def _compressed(self, m: Module, family: str) -> None:
        geometry, tree = self.geometry, self.tree
        idle = self._delayed_idle(m)
        adders = []
        for column in range(geometry.columns_per_hop):
            resting = resting_weights(
                m, self.weights[column], {(0, 0): self.loads[0]}, [0] * tree.width, name=f"{column}"
            )
            for pixel in range(geometry.pixels):
                pairs = list(zip(self.words[pixel], resting, strict=True))
                compressor = Compressor(m, f"{column}_{pixel}", LUTS[geometry.popcount_levels])
                count, last = compressor.count(pairs, tree.cycles, idle[pixel])
                adders.append(self._falling(m, column * geometry.pixels + pixel, count, last))
        add_chains(m, family, adders, cap=1)

    def _falling(self, m: Module, index: int, count: Signal, *last: Value) -> Adder:
        """The sum from above, the count, and the last bit (or two bits' XOR) as carry-in."""
        width = len(self.sums_out[index])
        above = Value.cast(self.sums_in[index])
        doubles = self.geometry.doubles(self.row)
        above_width = len(above) + doubles if self.row else 0
        # Sums that doubled above pass a row that does not, which then counts nothing.
        added = width if doubles else self.geometry.count_bound(self.row).bit_length()
        cells = []
        for at in range(min(added, max(len(count), above_width))):
            bit = count[at] if at < len(count) else None
            if at >= above_width:
                cells.append(Cell.add((bit,)))
            elif doubles:
                once = above[at] if at < len(above) else Const(0)
                twice = above[at - 1] if at else Const(0)
                cells.append(Cell.choose(bit, twice, once, self.double))
            else:
                operands = [(above[at],)] if bit is None else [(bit,), (above[at],)]
                cells.append(Cell.add(*operands))
        total = Signal(added, name=f"total_{index}")
        m.d.sync += self.sums_out[index].eq(Cat(total, above[added:]))
        return Adder(last, tuple(cells), total)
