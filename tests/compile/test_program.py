# SPDX-License-Identifier: Apache-2.0
"""Programs: fit, errors that name the way out, layouts, reports."""

from __future__ import annotations

import re

import numpy as np
import pytest

from xnorflow.compile.layout import MapLayout
from xnorflow.compile.program import CompileError, compile_network
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.tap import TAP_DTYPE

SMALL = "2x2x4x8"


def network(size: int = 8, channels: int = 12, lanes: int = 1, pool: int = 1, scale: int = 1):
    rng = np.random.default_rng(3)
    builder = NetworkBuilder("net", image_shape=(size, size, 1), pixel_lanes=4)
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


@pytest.mark.parametrize(
    ("option", "artifact", "message"),
    [
        ("activation_depth=16", network(), r"needs 192 words in each bank, there are 16"),
        ("weight_depth=16", network(), r"weight words a column, there are 16"),
        ("accumulator_depth=32", network(), r"layer 'first' .* 64 accumulators .* 32 \(32 too"),
        ("threshold_depth=2", network(), r"needs 3 tiles of thresholds, there are 2"),
        ("pool_depth=2", network(pool=2), r"needs 4 pooling windows a row, there are 2"),
        ("max_lanes=1", network(lanes=2), r"layer 'first' .* needs 2 lanes in its codes"),
        ("accumulator_width=12", network(scale=99), r"layer 'second' .* bits in its accumul"),
        ("scale_width=8", network(scale=300), r"layer 'second' .* 9 bits in lane scales"),
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
    geometry = Geometry.parse(f"{SMALL},accumulator_depth=2048")
    with pytest.raises(CompileError, match=r"layer 'long' .* column_last is 1024; it has 10 bits"):
        compile_network(builder.build(), geometry)


def test_block_is_the_largest_that_fits():
    artifact = network()
    geometry = Geometry.parse(SMALL)
    program = compile_network(artifact, geometry)
    used, there = program.usage["activation_depth"]
    assert used <= there < used * (program.block + 1) / program.block
    assert compile_network(artifact, geometry, max_block=3).block == 3
    with pytest.raises(ValueError, match="max_block must be at least 1"):
        compile_network(artifact, geometry, max_block=0)


def test_reports_add_up():
    program = compile_network(network(), Geometry.parse(SMALL))
    first, second = program.layers
    assert (first.name, first.tiles, first.passes) == ("first", 3, 4)
    assert (second.name, second.tiles) == ("second", 1)
    total = program.block_cycles(program.block)
    assert first.cycles + second.cycles < total
    assert all(0 < layer.utilisation < 1 for layer in program.layers)
    useful = program.useful_xnors(1)
    # 8 x 8 outputs, of which a 3x3 kernel with a zero border covers (3 * 8 - 2)^2 real positions.
    assert useful == 22 * 22 * 12 * 4 + 8 * 8 * 12 * 3


def test_results_are_put_in_order():
    program = compile_network(network(), Geometry.parse(SMALL))
    words = np.arange(program.results_count(5), dtype=np.int32)
    assert program.unpack_results(words, 5).tolist() == words.reshape(5, 1, 1, 3).tolist()
    with pytest.raises(ValueError, match="5 images give 15 result words, not 14"):
        program.unpack_results(words[:-1], 5)


@pytest.mark.parametrize("shape", [(5, 4, 19), (1, 1, 40)])
@pytest.mark.parametrize("geometry", ["2x1x4x8", "3x3x12x8"])
def test_layout_reads_back_what_was_written(shape, geometry):
    """Write a map bit by bit where the docstring says, in granules, and decode it."""
    g = Geometry.parse(geometry)
    layout = MapLayout(g, shape, 3, block=4, base=17)
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 8, (4, *shape), dtype=np.uint8)
    memory: dict[tuple[int, int], int] = {}
    for n, y, x, c in np.ndindex(codes.shape):
        word, bit = divmod(c, g.word_width)
        for lane in range(3):
            line = y // g.streams * layout.line_stride
            address = 17 + n * layout.image_stride + line + x
            address += word * layout.word_stride + lane * layout.lane_stride
            key = ((y + word + lane) % g.streams, address)
            value = int(codes[n, y, x, c]) >> (2 - lane) & 1
            memory[key] = memory.get(key, 0) | value << bit
    assert max(address for _, address in memory) < 17 + layout.size
    everything = (1 << g.word_width // g.granule) - 1
    # Stale bits first, granule by granule: what is written later must win.
    rows = [(1, bank, everything, address, 2**g.word_width - 1) for bank, address in memory]
    for (bank, address), data in memory.items():
        rows += [(1, bank, 1 << part, address, data) for part in range(g.word_width // g.granule)]
    tap = np.array(rows, TAP_DTYPE)
    assert (layout.codes(tap, 4) == codes).all()
