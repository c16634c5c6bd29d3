# SPDX-License-Identifier: Apache-2.0
"""Array equals golden model, bit for bit and cycle for cycle, on random networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.system.random_networks import random_networks

from xnorflow.compile.errors import CompileError
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.driver.accelerator import Accelerator
from xnorflow.golden.model import GoldenNetwork

# Streams 2..4, taps 1..3; columns that divide the word, that it divides, and neither; few
# accumulators, so that a layer is several program rows.
SMALL = "accumulator_depth=200,weight_depth=32768"
GEOMETRIES = [
    f"2x1x2x8,{SMALL}",
    "3x3x8x32",  # pixels' planes in one pass
    f"2x2x3x8,{SMALL}",
    f"4x1x12x8,{SMALL}",
    f"2x2x4x8,{SMALL},pixels=2",
    f"2x2x4x64,{SMALL},weight_bus=72",  # records of few words; planes in two groups
    f"2x3x16x8,{SMALL}",  # writes two words at once
]
MORE_GEOMETRIES = [
    f"3x3x12x8,{SMALL}",
    "2x3x4x64,activation_depth=256",
    "8x2x5x16",
    f"3x1x4x16,{SMALL},pixels=4,max_lanes=3,accumulator_width=20",
    "3x3x6x32,accumulator_depth=16,activation_depth=300,weight_depth=32768",
]

Devices = Callable[[str], Accelerator]


@pytest.fixture(scope="module")
def devices() -> Iterator[Devices]:
    opened: dict[str, Accelerator] = {}

    def get(text: str) -> Accelerator:
        if text not in opened:
            opened[text] = Accelerator.open("sim", geometry=Geometry.parse(text))
        return opened[text]

    yield get
    for device in opened.values():
        device.close()


def check(device: Accelerator, artifact: Artifact, images: np.ndarray) -> None:
    """Every code, accumulator, logit and cycle: blocks alone, then on each other's heels."""
    try:
        program = compile_network(artifact, device.geometry)
    except CompileError:
        assume(False)
    golden = GoldenNetwork(artifact)(images)
    device.load(program)
    result = device.run(images, record=True)
    assert result.codes is not None
    for name, codes in golden.codes.items():
        if name == "input":
            continue
        wrong = np.argwhere(result.codes[name] != codes)
        assert not len(wrong), f"{name}: {len(wrong)} of {codes.size} codes, first at {wrong[0]}"
    blocks = [min(program.block, len(images) - at) for at in range(0, len(images), program.block)]
    cycles = sum(program.block_cycles(n) for n in blocks)
    for found in (result, device.run(images)):
        assert (found.accumulators == golden.accumulators).all()
        assert (found.logits == golden.logits).all()
        assert found.cycles == cycles


def run_examples(device: Accelerator, count: int) -> None:
    @settings(
        max_examples=count,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(random_networks())
    def run(case: tuple[Artifact, np.ndarray]) -> None:
        check(device, *case)

    run()


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_random_networks(devices: Devices, geometry: str) -> None:
    run_examples(devices(geometry), 12)


@pytest.mark.slow
@pytest.mark.parametrize("geometry", GEOMETRIES + MORE_GEOMETRIES)
def test_many_random_networks(devices: Devices, geometry: str) -> None:
    run_examples(devices(geometry), 100)
