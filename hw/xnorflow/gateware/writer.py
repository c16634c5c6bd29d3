# SPDX-License-Identifier: Apache-2.0
"""Writes the lanes of one activation word into the banks."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from xnorflow.core.geometry import Geometry
from xnorflow.gateware.banks import rotate
from xnorflow.gateware.layouts import write_layout

__all__ = ["LaneWriter"]


class LaneWriter(wiring.Component):
    """Lane l goes to bank (rotation + l) mod streams, address + l * lane_stride.

    Parameters
    ----------
    geometry : Geometry
        Gives streams, widths and the granule.
    max_lanes : int
        Widest code; a code of m lanes takes ceil(m / streams) cycles.

    Members
    -------
    start : In(1)
        Write the word that the other inputs describe, from this cycle on; they must stay while
        ``busy``.
    lanes : In
        The word's bit-planes.
    lane_last, lane_stride : In
        Lanes - 1 and the addresses from lane to lane.
    enable : In
        Granules to write.
    rotation, address : In
        Bank and address of lane 0.
    busy : Out(1)
        More cycles follow: ``start`` would be ignored in the next cycle.
    writes : Out(write_layout), one a bank
        Registered.
    """

    def __init__(self, geometry: Geometry, *, max_lanes: int) -> None:
        self.geometry = geometry
        self.max_lanes = max_lanes
        address = ceil_log2(geometry.activation_depth)
        super().__init__(
            {
                "start": In(1),
                "lanes": In(data.ArrayLayout(geometry.word_width, max_lanes)),
                "lane_last": In(bits_for(max_lanes - 1)),
                "lane_stride": In(address),
                "enable": In(geometry.word_width // geometry.granule),
                "rotation": In(ceil_log2(geometry.streams)),
                "address": In(address),
                "busy": Out(1),
                "writes": Out(data.ArrayLayout(write_layout(geometry), geometry.streams)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams = self.geometry.streams
        phases = -(-self.max_lanes // streams)
        phase = Signal(range(phases + 1))
        active = Signal()
        m.d.comb += [
            active.eq(self.start | (phase != 0)),
            self.busy.eq(active & ((phase + 1) * streams <= self.lane_last)),
        ]
        m.d.sync += phase.eq(Mux(self.busy, phase + 1, 0))

        slots = []  # what lane number slot + phase * streams writes
        for slot in range(streams):
            choices = []
            for at in range(phases):
                lane = slot + at * streams
                choice = Signal(write_layout(self.geometry), name=f"lane_{lane}")
                if lane < self.max_lanes:
                    m.d.comb += [
                        choice.enable.eq(Mux(lane <= self.lane_last, self.enable, 0)),
                        choice.address.eq(self.address + lane * self.lane_stride),
                        choice.data.eq(self.lanes[lane]),
                    ]
                choices.append(choice)
            slots.append(Array(choice.as_value() for choice in choices)[phase])
        by_bank = rotate(slots, self.rotation, back=True)
        for bank in range(streams):
            m.d.sync += self.writes[bank].as_value().eq(by_bank[bank])
            with m.If(~active):
                m.d.sync += self.writes[bank].enable.eq(0)
        return m
