// SPDX-License-Identifier: Apache-2.0
//
// The look-up table of an iCE40, whose model in Yosys is a tree that a simulator unfolds.

module SB_LUT4(output O, input I0, I1, I2, I3);
  parameter [15:0] LUT_INIT = 16'h0;
  assign O = LUT_INIT >> {I3, I2, I1, I0};
endmodule
