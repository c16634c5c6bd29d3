# SPDX-License-Identifier: Apache-2.0
"""Array equals golden model, bit for bit and cycle for cycle, on random networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.system.random_networks import random_networks

from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.driver.accelerator import Accelerator
from xnorflow.golden.model import GoldenNetwork

# Streams 2..4, taps 1..3; columns that divide the word, that it divides, and neither.
# Few accumulators: then a block's images run in several groups.
SMALL = "accumulator_depth=200,weight_depth=32768"
GEOMETRIES = [f"2x1x2x8,{SMALL}", "3x3x8x32", f"2x2x3x8,{SMALL}", f"4x1x12x8,{SMALL}"]
MORE_GEOMETRIES = [f"3x3x12x8,{SMALL}", "2x3x4x64", "8x2x5x16"]

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
    golden = GoldenNetwork(artifact)(images)
    program = compile_network(artifact, device.geometry)
    device.load(program)
    result = device.run(images, record=True)
    for name, codes in golden.codes.items():
        wrong = np.argwhere(result.codes[name] != codes)
        assert not len(wrong), f"{name}: {len(wrong)} of {codes.size} codes, first at {wrong[0]}"
    assert (result.accumulators == golden.accumulators).all()
    assert (result.logits == golden.logits).all()
    blocks = [min(program.block, len(images) - at) for at in range(0, len(images), program.block)]
    assert result.wait_cycles == 0
    assert result.cycles == sum(program.block_cycles(n) for n in blocks)


def run_examples(device: Accelerator, count: int) -> None:
    @settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(random_networks())
    def run(case: tuple[Artifact, np.ndarray]) -> None:
        check(device, *case)

    run()


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_random_networks(devices: Devices, geometry: str) -> None:
    run_examples(devices(geometry), 15)


@pytest.mark.slow
@pytest.mark.parametrize("geometry", GEOMETRIES + MORE_GEOMETRIES)
def test_many_random_networks(devices: Devices, geometry: str) -> None:
    run_examples(devices(geometry), 100)
