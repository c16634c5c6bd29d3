# SPDX-License-Identifier: Apache-2.0
"""Sipeed Tang Nano 20K: Gowin GW2AR-18, 27 MHz, UART through its BL616."""

from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform
from amaranth_boards.resources import UARTResource

from xnorflow.boards.board import Board
from xnorflow.core.geometry import Geometry

__all__ = ["TANG_NANO_20K", "TangNano20kPlatform"]


class TangNano20kPlatform(GowinPlatform):
    """Its oscillator and its UART; amaranth-boards has the other Tang boards only."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    resources = [  # noqa: RUF012  as Amaranth has it
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), Attrs(IO_TYPE="LVCMOS33")),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
    ]
    connectors: list[Any] = []  # noqa: RUF012


TANG_NANO_20K = Board(
    name="tangnano20k",
    title="Sipeed Tang Nano 20K",
    family="gowin",
    platform=TangNano20kPlatform,
    nextpnr=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"),
    part="GW2AR-18",
    geometry=Geometry.parse(
        "2x2x8x32,weight_depth=1536,activation_depth=512,accumulator_depth=512,"
        "max_lanes=1,accumulator_width=16,layer_depth=32,scale_depth=64,pool_depth=32"
    ),
    clock_mhz=108,
    loader="tangnano20k",
    leds=("15", "16", "17", "18", "19", "20"),
    leds_low=True,
    packer="GW2A-18C",
)
