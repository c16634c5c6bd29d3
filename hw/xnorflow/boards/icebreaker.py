# SPDX-License-Identifier: Apache-2.0
"""iCEBreaker: Lattice iCE40UP5K, 12 MHz, UART through its FT2232H; weights in single-port RAM."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from xnorflow.boards.board import Board
from xnorflow.core.geometry import Geometry

__all__ = ["ICEBREAKER"]

ICEBREAKER = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    family="ice40",
    platform=ICEBreakerPlatform,
    nextpnr=("--up5k", "--package", "sg48"),
    part="up5k",
    geometry=Geometry.parse(
        "2x1x4x64,activation_depth=256,weight_bus=16,weight_depth=16384,accumulator_depth=16,"
        "layer_depth=8,scale_depth=8,pool_depth=2,max_lanes=1,accumulator_width=12,scale_width=1,"
        "mlp,cw_last=0..7,out_word_last=0..15,tile_last=0..127,unit_last=0..15,word_last=0..15"
    ),
    clock_mhz=60,
    seeds=(31, 1, 6),
    loader="ice40_generic",
    leds=("26", "27", "25", "23", "21"),  # 1 to 5 of the part that can be broken off
)
