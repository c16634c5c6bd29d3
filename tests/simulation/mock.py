# SPDX-License-Identifier: Apache-2.0
"""A small hand-written device with the accelerator's ports, and its program.

It sums pixels instead of running a network, so a test of harness, transport and driver needs no
gateware and builds in seconds. Its configuration is five words:

    0  pixels in an image      1  results of an image       2  added to every result
    3  cycles of work before the results of a block       4  fault, see below

Result j of an image is (sum of its pixels) * (j + 1) + word 2. Every pixel is written into bank
(pixel index mod banks) at address (pixel index), so that taps can be checked. Faults:
1 never accepts pixels, 2 never gives results, 3 marks no word as last, 4 marks the first word as
last, 5 never becomes done, 6 no fault, but it accepts pixels only now and then.

A run that is asked for while a block runs waits for its end. The mock watches the host: a stream
that takes back a word, or changes it while it waits, gives error 77; a run asked for while one
waits gives error 78. Registers that describe the device can be written, so that one model plays
every wrong device.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec
from xnorflow.core.registers import INTERFACE_VERSION, MAGIC, REGISTERS

GEOMETRY = Geometry(3, 2, 4, 8)
BUILD_HASH = 0xC0FFEE01
BLOCK = 4


def constant_registers(
    geometry: Geometry = GEOMETRY, build_hash: int = BUILD_HASH
) -> dict[str, int]:
    """Values of the registers that describe a device."""
    g = geometry
    memories = ("activation", "weight", "accumulator", "layer", "scale", "pool")
    return {
        "magic": MAGIC,
        "version": INTERFACE_VERSION,
        "build_hash": build_hash,
        "shape": g.streams | g.taps << 8 | g.columns << 16 | g.word_width << 24,
        **{f"{name}_depth": getattr(g, f"{name}_depth") for name in memories},
        "widths": g.max_lanes
        | g.accumulator_width << 8
        | g.scale_width << 16
        | g.popcount_levels << 24,
        "pixels_and_bus": g.pixels | g.weight_bus << 16,
    }


def verilog(geometry: Geometry = GEOMETRY) -> str:
    """The mock's text."""
    values = constant_registers(geometry)
    constants = "\n".join(
        f"    constants[{REGISTERS[name].index}] = 32'd{value};" for name, value in values.items()
    )
    granules = geometry.word_width // geometry.granule
    address_bits = (geometry.activation_depth - 1).bit_length()
    taps = range(geometry.banks)
    ports = "".join(
        f",\n  output [{granules - 1}:0] tap_{s}__enable"
        f",\n  output [{address_bits - 1}:0] tap_{s}__address"
        f",\n  output [{geometry.word_width - 1}:0] tap_{s}__data_0"
        for s in taps
    )
    drives = "\n".join(
        f"  assign tap_{s}__enable = {{{granules}{{pixel_moves & (bank == {s})}}}};\n"
        f"  assign tap_{s}__address = pixel_count;\n"
        f"  assign tap_{s}__data_0 = pixels__payload;"
        for s in taps
    )
    text = _TEMPLATE
    for key, value in {
        "@PORTS@": ports,
        "@TAPS@": drives,
        "@CONSTANTS@": constants,
        "@BANKS@": str(geometry.banks),
        "@BLOCK@": str(BLOCK),
        **{f"@{name.upper()}@": str(register.index) for name, register in REGISTERS.items()},
    }.items():
        text = text.replace(key, value)
    return text


_TEMPLATE = """
module xnorflow(
  input clk, input rst,
  input [7:0] reg_address, input reg_write, input [31:0] reg_write_data,
  output reg [31:0] reg_read_data,
  input [31:0] config__payload, input config__valid, output config__ready,
  input [7:0] pixels__payload, input pixels__valid, output pixels__ready,
  output [32:0] results__payload, output results__valid, input results__ready,
  output [7:0] tap_row@PORTS@
);
  localparam IDLE = 0, TAKE = 1, WORK = 2, GIVE = 3, END = 4;
  reg [2:0] state;
  reg done, error_bit;
  reg [31:0] error, images, count, waiting_count, blocks, cycles, wait_cycles, timer;
  reg queued;
  reg [31:0] constants [0:@COMMAND@ - 1];
  initial begin
@CONSTANTS@
  end
  reg [7:0] noise, waiting_pixel;
  reg waiting;
  reg [31:0] words [0:4];
  reg [2:0] word_count;
  reg [31:0] pixel_count, image, pixel, result, bank;
  reg [31:0] sums [0:@BLOCK@ - 1];

  wire [31:0] fault = words[4];
  assign config__ready = 1;
  assign pixels__ready = state == TAKE && fault != 1 && (fault != 6 || noise[0]);
  wire pixel_moves = pixels__valid & pixels__ready;
  wire last_pixel = pixel == words[0] - 1;
  wire last_image = image == count - 1;
  wire last_result = last_image && result == words[1] - 1;
  wire first_result = image == 0 && result == 0;
  wire mark = fault == 3 ? 1'b0 : fault == 4 ? first_result : last_result;
  wire [31:0] value = sums[image] * (result + 1) + words[2];
  assign results__valid = state == GIVE;
  assign results__payload = {mark, value};
  assign tap_row = 0;
@TAPS@

  always @(posedge clk) begin
    case (reg_address)
      @IMAGES@: reg_read_data <= images;
      @STATUS@: reg_read_data <= {queued, error_bit, done, state != IDLE};
      @ERROR@: reg_read_data <= error;
      @BLOCKS@: reg_read_data <= blocks;
      @CYCLES@: reg_read_data <= cycles;
      @WAIT_CYCLES@: reg_read_data <= wait_cycles;
      default: reg_read_data <= reg_address < @COMMAND@ ? constants[reg_address] : 0;
    endcase
    if (reg_write && reg_address < @COMMAND@) constants[reg_address] <= reg_write_data;
    if (config__valid) begin
      if (state != IDLE || word_count == 5 || &config__payload) begin
        error_bit <= 1; error <= 1;
      end else begin
        words[word_count] <= config__payload;
        word_count <= word_count + 1;
      end
    end
    noise <= {noise[6:0], ~(noise[7] ^ noise[5] ^ noise[4] ^ noise[3])};
    waiting <= pixels__valid & ~pixels__ready;
    waiting_pixel <= pixels__payload;
    if (waiting && (!pixels__valid || pixels__payload != waiting_pixel)) begin
      error_bit <= 1; error <= 77;
    end
    if (state != IDLE) begin
      if ((pixels__ready && !pixels__valid) || (results__valid && !results__ready))
        wait_cycles <= wait_cycles + 1;
      else cycles <= cycles + 1;
    end
    case (state)
      TAKE: if (pixel_moves) begin
        pixel_count <= pixel_count + 1;
        bank <= bank == @BANKS@ - 1 ? 0 : bank + 1;
        sums[image] <= sums[image] + pixels__payload;
        pixel <= last_pixel ? 0 : pixel + 1;
        if (last_pixel) begin
          image <= last_image ? 0 : image + 1;
          if (last_image) begin state <= WORK; timer <= 1; end
        end
      end
      WORK: if (timer < words[3]) timer <= timer + 1; else if (fault != 2) state <= GIVE;
      GIVE: if (results__ready) begin
        result <= result + 1;
        if (result == words[1] - 1) begin result <= 0; image <= image + 1; end
        if (last_result) state <= END;
      end
      END: if (fault != 5) begin
        state <= queued ? TAKE : IDLE;
        done <= ~queued;
        queued <= 0;
        blocks <= blocks + 1;
        count <= waiting_count;
        pixel_count <= 0; image <= 0; pixel <= 0; result <= 0; bank <= 0;
        sums[0] <= 0; sums[1] <= 0; sums[2] <= 0; sums[3] <= 0;
      end
    endcase
    if (reg_write && reg_address == @IMAGES@) images <= reg_write_data;
    if (reg_write && reg_address == @COMMAND@ && reg_write_data == 1) begin
      error_bit <= 0; error <= 0;
      if (word_count != 5 || images == 0 || images > @BLOCK@) begin
        error_bit <= 1; error <= 2;
      end else if (queued) begin
        error_bit <= 1; error <= 78;
      end else if (state != IDLE) begin
        queued <= 1; waiting_count <= images;
      end else begin
        done <= 0; count <= images; state <= TAKE;
        pixel_count <= 0; image <= 0; pixel <= 0; result <= 0; bank <= 0;
        sums[0] <= 0; sums[1] <= 0; sums[2] <= 0; sums[3] <= 0;
      end
    end
    if (rst) begin noise <= 0; reg_read_data <= 0; cycles <= 0; wait_cycles <= 0; end
    if (rst || (reg_write && reg_address == @COMMAND@ && reg_write_data == 2)) begin
      state <= IDLE; done <= 0; error_bit <= 0; error <= 0; word_count <= 0; waiting <= 0;
      queued <= 0; blocks <= 0;
    end
  end
endmodule
"""


def network(height: int = 2, width: int = 3, channels: int = 1, classes: int = 5) -> NetworkSpec:
    """A one-layer network whose shapes the mock imitates."""
    builder = NetworkBuilder("mock", image_shape=(height, width, channels), flatten=True)
    builder.fc(np.ones((classes, height * width * channels), np.int8), name="sum")
    return builder.build().network


@dataclass
class MockProgram:
    """What the driver needs of a compiled program, for the mock."""

    geometry: Geometry = GEOMETRY
    network: NetworkSpec = field(default_factory=network)
    offset: int = 7
    work_cycles: int = 20
    fault: int = 0
    """See the module's text."""
    block: int = BLOCK
    epilogue: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        height, width, channels = self.network.image_shape
        return height * width * channels

    @property
    def classes(self) -> int:
        return self.network.layers[-1].out_channels

    @property
    def config(self) -> npt.NDArray[np.uint32]:
        words = (self.pixels, self.classes, self.offset % 2**32, self.work_cycles, self.fault)
        return np.array(words, np.uint32)

    def block_cycles(self, n: int) -> int:
        return n * self.pixels + self.work_cycles + n * self.classes + 1

    def results_count(self, n: int) -> int:
        return n * self.classes

    def unpack_results(self, words: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
        return words.astype(np.int64).reshape(n, 1, 1, self.classes)

    def layer_codes(self, tap: npt.NDArray[Any], n: int) -> dict[str, npt.NDArray[np.uint8]]:
        pixels = np.zeros(n * self.pixels, np.uint8)
        for row in tap:
            assert row["bank"] == row["address"] % self.geometry.banks
            pixels[row["address"]] = row["data"]
        return {"input": pixels.reshape(n, 1, 1, self.pixels)}

    def useful_xnors(self, n: int) -> int:
        return n * self.network.layers[0].xnors

    def expected(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Accumulators (n, 1, 1, classes) that the mock gives."""
        sums = images.reshape(len(images), -1).astype(np.int64).sum(axis=1)
        values = sums[:, None] * np.arange(1, self.classes + 1) + self.offset
        return values[:, None, None, :]
