# SPDX-License-Identifier: Apache-2.0
"""ULX3S: Lattice ECP5, 25 MHz, UART through its FT231X."""

from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform

from xnorflow.boards.board import Board
from xnorflow.core.geometry import Geometry

__all__ = ["ULX3S_25F", "ULX3S_85F"]

_ROUTING = ("--placer", "static", "--router", "router2")

ULX3S_25F = Board(
    name="ulx3s-25f",
    title="ULX3S with an ECP5-25F",
    family="ecp5",
    platform=ULX3S_25F_Platform,
    nextpnr=("--25k", "--package", "CABGA381", "--speed", "6"),
    part="LFE5U-25F",
    geometry=Geometry.parse(
        "2x2x8x64,weight_depth=2048,activation_depth=512,accumulator_depth=512,"
        "max_lanes=2,accumulator_width=18"
    ),
    clock_mhz=50,
    loader="ulx3s",
    options=_ROUTING,
)

ULX3S_85F = Board(
    name="ulx3s-85f",
    title="ULX3S with an ECP5-85F",
    family="ecp5",
    platform=ULX3S_85F_Platform,
    nextpnr=("--85k", "--package", "CABGA381", "--speed", "6"),
    part="LFE5U-85F",
    geometry=Geometry.parse(
        "3x3x16x64,weight_depth=4096,accumulator_depth=512,max_lanes=1,accumulator_width=18"
    ),
    clock_mhz=50,
    loader="ulx3s",
    options=_ROUTING,
)
