# SPDX-License-Identifier: Apache-2.0
"""What an accelerator takes of a device, estimated: LUTs and flip-flops fitted, memories counted.

``measurements.csv`` holds what synthesis said; ``python -m xnorflow.compile.resources FILE...``
adds what ``xnorflow bench array --no-peers --json`` wrote into files.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry
from xnorflow.core.program import ROW_WORD_BITS, row_words

__all__ = ["DEVICES", "MEASUREMENTS", "Device", "Estimate", "Measured", "estimate", "measured"]

MEASUREMENTS = Path(__file__).with_name("measurements.csv")
_FIELDS = ("family", "geometry", "lut", "ff", "memory_blocks", "dsp")

# Words and bits of a lane (of one write enable), and lanes, of 18 kbit and of 4 kbit blocks.
_BLOCKS_18K = ((512, 9, 4), (1024, 9, 2), (2048, 9, 1), (4096, 4, 1), (8192, 2, 1), (16384, 1, 1))
_BLOCKS_4K = ((256, 16, 1), (512, 8, 1), (1024, 4, 1), (2048, 2, 1), (4096, 1, 1))
SMALL_BLOCKS = 3
"""Of lane scales, pooling and result words."""
ICE40_FACTOR = 1.65
"""LUTs of an iCE40 for each of an ECP5: its carry cells take no XOR (2.02 against 1.22 LUT/op)."""


@dataclass(frozen=True)
class Device:
    """What a device has.

    Parameters
    ----------
    name, family : str
        Family of the estimate: ``"ecp5"``, ``"xc7"`` or ``"ice40"``.
    lut, ff, memory_blocks, dsp : int
        ECP5: LUT4, blocks of 18 kbit; 7-series: LUT6, halves of a 36 kbit block; iCE40: 4 kbit.
    clock_mhz : float
        An assumption for any geometry; ECP5: less than 3x3x32x64 was routed for.
    """

    name: str
    family: str
    lut: int
    ff: int
    memory_blocks: int
    dsp: int
    clock_mhz: float


DEVICES = {
    device.name: device
    for device in (
        Device("ecp5-85f", "ecp5", 83640, 83640, 208, 156, 100),
        Device("ecp5-45f", "ecp5", 43848, 43848, 108, 72, 100),
        Device("ecp5-25f", "ecp5", 24288, 24288, 56, 28, 100),
        Device("up5k", "ice40", 5280, 5280, 30, 8, 40),
        Device("xc7a35t", "xc7", 20800, 41600, 100, 90, 200),
        Device("xc7a100t", "xc7", 63400, 126800, 270, 240, 200),
        Device("xc7z020", "xc7", 53200, 106400, 280, 220, 200),
    )
}


@dataclass(frozen=True)
class Estimate:
    """What an accelerator takes; names and units as in :class:`Device`."""

    lut: int
    ff: int
    memory_blocks: int
    dsp: int

    def shares(self, device: Device) -> dict[str, float]:
        """Share of each of the device's resources."""
        return {
            name: getattr(self, field) / getattr(device, field)
            for name, field in (
                ("LUT", "lut"), ("FF", "ff"), ("block RAM", "memory_blocks"), ("DSP", "dsp"),
            )
        }  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A geometry's synthesis."""

    family: str
    geometry: Geometry
    lut: int
    ff: int
    memory_blocks: int
    dsp: int


@lru_cache(maxsize=1)
def measured() -> tuple[Measured, ...]:
    """Every synthesis that the model is fitted to."""
    with MEASUREMENTS.open(newline="") as file:
        return tuple(
            Measured(
                row["family"], Geometry.parse(row["geometry"]),
                *(int(row[name]) for name in _FIELDS[2:]),
            )
            for row in csv.DictReader(file)
        )  # fmt: skip


def _features(geometry: Geometry) -> dict[str, list[float]]:
    """Sizes to which the units' LUTs and flip-flops are proportional."""
    word, rows, columns = geometry.word_width, geometry.rows, geometry.columns
    results = columns * geometry.pixels
    sums = sum(geometry.sum_width(row) for row in range(rows))
    foot = results * geometry.accumulator_width * (1 + geometry.max_lanes / 2)
    fetched = geometry.pixels * rows * word
    return {
        # elements; feet; fetched words and what goes with them; control
        "lut": [1.4 * word * rows * results + sums * results, foot, fetched, 1.0],
        # counts and sums; feet; fetched words; control
        "ff": [word * rows * results + sums * results, foot, fetched, 1.0],
    }


def _known(geometry: Geometry) -> dict[str, int]:
    """What needs no fit: resting weights, the rows' skew, the words and masks of each hop.

    And counts of the levels between those of ``popcount_levels=2``, to which the fit is made.
    """
    word, rows = geometry.word_width, geometry.rows
    fetched = geometry.pixels * word + 2
    skew = fetched * rows * (rows - 1) // 2
    hops = fetched * rows * (geometry.hops - 1)
    counts = 0
    if geometry.popcount_levels == 1:
        between = range(word.bit_length() - 3, 0, -2)
        bits = sum((word >> level + 1) * (level + 1) for level in between)
        counts = bits * rows * geometry.columns * geometry.pixels
    return {"lut": 0, "ff": word * rows * geometry.columns + skew + hops + counts}


def _fit(
    rows: npt.NDArray[np.float64], known: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> list[float]:
    """Coefficients >= 0 with the least squared relative error of ``known + rows @ them``."""
    scaled, target = rows / values[:, None], 1 - known / values
    active = list(range(rows.shape[1]))
    while True:
        found = np.linalg.lstsq(scaled[:, active], target, rcond=None)[0]
        if (found >= 0).all():
            break
        active.pop(int(found.argmin()))
    result = np.zeros(rows.shape[1])
    result[active] = found
    return [float(value) for value in result]


@lru_cache(maxsize=8)
def _coefficients(family: str, what: str) -> list[float]:
    chosen = [each for each in measured() if each.family == family]
    rows = np.array([_features(each.geometry)[what] for each in chosen])
    known = np.array([_known(each.geometry)[what] for each in chosen], float)
    return _fit(rows, known, np.array([getattr(each, what) for each in chosen], float))


def _memory(width: int, depth: int, granule: int, small: bool) -> int:
    """Blocks of one memory; deeper ones than a block are put together from several."""
    shapes = _BLOCKS_4K if small else _BLOCKS_18K
    words, lane, lanes = next((s for s in shapes if depth <= s[0]), shapes[-1])
    cut = width // granule * -(-granule // lane)
    return -(-cut // lanes) * -(-depth // words)


def memory_blocks(geometry: Geometry, family: str) -> int:
    """Block RAMs of all memories.

    An activation bank has a write enable for each granule; a column's bank holds words of
    ``rows * weight_beat`` bits; the accumulators of a hop's columns share one memory.
    """
    small = family == "ice40"
    word, beat = geometry.word_width, geometry.rows * geometry.weight_beat
    sums = geometry.accumulator_width * geometry.columns_per_hop * geometry.pixels
    program = row_words(geometry) * geometry.layer_depth
    banks = geometry.banks * geometry.pixels
    return (
        banks * _memory(word, geometry.activation_depth, geometry.granule, small)
        + geometry.columns * _memory(beat, geometry.weight_depth, beat, small)
        + geometry.hops * _memory(sums, geometry.accumulator_depth, sums, small)
        + _memory(ROW_WORD_BITS, program, ROW_WORD_BITS, small)
        + SMALL_BLOCKS
    )


def estimate(geometry: Geometry, family: str) -> Estimate:
    """What an accelerator takes of a device of this family."""
    source = "ecp5" if family == "ice40" else family
    factor = ICE40_FACTOR if family == "ice40" else 1.0
    features, known = _features(geometry), _known(geometry)
    lut, ff = (
        known[what] + float(np.dot(_coefficients(source, what), features[what]))
        for what in ("lut", "ff")
    )
    products = geometry.columns * geometry.pixels if geometry.scale_width > 1 else 0
    return Estimate(round(lut * factor), round(ff), memory_blocks(geometry, family), products + 4)


def main(files: list[str]) -> None:
    """Add the measurements in these files of JSON; a geometry's later one replaces it."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    if MEASUREMENTS.exists():
        with MEASUREMENTS.open(newline="") as file:
            rows = {(row["family"], row["geometry"]): dict(row) for row in csv.DictReader(file)}
    for name in files:
        for each in json.loads(Path(name).read_text()):
            if each.get("part") == "accelerator":
                rows[each["family"], each["geometry"]] = {key: each[key] for key in _FIELDS}
    with MEASUREMENTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
