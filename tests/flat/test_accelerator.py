# SPDX-License-Identifier: Apache-2.0
"""The flat accelerator behind the driver: every layer's codes and the results are golden's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from amaranth import Module
from tests.gateware.helpers import join_array_clock

from xnorflow.compile.errors import CompileError
from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import Command, Status
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.compare import compare
from xnorflow.driver.errors import DeviceFault, DeviceMismatch
from xnorflow.flat.accelerator import FlatAccelerator
from xnorflow.gateware.verilog import convert
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.design import SimulatedDesign
from xnorflow.simulation.device import Stalls
from xnorflow.simulation.model import SimulationModel, build_design
from xnorflow.simulation.transport import SimulatedTransport

SIZES = (
    "weight_bus=16,weight_depth=1024,activation_depth=64,accumulator_depth=8,max_lanes=1,"
    "accumulator_width=12,scale_width=1,layer_depth=8,scale_depth=8,pool_depth=2,mlp,unit_last=0..7"
)
GEOMETRY = Geometry.parse(f"2x1x4x64,{SIZES}")
FOUR_ROWS = Geometry.parse(f"4x1x2x32,{SIZES}")


class TwoDomains(FlatAccelerator):
    """With the crossings between two clocks, both of which are the same here."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry, array_domain="array")

    def elaborate(self, platform: object) -> Module:
        return join_array_clock(super().elaborate(platform))


def network(channels: int, *sizes: int, seed: int = 3) -> Artifact:
    """Fully connected layers of one lane."""
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder("flat", image_shape=(1, 1, channels), pixel_lanes=1)
    before = channels
    for index, size in enumerate(sizes):
        weights = rng.choice([-1, 1], (size, before))
        if index + 1 < len(sizes):
            builder.fc(weights, thresholds=rng.integers(-9, 9, (size, 1)))
        else:
            builder.fc(weights)
        before = size
    return builder.build()


@pytest.fixture(scope="module", params=[FlatAccelerator, TwoDomains])
def model(request: pytest.FixtureRequest) -> SimulationModel:
    verilog = convert(request.param(GEOMETRY), "xnorflow")
    return build_design(SimulatedDesign(GEOMETRY, verilog, 0))


@pytest.fixture
def device(model: SimulationModel) -> Iterator[Accelerator]:
    with Accelerator(SimulatedTransport(model), geometry=GEOMETRY) as device:
        yield device


def check(device: Accelerator, artifact: Artifact, count: int, *, max_block: int = 8) -> None:
    device.load(compile_network(artifact, device.geometry, max_block=max_block))
    shape = (count, *artifact.network.image_shape)
    images = np.random.default_rng(count).integers(0, 256, shape, np.uint8)
    result = device.run(images, record=True)
    found = compare(result, GoldenNetwork(artifact)(images), artifact.network)
    assert found.identical, str(found)
    block = device.program.block
    sizes = [min(block, count - at) for at in range(0, count, block)]
    assert result.cycles == sum(device.program.block_cycles(size) for size in sizes)


@pytest.mark.parametrize(
    ("channels", "sizes", "count", "max_block"),
    [
        (150, (70, 19, 5), 11, 8),  # words, tiles and blocks that are not full
        (128, (64, 4), 8, 8),  # all full
        (1, (1, 1), 3, 1),  # one of each
        (65, (6,), 5, 3),  # nothing but the layer that is read out
    ],
)
def test_it_equals_the_golden_model(
    device: Accelerator, channels: int, sizes: tuple[int, ...], count: int, max_block: int
) -> None:
    check(device, network(channels, *sizes), count, max_block=max_block)


def test_four_rows() -> None:
    """Narrower words, and an odd number of them for the rows."""
    verilog = convert(FlatAccelerator(FOUR_ROWS), "xnorflow")
    model = build_design(SimulatedDesign(FOUR_ROWS, verilog, 0))
    with Accelerator(SimulatedTransport(model), geometry=FOUR_ROWS) as device:
        check(device, network(150, 70, 19, 5), 11)


def test_stalls_on_both_sides(model: SimulationModel) -> None:
    stalls = Stalls(seed=1, pixels=0.5, results=0.5, config=0.5)
    transport = SimulatedTransport(model, stalls=stalls)
    with Accelerator(transport, geometry=GEOMETRY) as device:
        check(device, network(70, 30, 7), 5)


def test_an_abort_leaves_the_program(device: Accelerator) -> None:
    """In the middle of the input and in the middle of the compute."""
    artifact = network(100, 40, 6)
    device.load(compile_network(artifact, GEOMETRY, max_block=4))
    port, registers = device.transport.device, device.registers
    image = np.zeros(4 * 100, np.uint8)
    for sent in (37, 400):
        registers.write("images", 4)
        registers.command(Command.RUN)
        port.exchange(pixels=image[:sent], n_results=0, max_cycles=2000)
        registers.command(Command.ABORT)
        for _ in range(60):
            status = registers.status()
        assert status == Status(0)
    check(device, artifact, 9, max_block=4)


def test_a_run_without_a_program_is_refused(model: SimulationModel) -> None:
    with Accelerator(SimulatedTransport(model), geometry=GEOMETRY) as device:
        device.registers.write("images", 1)
        device.registers.command(Command.RUN)
        for _ in range(20):
            status = device.registers.status()
        assert Status.ERROR in status
        with pytest.raises(DeviceFault, match="NO_PROGRAM"):
            device.registers.check("running")


def test_other_networks_are_refused_by_the_compiler() -> None:
    rng = np.random.default_rng(1)
    builder = NetworkBuilder("conv", image_shape=(5, 5, 2), pixel_lanes=1)
    builder.conv(rng.choice([-1, 1], (4, 3, 3, 2)), thresholds=rng.integers(-4, 4, (4, 1)))
    builder.fc(rng.choice([-1, 1], (3, 3 * 3 * 4)))
    with pytest.raises(CompileError, match="this array is made for"):
        compile_network(builder.build(), GEOMETRY)


def test_a_program_of_other_limits_is_refused_by_the_driver(device: Accelerator) -> None:
    other = Geometry.parse(str(GEOMETRY) + ",word_last=0..3")
    with pytest.raises(DeviceMismatch, match="manifest"):
        device.load(compile_network(network(70, 5), other))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"2x1x4x64,{SIZES}".replace(",mlp", ""), "fully connected"),
        (f"2x2x4x64,{SIZES}", "taps"),
        (f"2x1x4x64,{SIZES}".replace("unit_last=0..7", "unit_last=0..8"), "unit_last"),
        (f"2x1x4x64,{SIZES}".replace("max_lanes=1", "max_lanes=2"), "max_lanes"),
        (f"2x1x4x64,{SIZES}".replace("weight_bus=16", "weight_bus=64"), "weight_bus"),
    ],
)
def test_geometries_that_it_cannot_have(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        FlatAccelerator(Geometry.parse(text))
