# SPDX-License-Identifier: Apache-2.0
"""A device in plain Python behind the driver's transport interface, and a program for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.epilogue import Affine
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec
from xnorflow.core.registers import INTERFACE_VERSION, MAGIC, REGISTERS, Command, Status
from xnorflow.core.tap import TAP_DTYPE

GEOMETRY = Geometry.parse("3x2x12x16,activation_depth=2048,pool_depth=32,scale_width=12")
PIXELS, CLASSES = 6, 3


def _network() -> NetworkSpec:
    builder = NetworkBuilder("fake", image_shape=(2, 3, 1), flatten=True)
    builder.fc(np.ones((CLASSES, PIXELS), np.int8), name="sum")
    arrays = {"scale": np.full(CLASSES, 0.5), "bias": np.arange(CLASSES)}
    return builder.build(epilogue=((Affine(), arrays),)).network


@dataclass
class FakeProgram:
    """Result j of an image is the sum of its pixels plus j."""

    geometry: Geometry = GEOMETRY
    network: NetworkSpec = field(default_factory=_network)
    block: int = 2
    config: npt.NDArray[np.uint32] = field(default_factory=lambda: np.arange(4, dtype=np.uint32))
    epilogue: dict[str, npt.NDArray[np.float32]] = field(
        default_factory=lambda: {
            "epilogue.0.scale": np.full(CLASSES, 0.5, np.float32),
            "epilogue.0.bias": np.arange(CLASSES, dtype=np.float32),
        }
    )

    def block_cycles(self, n: int) -> int:
        return 100 * n

    def results_count(self, n: int) -> int:
        return n * CLASSES

    def unpack_results(self, words: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
        return words.astype(np.int64).reshape(n, 1, 1, CLASSES)

    def layer_codes(self, tap: npt.NDArray[Any], n: int) -> dict[str, npt.NDArray[np.uint8]]:
        return {"sum": np.full((n, 1, 1, CLASSES), n, np.uint8)}

    def useful_xnors(self, n: int) -> int:
        return 1000 * n


class FakeDevice:
    """A transport whose device computes at once; it cannot record.

    It is strict about what the driver may do: one block may wait behind the one that runs, and a
    run asked for while one waits is an error. After a block's end the waiting one stays queued
    for a few more status reads. ``values["status"]`` holds further bits for the status.
    """

    name = "fake device"
    expected_build_hash: int | None = None
    QUEUED_READS = 3

    def __init__(self, geometry: Geometry = GEOMETRY) -> None:
        g = geometry
        self.values: dict[str, int] = dict.fromkeys(REGISTERS, 0)
        self.values |= {name: getattr(g, name) for name in REGISTERS if name.endswith("_depth")}
        self.values |= {
            "magic": MAGIC,
            "version": INTERFACE_VERSION,
            "build_hash": 0x1234,
            "shape": g.streams | g.taps << 8 | g.columns << 16 | g.word_width << 24,
            "widths": g.max_lanes
            | g.accumulator_width << 8
            | g.scale_width << 16
            | g.popcount_levels << 24,
            "pixels_and_bus": g.pixels | g.weight_bus << 16,
        }
        self.log: list[str] = []
        self.closed = 0
        self.stuck = False
        """An abort does not end a block."""
        self.blocks: list[int] = []
        """Images of the block that runs, and of the one that waits."""
        self.results: list[npt.NDArray[np.int32]] = []
        """What the blocks whose images came will give."""
        self.queued_reads = 0

    def status(self) -> Status:
        """The status register; a read brings the waiting block nearer."""
        status = Status(self.values["status"])
        if self.blocks:
            status |= Status.BUSY
        if len(self.blocks) > 1 or self.queued_reads:
            status |= Status.QUEUED
        self.queued_reads = max(0, self.queued_reads - 1)
        return status

    def read_register(self, index: int) -> int:
        name = next(r.name for r in REGISTERS.values() if r.index == index)
        return int(self.status()) if name == "status" else self.values[name]

    def write_register(self, index: int, value: int) -> None:
        name = next(r.name for r in REGISTERS.values() if r.index == index)
        self.log.append(f"{name}={value}")
        if name != "command":
            self.values[name] = value
        elif value == Command.ABORT and not self.stuck:
            self.values["status"] = 0
            self.blocks, self.results, self.queued_reads = [], [], 0
        elif value == Command.RUN:
            assert len(self.blocks) < 2 and not self.queued_reads, "this run would be lost"
            self.blocks.append(self.values["images"])

    def send_config(self, words: npt.NDArray[np.uint32]) -> None:
        assert not self.blocks, "configuration is taken only while no block runs"
        self.log.append(f"config {words.tolist()}")

    def exchange(
        self,
        pixels: npt.NDArray[np.uint8],
        n_results: int,
        timeout: float | None = None,
        *,
        expected_cycles: int | None = None,
    ) -> npt.NDArray[np.int32]:
        self.log.append(f"exchange {pixels.size} {n_results} {timeout} {expected_cycles}")
        if pixels.size:
            sums = pixels.reshape(-1, PIXELS).astype(np.int32).sum(axis=1)
            assert len(sums) == self.blocks[len(self.results)], "images of no block"
            self.results.append((sums[:, None] + np.arange(CLASSES, dtype=np.int32)).reshape(-1))
        if not n_results:
            return np.zeros(0, np.int32)
        words = self.results.pop(0)
        assert len(words) == n_results, "a block's results are taken whole"
        self._end(self.blocks.pop(0))
        return words

    def _end(self, images: int) -> None:
        """A block of so many images ends; its cycles go to the counters, which wrap."""
        for name, cycles in (("cycles", 90 * images), ("wait_cycles", 7)):
            self.values[name] = (self.values[name] + cycles) % 2**32
        if self.blocks:
            self.queued_reads = self.QUEUED_READS

    def close(self) -> None:
        self.closed += 1


class RecordingDevice(FakeDevice):
    """A fake that can record; a record says how many blocks it is of."""

    def __init__(self, geometry: Geometry = GEOMETRY) -> None:
        super().__init__(geometry)
        self.recording = False

    def start_recording(self) -> None:
        assert not self.blocks and not self.recording, "a record is of one block alone"
        self.log.append("record")
        self.recording = True

    def take_record(self) -> npt.NDArray[Any]:
        self.log.append("take")
        self.recording = False
        return np.zeros(0, TAP_DTYPE)
