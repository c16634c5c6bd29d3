// SPDX-License-Identifier: Apache-2.0
//
// Behaviour of ECP5 cells, beside Yosys' own models: of those that Yosys knows by their pins only,
// after Lattice's documents FPGA-TN-02204 (memory) and FPGA-TN-02205 (multipliers), and look-up
// tables, whose models there are trees that a simulator unfolds. What is not modelled is refused
// when a simulation is built, by the name of a module that does not exist.

module LUT4(input A, B, C, D, output Z);
  parameter [15:0] INIT = 16'h0;
  assign Z = INIT >> {D, C, B, A};
endmodule

module LUT2(input A, B, output Z);
  parameter [3:0] INIT = 4'h0;
  assign Z = INIT >> {B, A};
endmodule

// 2048 bytes of 9 bits. Modelled: two ports that read and write, of 1, 2, 4, 9 or 18 bits each; or
// A writing and B reading words of 36 bits. Write mode NORMAL: a port that writes keeps what it
// read. Output registers, initial contents (all zeros are none), resets of the outputs (with the
// clock). Bits that one port reads while the other writes them come out inverted: nothing may rely on
// them.
module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
  DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
  DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
  DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
  DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 320'd0;
  parameter [319:0] INITVAL_01 = 320'd0;
  parameter [319:0] INITVAL_02 = 320'd0;
  parameter [319:0] INITVAL_03 = 320'd0;
  parameter [319:0] INITVAL_04 = 320'd0;
  parameter [319:0] INITVAL_05 = 320'd0;
  parameter [319:0] INITVAL_06 = 320'd0;
  parameter [319:0] INITVAL_07 = 320'd0;
  parameter [319:0] INITVAL_08 = 320'd0;
  parameter [319:0] INITVAL_09 = 320'd0;
  parameter [319:0] INITVAL_0A = 320'd0;
  parameter [319:0] INITVAL_0B = 320'd0;
  parameter [319:0] INITVAL_0C = 320'd0;
  parameter [319:0] INITVAL_0D = 320'd0;
  parameter [319:0] INITVAL_0E = 320'd0;
  parameter [319:0] INITVAL_0F = 320'd0;
  parameter [319:0] INITVAL_10 = 320'd0;
  parameter [319:0] INITVAL_11 = 320'd0;
  parameter [319:0] INITVAL_12 = 320'd0;
  parameter [319:0] INITVAL_13 = 320'd0;
  parameter [319:0] INITVAL_14 = 320'd0;
  parameter [319:0] INITVAL_15 = 320'd0;
  parameter [319:0] INITVAL_16 = 320'd0;
  parameter [319:0] INITVAL_17 = 320'd0;
  parameter [319:0] INITVAL_18 = 320'd0;
  parameter [319:0] INITVAL_19 = 320'd0;
  parameter [319:0] INITVAL_1A = 320'd0;
  parameter [319:0] INITVAL_1B = 320'd0;
  parameter [319:0] INITVAL_1C = 320'd0;
  parameter [319:0] INITVAL_1D = 320'd0;
  parameter [319:0] INITVAL_1E = 320'd0;
  parameter [319:0] INITVAL_1F = 320'd0;
  parameter [319:0] INITVAL_20 = 320'd0;
  parameter [319:0] INITVAL_21 = 320'd0;
  parameter [319:0] INITVAL_22 = 320'd0;
  parameter [319:0] INITVAL_23 = 320'd0;
  parameter [319:0] INITVAL_24 = 320'd0;
  parameter [319:0] INITVAL_25 = 320'd0;
  parameter [319:0] INITVAL_26 = 320'd0;
  parameter [319:0] INITVAL_27 = 320'd0;
  parameter [319:0] INITVAL_28 = 320'd0;
  parameter [319:0] INITVAL_29 = 320'd0;
  parameter [319:0] INITVAL_2A = 320'd0;
  parameter [319:0] INITVAL_2B = 320'd0;
  parameter [319:0] INITVAL_2C = 320'd0;
  parameter [319:0] INITVAL_2D = 320'd0;
  parameter [319:0] INITVAL_2E = 320'd0;
  parameter [319:0] INITVAL_2F = 320'd0;
  parameter [319:0] INITVAL_30 = 320'd0;
  parameter [319:0] INITVAL_31 = 320'd0;
  parameter [319:0] INITVAL_32 = 320'd0;
  parameter [319:0] INITVAL_33 = 320'd0;
  parameter [319:0] INITVAL_34 = 320'd0;
  parameter [319:0] INITVAL_35 = 320'd0;
  parameter [319:0] INITVAL_36 = 320'd0;
  parameter [319:0] INITVAL_37 = 320'd0;
  parameter [319:0] INITVAL_38 = 320'd0;
  parameter [319:0] INITVAL_39 = 320'd0;
  parameter [319:0] INITVAL_3A = 320'd0;
  parameter [319:0] INITVAL_3B = 320'd0;
  parameter [319:0] INITVAL_3C = 320'd0;
  parameter [319:0] INITVAL_3D = 320'd0;
  parameter [319:0] INITVAL_3E = 320'd0;
  parameter [319:0] INITVAL_3F = 320'd0;
  // 16 words of 18 bits a parameter, each in 20 bits of it.
  localparam [20479:0] CONTENTS = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
    INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
    INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
    INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
    INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
    INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
    INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
    INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };
  localparam WIDE = DATA_WIDTH_A == 36;
  generate
    if (WIDE != (DATA_WIDTH_B == 36) || WRITEMODE_A != "NORMAL" || WRITEMODE_B != "NORMAL"
        || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
        || CLKAMUX != "CLKA" || CLKBMUX != "CLKB")
      mode_of_dp16kd_that_is_not_modelled refused();
  endgenerate

  reg [8:0] bytes[0:2047];
  generate
    if (CONTENTS != 20480'd0) begin : initialised
      integer i;
      initial
        for (i = 0; i < 2048; i = i + 1) bytes[i] = CONTENTS[20 * (i / 2) + 9 * (i % 2) +: 9];
    end
  endgenerate

  wire [17:0] di_a = {
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
    DIA3, DIA2, DIA1, DIA0
  };
  wire [13:0] ad_a = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
  };
  wire on_a = CEA & ~CSA2 & ~CSA1 & ~CSA0;
  wire [17:0] di_b = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0
  };
  wire [13:0] ad_b = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
  };
  wire on_b = CEB & ~CSB2 & ~CSB1 & ~CSB0;

  // What each port reads: 36 bits through B leave by the pins of both.
  reg [17:0] read_a, kept_a;
  reg [35:0] read_b, kept_b;
  initial {read_a, kept_a, read_b, kept_b} = 108'd0;
  wire [17:0] out_a = REGMODE_A == "OUTREG" ? kept_a : read_a;
  wire [35:0] out_b = REGMODE_B == "OUTREG" ? kept_b : read_b;
  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0
  } = WIDE ? out_b[17:0] : out_a;
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0
  } = WIDE ? out_b[35:18] : out_b[17:0];

  // A port's word is bits of a byte, a byte, or the byte at an even address and the next one.
  function [17:0] spread(input [17:0] data, input integer width);
    spread = width == 18 ? data
      : width == 9 ? {9'd0, data[8:0]}
      : width == 4 ? {10'd0, data[3:0], data[3:0]}
      : width == 2 ? {10'd0, {4{data[1:0]}}}
      : {10'd0, {8{data[0]}}};
  endfunction
  function [17:0] mask(input [13:0] address, input integer width);
    mask = width == 18 ? {{9{address[1]}}, {9{address[0]}}}
      : width == 9 ? 18'h1FF
      : width == 4 ? 18'hF << {address[2], 2'd0}
      : width == 2 ? 18'h3 << {address[2:1], 1'd0}
      : 18'h1 << address[2:0];
  endfunction
  function [17:0] choose(input [17:0] data, input [13:0] address, input integer width);
    choose = width == 18 ? data
      : width == 9 ? {9'd0, data[8:0]}
      : width == 4 ? data[7:0] >> {address[2], 2'd0} & 18'hF
      : width == 2 ? data[7:0] >> {address[2:1], 1'd0} & 18'h3
      : data[7:0] >> address[2:0] & 18'h1;
  endfunction

  generate
    if (WIDE) begin : pseudo_dual
      wire [8:0] to = ad_a[13:5], from = ad_b[13:5];
      wire [3:0] clash = {4{on_a & WEA & to == from}} & ad_a[3:0];
      always @(posedge CLKA)
        if (on_a & WEA) begin
          if (ad_a[0]) bytes[{to, 2'd0}] <= di_a[8:0];
          if (ad_a[1]) bytes[{to, 2'd1}] <= di_a[17:9];
          if (ad_a[2]) bytes[{to, 2'd2}] <= di_b[8:0];
          if (ad_a[3]) bytes[{to, 2'd3}] <= di_b[17:9];
        end
      always @(posedge CLKB) begin
        if (RSTB) read_b <= 36'd0;
        else if (on_b)
          read_b <= {{9{clash[3]}}, {9{clash[2]}}, {9{clash[1]}}, {9{clash[0]}}} ^ {
            bytes[{from, 2'd3}], bytes[{from, 2'd2}], bytes[{from, 2'd1}], bytes[{from, 2'd0}]
          };
        if (RSTB) kept_b <= 36'd0;
        else if (OCEB) kept_b <= read_b;
      end
    end else begin : true_dual
      wire [10:0] low_a = DATA_WIDTH_A == 18 ? {ad_a[13:4], 1'b0} : ad_a[13:3];
      wire [10:0] high_a = low_a | 11'd1;
      wire [17:0] mask_a = mask(ad_a, DATA_WIDTH_A);
      wire [17:0] new_a = spread(di_a, DATA_WIDTH_A);
      wire [10:0] low_b = DATA_WIDTH_B == 18 ? {ad_b[13:4], 1'b0} : ad_b[13:3];
      wire [10:0] high_b = low_b | 11'd1;
      wire [17:0] mask_b = mask(ad_b, DATA_WIDTH_B);
      wire [17:0] new_b = spread(di_b, DATA_WIDTH_B);
      wire [17:0] old_a = {bytes[high_a], bytes[low_a]};
      wire [17:0] next_a = old_a & ~mask_a | new_a & mask_a;
      wire [17:0] clash_a = {18{on_b & WEB}} & {
        high_a == low_b ? mask_b[8:0] : high_a == high_b ? mask_b[17:9] : 9'd0,
        low_a == low_b ? mask_b[8:0] : low_a == high_b ? mask_b[17:9] : 9'd0
      };
      always @(posedge CLKA) begin
        if (on_a & WEA) begin
          bytes[low_a] <= next_a[8:0];
          if (DATA_WIDTH_A == 18) bytes[high_a] <= next_a[17:9];
        end
        if (RSTA) read_a <= 18'd0;
        else if (on_a & ~WEA)
          read_a <= {choose(old_a ^ clash_a, ad_a, DATA_WIDTH_A)};
        if (RSTA) kept_a <= 18'd0;
        else if (OCEA) kept_a <= read_a;
      end
      wire [17:0] old_b = {bytes[high_b], bytes[low_b]};
      wire [17:0] next_b = old_b & ~mask_b | new_b & mask_b;
      wire [17:0] clash_b = {18{on_a & WEA}} & {
        high_b == low_a ? mask_a[8:0] : high_b == high_a ? mask_a[17:9] : 9'd0,
        low_b == low_a ? mask_a[8:0] : low_b == high_a ? mask_a[17:9] : 9'd0
      };
      always @(posedge CLKB) begin
        if (on_b & WEB) begin
          bytes[low_b] <= next_b[8:0];
          if (DATA_WIDTH_B == 18) bytes[high_b] <= next_b[17:9];
        end
        if (RSTB) read_b <= 36'd0;
        else if (on_b & ~WEB)
          read_b <= {18'd0, choose(old_b ^ clash_b, ad_b, DATA_WIDTH_B)};
        if (RSTB) kept_b <= 36'd0;
        else if (OCEB) kept_b <= read_b;
      end
    end
  endgenerate
endmodule

// Modelled: A * B, each signed where SIGNED says so, with or without registers before, between and
// behind, all on CLK0 with CE0 and RST0; reset with the clock. The other ports are not.
module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
  P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTA_CE = "CE0";
  parameter REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_INPUTB_CE = "CE0";
  parameter REG_INPUTB_RST = "RST0";
  parameter REG_INPUTC_CLK = "NONE";
  parameter REG_INPUTC_CE = "CE0";
  parameter REG_INPUTC_RST = "RST0";
  parameter REG_PIPELINE_CLK = "NONE";
  parameter REG_PIPELINE_CE = "CE0";
  parameter REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter REG_OUTPUT_RST = "RST0";
  parameter CLK0_DIV = "ENABLED";
  parameter GSR = "ENABLED";
  parameter RESETMODE = "SYNC";
  parameter SOURCEB_MODE = "B_SHIFT";
  parameter MULT_BYPASS = "DISABLED";
  generate
    if (RESETMODE != "SYNC" || MULT_BYPASS != "DISABLED" || REG_INPUTC_CLK != "NONE")
      mode_of_mult18x18d_that_is_not_modelled refused();
    if (REG_INPUTA_CLK != "NONE" && (REG_INPUTA_CLK != "CLK0" || REG_INPUTA_CE != "CE0"
        || REG_INPUTA_RST != "RST0"))
      mode_of_mult18x18d_that_is_not_modelled refused_inputa();
    if (REG_INPUTB_CLK != "NONE" && (REG_INPUTB_CLK != "CLK0" || REG_INPUTB_CE != "CE0"
        || REG_INPUTB_RST != "RST0"))
      mode_of_mult18x18d_that_is_not_modelled refused_inputb();
    if (REG_PIPELINE_CLK != "NONE" && (REG_PIPELINE_CLK != "CLK0" || REG_PIPELINE_CE != "CE0"
        || REG_PIPELINE_RST != "RST0"))
      mode_of_mult18x18d_that_is_not_modelled refused_pipeline();
    if (REG_OUTPUT_CLK != "NONE" && (REG_OUTPUT_CLK != "CLK0" || REG_OUTPUT_CE != "CE0"
        || REG_OUTPUT_RST != "RST0"))
      mode_of_mult18x18d_that_is_not_modelled refused_output();
  endgenerate

  wire [17:0] a = {
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  wire [17:0] b = {
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  reg [17:0] held_a, held_b;
  reg [35:0] held_product, held_output;
  initial {held_a, held_b, held_product, held_output} = 108'd0;
  wire [17:0] used_a = REG_INPUTA_CLK == "NONE" ? a : held_a;
  wire [17:0] used_b = REG_INPUTB_CLK == "NONE" ? b : held_b;
  wire signed [35:0] wide_a = {{18{SIGNEDA & used_a[17]}}, used_a};
  wire signed [35:0] wide_b = {{18{SIGNEDB & used_b[17]}}, used_b};
  wire [35:0] product = wide_a * wide_b;
  wire [35:0] used_product = REG_PIPELINE_CLK == "NONE" ? product : held_product;
  always @(posedge CLK0)
    if (RST0) {held_a, held_b, held_product, held_output} <= 108'd0;
    else if (CE0) {held_a, held_b, held_product, held_output} <= {a, b, product, used_product};
  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17,
    P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = REG_OUTPUT_CLK == "NONE" ? used_product : held_output;
endmodule
