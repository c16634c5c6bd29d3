# SPDX-License-Identifier: Apache-2.0
"""A network that is in the memories from the start, against the golden model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from tests.netlist.runs import GEOMETRY as GENERAL
from tests.netlist.runs import network as convolutions

from xnorflow.compile.program import Program, compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.contents import Contents
from xnorflow.core.geometry import Geometry
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.compare import compare
from xnorflow.flat.accelerator import FlatAccelerator
from xnorflow.flat.choose import make_accelerator
from xnorflow.gateware.verilog import convert
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.design import SimulatedDesign
from xnorflow.simulation.model import SimulationModel, build_design
from xnorflow.simulation.transport import SimulatedTransport
from xnorflow.zoo.catalog import sample

FLAT = Geometry.parse(
    "2x1x4x64,weight_bus=16,weight_depth=1024,activation_depth=64,accumulator_depth=8,max_lanes=1,"
    "accumulator_width=12,scale_width=1,layer_depth=8,scale_depth=8,pool_depth=2,mlp,unit_last=0..7"
)


def fully_connected(seed: int) -> Artifact:
    """MNIST images through random layers."""
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder("baked", image_shape=(28, 28, 1), pixel_lanes=1, flatten=True)
    weights = rng.choice([-1, 1], (37, 784))
    black = -weights.sum(axis=1, keepdims=True)  # what a black image gives
    builder.fc(weights, thresholds=black + rng.integers(-30, 30, (37, 1)))
    return builder.fc(rng.choice([-1, 1], (10, 37))).build()


@dataclass(frozen=True)
class Case:
    """A simulation, what is baked into it, and another network for the same geometry."""

    model: SimulationModel
    baked: Artifact
    other: Artifact
    program: Program


@pytest.fixture(scope="module", params=["flat", "general"])
def case(request: pytest.FixtureRequest) -> Case:
    flat = request.param == "flat"
    geometry, make = (FLAT, fully_connected) if flat else (GENERAL, convolutions)
    baked = make(3)
    program = compile_network(baked, geometry)
    top = make_accelerator(geometry, contents=Contents.of(geometry, program.config))
    assert isinstance(top, FlatAccelerator) is flat
    model = build_design(SimulatedDesign(geometry, convert(top, "xnorflow"), 0), optimise=False)
    return Case(model, baked, make(4), program)


@pytest.fixture
def device(case: Case) -> Iterator[Accelerator]:
    with Accelerator(SimulatedTransport(case.model), geometry=case.program.geometry) as device:
        yield device


def check(device: Accelerator, artifact: Artifact, count: int) -> None:
    """Every layer's codes and the accumulators of the first images."""
    images = sample("mnist")[0][:count]
    golden = GoldenNetwork(artifact)(images)
    assert len(np.unique(golden.logits, axis=0)) > 1  # images that differ
    found = compare(device.run(images, record=True), golden, artifact.network)
    assert found.identical, str(found)


def test_nothing_is_configured(
    device: Accelerator, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a reset in the middle of a block, and after an abort."""

    def refuse(self: SimulatedTransport, words: object) -> None:
        raise AssertionError("a configuration word was sent")

    monkeypatch.setattr(SimulatedTransport, "send_config", refuse)
    device.adopt(case.program)
    check(device, case.baked, 5)
    device.registers.write("images", 2)
    device.registers.write("command", 1)
    device.transport.device.exchange(pixels=np.zeros(900, np.uint8), n_results=0, max_cycles=5000)
    device.transport.device.reset()
    check(device, case.baked, 4)
    device.abort()
    device.adopt(case.program)
    check(device, case.baked, 4)


def test_another_network_is_loaded_over_it(device: Accelerator, case: Case) -> None:
    """A reset leaves what was loaded; the baked one can be loaded again."""
    device.load(case.other)
    check(device, case.other, 4)
    device.transport.device.reset()
    check(device, case.other, 4)
    device.load(case.baked)
    check(device, case.baked, 4)


def test_a_reset_in_the_middle_of_loading_leaves_nothing_to_run(
    device: Accelerator, case: Case
) -> None:
    words = compile_network(case.other, case.program.geometry).config
    device.transport.send_config(words[: len(words) // 2])
    device.transport.device.reset()
    device.registers.write("images", 1)
    device.registers.write("command", 1)
    for _ in range(20):
        device.registers.status()
    assert device.registers.read("error") == 2  # NO_PROGRAM


def test_contents_of_another_geometry(case: Case) -> None:
    contents = Contents.of(case.program.geometry, case.program.config)
    other = Geometry.parse(str(case.program.geometry).replace("layer_depth=", "layer_depth=1"))
    with pytest.raises(ValueError, match="compiled for"):
        make_accelerator(other, contents=contents)
