# SPDX-License-Identifier: Apache-2.0
"""ULX3S: Lattice ECP5, 25 MHz, UART through its FT231X."""

from typing import Any

from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform

from xnorflow.boards.board import Board
from xnorflow.core.geometry import Geometry

__all__ = ["ULX3S_25F", "ULX3S_85F"]


def _ulx3s(size: int, platform: type[Any], geometry: str, clock_mhz: float) -> Board:
    """The board with an ECP5 of so many thousand LUTs."""
    return Board(
        name=f"ulx3s-{size}f",
        title=f"ULX3S with an ECP5-{size}F",
        family="ecp5",
        platform=platform,
        nextpnr=(f"--{size}k", "--package", "CABGA381", "--speed", "6"),
        part=f"LFE5U-{size}F",
        geometry=Geometry.parse(geometry),
        clock_mhz=clock_mhz,
        loader="ulx3s",
        leds=("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"),
        options=("--placer", "static", "--router", "router1", "--tmg-ripup"),
        aim=1.01,
    )


ULX3S_25F = _ulx3s(
    25,
    ULX3S_25F_Platform,
    "2x2x8x64,weight_depth=2048,activation_depth=512,accumulator_depth=512,"
    "max_lanes=2,accumulator_width=18,popcount_levels=1",
    clock_mhz=118.75,
)
ULX3S_85F = _ulx3s(
    85,
    ULX3S_85F_Platform,
    "3x3x32x64,weight_depth=2048,accumulator_depth=512,max_lanes=1,accumulator_width=18,"
    "scale_width=1",
    clock_mhz=120,
)
