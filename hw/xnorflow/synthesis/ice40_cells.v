// SPDX-License-Identifier: Apache-2.0
//
// Behaviour of iCE40 cells whose models in Yosys are too slow: a look-up table that is a tree, which
// a simulator unfolds, and a memory that is cleared in a loop.

module SB_LUT4(output O, input I0, I1, I2, I3);
  parameter [15:0] LUT_INIT = 16'h0;
  assign O = LUT_INIT >> {I3, I2, I1, I0};
endmodule

// 16,384 words of 16 bits, after Lattice's FPGA-TN-02022. While it writes, its output is what nobody
// wrote. Not modelled: standby, sleep and power-off, in which it does nothing here.
module SB_SPRAM256KA(
  input [13:0] ADDRESS, input [15:0] DATAIN, input [3:0] MASKWREN,
  input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF, output reg [15:0] DATAOUT
);
  reg [15:0] words[0:16383];
  wire on = CHIPSELECT & ~STANDBY & ~SLEEP & POWEROFF;
  always @(posedge CLOCK) begin
    if (on & WREN & MASKWREN[0]) words[ADDRESS][3:0] <= DATAIN[3:0];
    if (on & WREN & MASKWREN[1]) words[ADDRESS][7:4] <= DATAIN[7:4];
    if (on & WREN & MASKWREN[2]) words[ADDRESS][11:8] <= DATAIN[11:8];
    if (on & WREN & MASKWREN[3]) words[ADDRESS][15:12] <= DATAIN[15:12];
    if (on) DATAOUT <= WREN ? ~DATAIN : words[ADDRESS];
  end
endmodule
