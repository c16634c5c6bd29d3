# SPDX-License-Identifier: Apache-2.0
"""Programs: fit, errors that name the way out, layouts, reports."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.gateware.maps import MapModel

from xnorflow.compile.cycles import LOSSES
from xnorflow.compile.layout import MapLayout
from xnorflow.compile.program import CompileError, compile_network
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.tap import TAP_DTYPE

SMALL = "2x2x4x8"


def network(
    size: int = 8,
    channels: int = 12,
    lanes: int = 1,
    pool: int = 1,
    scale: int = 1,
    pixel_lanes: int = 4,
):
    rng = np.random.default_rng(3)
    builder = NetworkBuilder("net", image_shape=(size, size, 1), pixel_lanes=pixel_lanes)
    builder.conv(
        rng.choice([-1, 1], (channels, 3, 3, 1)),
        thresholds=np.zeros((channels, (1 << lanes) - 1), int),
        padding=(1, 1),
        pool=pool,
        out_scales=tuple(scale for _ in range(lanes)),
        name="first",
    )
    inputs = int(np.prod(builder.shape))
    builder.fc(rng.choice([-1, 1], (3, inputs)), name="second")
    return builder.build()


def deep(layers: int = 3):
    builder = NetworkBuilder("deep", image_shape=(4, 4, 1), pixel_lanes=4)
    for _ in range(layers):
        builder.conv(np.ones((4, 1, 1, builder.shape[2])), thresholds=np.zeros((4, 1), int))
    return builder.fc(np.ones((1, 64))).build()


@pytest.mark.parametrize(
    ("option", "artifact", "message"),
    [
        (
            "activation_depth=16",
            network(),
            r"needs 96 words in each bank, there are 16 \(80 too few",
        ),
        ("weight_depth=16", network(), r"weight words a column, there are 16"),
        ("accumulator_depth=4", network(17), r"layer 'first' .* 17 accumulators .* 4 \(13 too"),
        ("pool_depth=2", network(pool=2), r"needs 4 pooling windows a line, there are 2"),
        ("max_lanes=1", network(lanes=2), r"layer 'first' .* needs 2 lanes in its codes"),
        ("accumulator_width=12", network(scale=99), r"layer 'second' .* bits in its accumul"),
        ("scale_width=8", network(scale=300), r"layer 'second' .* 9 bits in lane scales"),
        ("layer_depth=2", deep(), r"needs 4 program rows, there are 2"),
        ("scale_depth=8", network(pixel_lanes=8), r"needs 9 lane scales, there are 8"),
    ],
)
def test_what_does_not_fit_names_a_geometry_that_does(option, artifact, message):
    with pytest.raises(CompileError, match=message) as caught:
        compile_network(artifact, Geometry.parse(f"{SMALL},{option}"))
    better = re.search(r"use --geometry (\S+)$", str(caught.value))
    assert better, str(caught.value)
    compile_network(artifact, Geometry.parse(better[1]))


def test_no_way_out_is_said_too():
    artifact = network(scale=2**20)
    with pytest.raises(CompileError, match=r"layer 'second' .* make the layer smaller"):
        compile_network(artifact, Geometry.parse(f"{SMALL},accumulator_width=32"))


def test_too_wide_a_map_is_named():
    builder = NetworkBuilder("wide", image_shape=(1, 1025, 1), pixel_lanes=1)
    builder.conv(np.ones((1, 1, 1, 1)), thresholds=np.zeros((1, 1), int), name="long")
    builder.fc(np.ones((1, 1025)))
    geometry = Geometry.parse(f"{SMALL},accumulator_depth=2048,activation_depth=4096")
    with pytest.raises(CompileError, match=r"layer 'long' .* is 1024; it has 10 bits"):
        compile_network(builder.build(), geometry)


def test_memories_bound_the_block_and_options_too():
    artifact = network()
    small, large = (
        compile_network(artifact, Geometry.parse(f"{SMALL},activation_depth={depth}"))
        for depth in (256, 4096)
    )
    for program in (small, large):
        used, there = program.usage["activation_depth"]
        assert used <= there
    assert small.block < large.block
    assert compile_network(artifact, Geometry.parse(SMALL), max_block=3).block == 3
    with pytest.raises(ValueError, match="max_block must be at least 1"):
        compile_network(artifact, Geometry.parse(SMALL), max_block=0)


def test_images_side_by_side_are_counted_in_units():
    program = compile_network(network(), Geometry.parse(f"{SMALL},pixels=2"), max_block=6)
    assert program.block == 6
    assert [program.units(n) for n in (1, 2, 3, 6)] == [1, 1, 2, 3]
    assert program.block_cycles(5) == program.block_cycles(6) > program.block_cycles(4)
    assert program.results_count(5) == 6 * 3
    words = np.arange(18, dtype=np.int32)
    # A unit's images leave one after another, position by position.
    assert program.unpack_results(words, 5).reshape(-1).tolist() == list(range(15))


@pytest.mark.parametrize("geometry", [SMALL, f"{SMALL},pixels=2", "3x3x4x32", "3x1x2x64"])
def test_reports_add_up(geometry):
    program = compile_network(network(pixel_lanes=8), Geometry.parse(geometry))
    first, second = program.layers
    assert (first.name, second.name) == ("first", "second")
    assert first.tiles == -(-12 // program.geometry.columns)
    total = program.block_cycles(program.block)
    assert first.cycles + second.cycles == total
    for report, spec in zip(program.layers, program.network.layers, strict=True):
        assert 0 < report.utilisation < 1
        assert set(report.lost) == set(LOSSES)
        assert all(lost >= -1e-6 for lost in report.lost.values()), report.lost
        useful = report.utilisation * report.cycles
        assert useful + sum(report.lost.values()) == pytest.approx(report.cycles)
        xnors = program.block * spec.xnors / program.geometry.xnors_per_cycle
        assert useful == pytest.approx(xnors)
    # 8 x 8 outputs, of which a 3x3 kernel with a zero border covers (3 * 8 - 2)^2 real positions.
    assert program.useful_xnors(1) == 22 * 22 * 12 * 8 + 8 * 8 * 12 * 3


def test_results_are_put_in_order():
    program = compile_network(network(), Geometry.parse(SMALL))
    words = np.arange(program.results_count(5), dtype=np.int32)
    assert program.unpack_results(words, 5).tolist() == words.reshape(5, 1, 1, 3).tolist()
    with pytest.raises(ValueError, match="5 images give 15 result words, not 14"):
        program.unpack_results(words[:-1], 5)


def test_results_of_lines_and_tiles_are_put_in_order():
    """Program row by row; in each: tile, unit, line, position, image, channel."""
    builder = NetworkBuilder("raw", image_shape=(5, 3, 1), pixel_lanes=2)
    artifact = builder.conv(np.ones((6, 1, 1, 1)), name="only").build()
    geometry = Geometry.parse(f"{SMALL},pixels=2,accumulator_depth=7")  # two lines of three
    program = compile_network(artifact, geometry)
    images = program.block - 1  # the last unit lacks one
    words = []
    assert len(program.schedule.rows) > 1
    for row in program.schedule.rows:
        for tile in (range(0, 4), range(4, 6)):
            for unit in range(row.first, row.first + row.count):
                for y, x in np.ndindex(row.lines, 3):
                    for image in (2 * unit, 2 * unit + 1):
                        at = ((image * 5 + row.line + y) * 3 + x) * 6
                        words += [at + c for c in tile]
    found = program.unpack_results(np.array(words, np.int32), images)
    assert found.tolist() == np.arange(images * 90).reshape(images, 5, 3, 6).tolist()


@pytest.mark.parametrize(
    ("shape", "flat"), [((5, 4, 19), False), ((1, 1, 40), True), ((1, 1, 40), False)]
)
@pytest.mark.parametrize("geometry", ["2x1x4x8", "3x3x12x8", "2x3x5x8,pixels=2"])
def test_layout_reads_back_what_was_written(shape, flat, geometry):
    """Write a map bit by bit where the tests' own model says, in granules, and decode it."""
    g = Geometry.parse(geometry)
    layout = MapLayout(g, shape, 3, units=4, flat=flat, base=17)
    model = MapModel(g, shape, 3, units=4, base=17, flat=flat)
    assert (layout.size, layout.image_stride) == (model.size, model.image_stride)
    rng = np.random.default_rng(1)
    images = 4 * g.pixels - 1
    codes = rng.integers(0, 8, (images, *shape), dtype=np.uint8)
    memory = model.words_of(codes)
    assert max(address for _, _, address in memory) < 17 + layout.size
    parts = range(g.word_width // g.granule)
    everything = (1 << len(parts)) - 1
    # Stale bits first, granule by granule: what is written later must win.
    ones = (1 << g.word_width) - 1
    writes = [(place, everything, ones) for place in memory]
    writes += [(place, 1 << part, data) for place, data in memory.items() for part in parts]
    tap = np.zeros(len(writes), TAP_DTYPE)
    for entry, ((pixel, bank, address), enable, data) in zip(tap, writes, strict=True):
        entry["pixel"], entry["bank"], entry["address"] = pixel, bank, address
        entry["enable"], entry["data"] = enable, data
    assert (layout.codes(tap, images) == codes).all()
