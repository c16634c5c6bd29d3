# SPDX-License-Identifier: Apache-2.0
"""Block memory with an output register."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import ClockDomain, ClockSignal, Const, Module, Signal, Value
from amaranth.hdl import Instance
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from xnorflow.gateware.target import device_family, family_of

__all__ = [
    "INITIALISED",
    "BlockMemory",
    "Lane",
    "early_read",
    "ecp5_blocks",
    "ecp5_cuts",
    "ecp5_init",
]

INITIALISED = "initialised"
"""Attribute of a memory whose first words must be as they are given."""


@dataclass(frozen=True)
class Lane:
    """Neighbouring bits of a word that one write enable of a block covers."""

    start: int
    width: int
    granule: int


# Shapes of an ECP5 block RAM: words, bits of a lane (those of one write enable), lanes.
_ECP5_SHAPES = ((512, 9, 4), (1024, 9, 2), (2048, 9, 1), (4096, 4, 1), (8192, 2, 1), (16384, 1, 1))


def ecp5_blocks(width: int, depth: int, granularity: int) -> tuple[int, list[list[Lane]]] | None:
    """How a memory fills ECP5 block RAMs, each of them deep enough, so that nothing is selected.

    Returns the index of the shape and the lanes of each block; None if no block is deep enough.
    """
    for shape, (words, lane_width, lanes) in enumerate(_ECP5_SHAPES):
        if depth <= words:
            cut = [
                Lane(start, min(lane_width, first + granularity - start), first // granularity)
                for first in range(0, width, granularity)
                for start in range(first, first + granularity, lane_width)
            ]
            return shape, [cut[at : at + lanes] for at in range(0, len(cut), lanes)]
    return None


def ecp5_cuts(width: int, depth: int) -> list[range]:
    """Which bits of a memory's words each of its ECP5 block RAMs holds: all, if none is so deep."""
    _, blocks = ecp5_blocks(width, depth, width) or (None, [[Lane(0, width, 0)]])
    return [range(lanes[0].start, lanes[-1].start + lanes[-1].width) for lanes in blocks]


def ecp5_init(words: Sequence[int], shape: int, blocks: list[list[Lane]]) -> list[list[int]]:
    """What the blocks of :func:`ecp5_blocks` hold, as the 64 INITVAL parameters of each.

    A block has 2048 bytes of 9 bits; lanes narrower than that fill 8 of them, lowest first. A
    parameter has 32 bytes: pairs of them, each pair in 20 bits.
    """
    _, lane_width, together = _ECP5_SHAPES[shape]
    in_byte = max(1, 8 // lane_width)  # words of a lane that share a byte
    values = [[0] * 64 for _ in blocks]
    for block, lanes in zip(values, blocks, strict=True):
        for place, lane in enumerate(lanes):
            mask = (1 << lane.width) - 1
            for address, word in enumerate(words):
                byte = address // in_byte * together + place
                at = byte % 32 // 2 * 20 + byte % 2 * 9 + address % in_byte * lane_width
                block[byte // 32] |= (word >> lane.start & mask) << at
    return values


def early_read(m: Module, memory: Memory, platform: object) -> ReadPort:
    """A read port whose data come in the cycle of the address, which must be a register.

    An iCE40 has no memory in LUTs: there a block reads at the clock's falling edge, half a cycle
    after the address and half a cycle before the data are used.
    """
    if device_family(platform) != "ice40":
        return memory.read_port(domain="comb")
    m.domains.falling = ClockDomain(clk_edge="neg", reset_less=True, local=True)
    m.d.comb += ClockSignal("falling").eq(ClockSignal())
    return memory.read_port(domain="falling")


class BlockMemory(wiring.Component):
    """One write port, one read port, both in the same clock.

    Parameters
    ----------
    width, depth : int
        Bits of a word, words.
    granularity : int or None
        Bits that one write enable covers; None: the word.
    init : sequence of int
        What the first words hold at first; the others hold 0, or anything where it is empty.

    Members
    -------
    write_enable, write_address, write_data : In
        A bit of ``write_enable`` for each granule.
    read_enable, read_address : In
    read_data : Out(width)
        The word, ``latency_cycles`` after it was asked for; it stays until another one is.

    Timing
    ------
    A word that is written in the cycle in which it is read arrives as it was before or after:
    undefined. On an ECP5 the output register is the block RAM's own, which Yosys does not infer:
    without it the memory's 5.7 ns would bound the clock.
    """

    latency_cycles = 2

    def __init__(
        self, *, width: int, depth: int, granularity: int | None = None, init: Sequence[int] = ()
    ) -> None:
        if len(init) > depth:
            raise ValueError(f"A memory of {depth} words cannot begin with {len(init)}")
        self.width = width
        self.depth = depth
        self.init = tuple(init)
        self.granularity = granularity or width
        address = ceil_log2(depth)
        super().__init__(
            {
                "write_enable": In(width // self.granularity),
                "write_address": In(address),
                "write_data": In(width),
                "read_enable": In(1),
                "read_address": In(address),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        blocks = ecp5_blocks(self.width, self.depth, self.granularity)
        if family_of(platform) == "ecp5" and blocks is not None and self.depth > 1:
            begins = ecp5_init(self.init, *blocks)
            for number, lanes in enumerate(blocks[1]):
                m.submodules[f"block_{number}"] = self._ecp5_block(
                    m, blocks[0], lanes, begins[number]
                )
        else:
            self._portable(m)
        return m

    def _portable(self, m: Module) -> None:
        attributes = {INITIALISED: 1} if self.init else {}
        m.submodules.block_ram = memory = Memory(
            shape=self.width, depth=self.depth, init=self.init, attrs=attributes
        )
        write = memory.write_port(granularity=self.granularity)
        read = memory.read_port()
        held = Signal(self.width)
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.read_data.eq(held),
        ]
        m.d.sync += held.eq(read.data)

    def _ecp5_block(self, m: Module, shape: int, lanes: list[Lane], begins: list[int]) -> Instance:
        """A DP16KD: port A writes, port B reads (at 36 bits, B's data pins are A's upper ones)."""
        words, lane_width, _ = _ECP5_SHAPES[shape]
        bits = lane_width * _ECP5_SHAPES[shape][2]
        write_data: list[Value] = []
        outputs: list[Value] = []
        for lane in lanes:
            for bit in range(lane_width):
                inside = bit < lane.width
                pin = Signal(name=f"q_{lane.start + bit}")
                write_data.append(self.write_data[lane.start + bit] if inside else Const(0))
                outputs.append(pin)
                if inside:
                    m.d.comb += self.read_data[lane.start + bit].eq(pin)
        enables = [self.write_enable[lane.granule] for lane in lanes]
        at = 14 - (words - 1).bit_length()  # the word's address begins at this pin
        ports: dict[str, object] = {}
        for pin in range(14):
            index = pin - at
            inside = 0 <= index < len(self.write_address)
            ports[f"i_ADA{pin}"] = self.write_address[index] if inside else Const(0)
            ports[f"i_ADB{pin}"] = self.read_address[index] if inside else Const(0)
        if bits >= 18:
            for pin in range(bits // 9):
                ports[f"i_ADA{pin}"] = enables[pin] if pin < len(enables) else Const(0)
        for index, value in enumerate(write_data):
            ports[f"i_DI{'AB'[index // 18]}{index % 18}"] = value
        for index, pin in enumerate(outputs):
            # At 36 bits the first 18 leave through A.
            port = "AB"[index // 18] if bits == 36 else "B"
            ports[f"o_DO{port}{index % 18}"] = pin
        clock = ClockSignal()
        return Instance(
            "DP16KD",
            p_DATA_WIDTH_A=bits,
            p_DATA_WIDTH_B=bits,
            p_REGMODE_A="OUTREG",
            p_REGMODE_B="OUTREG",
            p_RESETMODE="SYNC",
            p_ASYNC_RESET_RELEASE="SYNC",
            p_CSDECODE_A="0b000",
            p_CSDECODE_B="0b000",
            p_GSR="AUTO",
            i_CLKA=clock,
            i_CLKB=clock,
            i_WEA=Const(1) if bits >= 18 else enables[0],
            i_CEA=Const(1),
            i_OCEA=Const(1),
            i_RSTA=Const(0),
            i_WEB=Const(0),
            i_CEB=self.read_enable,
            i_OCEB=Const(1),
            i_RSTB=Const(0),
            **{f"i_CS{port}{pin}": Const(0) for port in "AB" for pin in range(3)},
            **ports,
            **{
                f"p_INITVAL_{index:02X}": Const(value, 320)
                for index, value in enumerate(begins)
                if value
            },
        )
