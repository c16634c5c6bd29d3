# SPDX-License-Identifier: Apache-2.0
"""The driver on the simulated accelerator itself: stalls, aborts, bad packets."""

from collections.abc import Iterator

import numpy as np
import pytest

from xnorflow.compile.program import compile_network
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import Command, DeviceError, Status
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.compare import compare
from xnorflow.driver.errors import DeviceFault, DeviceTimeout
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.device import Stalls

# As in tests/system, so that one build serves both.
GEOMETRY = Geometry.parse("2x1x2x8,accumulator_depth=200,weight_depth=32768")


@pytest.fixture(scope="module")
def artifact():
    """Two lanes, zero padding, pooling, channels that fill neither tile nor word."""
    rng = np.random.default_rng(5)
    builder = NetworkBuilder("small", image_shape=(6, 5, 2), pixel_lanes=3)
    builder.conv(
        rng.choice([-1, 1], (11, 3, 3, 2)),
        thresholds=np.sort(rng.integers(-40, 40, (11, 3)), axis=1),
        padding=(1, 1),
        pool=2,
    )
    builder.fc(rng.choice([-1, 1], (5, 3 * 2 * 11)))
    return builder.build()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(6).integers(0, 256, (7, 6, 5, 2), np.uint8)


@pytest.fixture
def device(artifact) -> Iterator[Accelerator]:
    with Accelerator.open("sim", geometry=GEOMETRY) as device:
        device.load(compile_network(artifact, GEOMETRY, max_block=3))
        yield device


def check(device, artifact, images):
    result = device.run(images, record=True)
    comparison = compare(result, GoldenNetwork(artifact)(images), artifact.network)
    assert str(comparison) == f"identical to the golden model: {len(images)} images, 2 layers"
    sizes = [min(3, len(images) - at) for at in range(0, len(images), 3)]
    assert result.cycles == sum(device.program.block_cycles(size) for size in sizes)
    return result


def test_it_equals_the_golden_model(device, artifact, images):
    check(device, artifact, images)


def test_images_arrive_while_the_block_before_computes(device, artifact, images):
    """Only the first block waits for all of its images; alone, each of the three does."""
    alone = device.run(images, record=True)
    together = device.run(images)
    assert together.accumulators.tolist() == alone.accumulators.tolist()
    assert together.cycles == alone.cycles
    assert together.wait_cycles < alone.wait_cycles / 2


def test_a_run_is_queued_behind_the_one_before(device, artifact, images):
    """RUN twice, both blocks' images, then both blocks' results; a third RUN is ignored."""
    registers, port = device.registers, device.transport.device
    blocks = [images[:3], images[3:5]]
    for block in blocks:
        while Status.QUEUED in registers.status():
            pass
        registers.write("images", len(block))
        registers.command(Command.RUN)
    assert registers.status() == Status.BUSY | Status.QUEUED
    registers.write("images", 1)
    registers.command(Command.RUN)
    before = registers.read("blocks")
    golden = GoldenNetwork(artifact)(images).accumulators
    pixels = np.concatenate([block.reshape(-1) for block in blocks])
    at = 0
    for index, block in enumerate(blocks):
        count = device.program.results_count(len(block))
        moved = port.exchange(pixels=pixels, n_results=count, max_cycles=100_000)
        assert moved.complete
        pixels = pixels[:0]
        found = device.program.unpack_results(moved.results, len(block))
        assert found.tolist() == golden[at : at + len(block)].tolist(), index
        at += len(block)
    for _ in range(100):
        status = registers.status()
    assert status == Status.DONE
    assert registers.read("blocks") == before + 2


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rates", [(0.3, 0.7, 0), (0.3, 0, 0.7), (0.6, 0.6, 0.6)])
def test_stalls_change_no_bit_and_count_as_waiting(artifact, images, seed, rates):
    with Accelerator.open("sim", geometry=GEOMETRY, stalls=Stalls(seed, *rates)) as device:
        device.load(compile_network(artifact, GEOMETRY, max_block=3))
        assert check(device, artifact, images).wait_cycles > 0


@pytest.mark.parametrize("pixels", [0, 1, 100, 180])
def test_an_abort_at_any_point_leaves_a_working_device(device, artifact, images, pixels):
    block = images[:3]
    device.registers.write("images", len(block))
    device.registers.command(Command.RUN)
    device.transport.device.exchange(pixels=block.reshape(-1)[:pixels], max_cycles=pixels + 50)
    assert Status.BUSY in device.registers.status()
    device.abort()
    check(device, artifact, images)


def test_a_timed_out_run_leaves_a_working_device(device, artifact, images, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("xnorflow.simulation.transport.PATIENCE", 0.5)
        patch.setattr("xnorflow.simulation.transport.MARGIN_CYCLES", 0)
        with pytest.raises(DeviceTimeout, match="status: busy"):
            device.run(images)
    check(device, artifact, images)


def test_a_bad_packet_is_reported_and_forgiven(device, artifact, images):
    device.transport.send_config(np.array([0xF0000001, 0, 0], np.uint32))
    with pytest.raises(DeviceFault) as caught:
        device.registers.check("sending nonsense")
    assert caught.value.error is DeviceError.BAD_PACKET
    device.abort()
    check(device, artifact, images)


def test_too_many_images_are_refused(device, artifact, images):
    device.registers.write("images", 4)
    device.registers.command(Command.RUN)
    with pytest.raises(DeviceFault) as caught:
        device.registers.check("starting")
    assert caught.value.error is DeviceError.NO_PROGRAM
    check(device, artifact, images)


def test_nothing_surplus_follows_a_block(device, images):
    """A hundred cycles with room for results after the last word: none comes."""
    device.infer(images)
    moved = device.transport.device.exchange(n_results=1, max_cycles=100)
    assert (moved.results.size, moved.cycles) == (0, 100)


@pytest.mark.slow
def test_a_trace_shows_the_accelerator(artifact, images, tmp_path):
    path = tmp_path / "wave.vcd"
    with Accelerator.open("sim", geometry=GEOMETRY, trace=path) as device:
        device.load(artifact)
        device.infer(images[:1])
    header = path.read_text().partition("$enddefinitions")[0]
    assert "$scope module simulation" in header
    assert " sequencer $end" in header
