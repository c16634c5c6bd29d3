# SPDX-License-Identifier: Apache-2.0
"""The driver on the simulated mock: whole runs, records, traces and every way to fail."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from tests.simulation import mock

from xnorflow.core.registers import INTERFACE_VERSION, MAGIC, REGISTERS, DeviceError
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.errors import DeviceFault, DeviceMismatch, DeviceTimeout
from xnorflow.simulation import transport as module
from xnorflow.simulation.device import Stalls
from xnorflow.simulation.model import build_design
from xnorflow.simulation.transport import SimulatedTransport, open_simulation


@pytest.fixture
def transport(model) -> Iterator[SimulatedTransport]:
    transport = SimulatedTransport(model)
    yield transport
    transport.close()


@pytest.fixture
def images() -> np.ndarray:
    shape = (10, *mock.network().image_shape)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("count", [1, 4, 5, 10])
def test_images_are_cut_into_blocks(transport, images, count):
    program = mock.MockProgram()
    seen = []
    with Accelerator(transport) as device:
        device.load(program)
        result = device.run(images[:count], progress=lambda done, total: seen.append((done, total)))
    sizes = [min(program.block, count - at) for at in range(0, count, program.block)]
    assert result.accumulators.tolist() == program.expected(images[:count]).tolist()
    assert result.blocks == len(sizes)
    assert seen == [(sum(sizes[: i + 1]), count) for i in range(len(sizes))]
    assert result.cycles == sum(program.block_cycles(size) for size in sizes)
    assert result.codes is None


def test_programs_can_follow_each_other(transport, images):
    device = Accelerator(transport)
    for offset in (1, 2):
        program = mock.MockProgram(offset=offset)
        device.load(program)
        for _ in range(2):
            logits = device.infer(images)
            assert logits.tolist() == program.expected(images)[:, 0, 0].tolist()
            assert device.classify(images).tolist() == logits.argmax(axis=1).tolist()


def test_stalls_are_counted_as_waiting(model, images):
    program = mock.MockProgram()
    device = Accelerator(SimulatedTransport(model, stalls=Stalls(1, 0.9, 0.9, 0.9)))
    device.load(program)
    result = device.run(images)
    assert result.accumulators.tolist() == program.expected(images).tolist()
    assert result.cycles == sum(program.block_cycles(n) for n in (4, 4, 2))
    assert result.wait_cycles > result.cycles


def test_a_record_covers_every_block(transport, images):
    device = Accelerator(transport)
    device.load(mock.MockProgram())
    codes = device.run(images, record=True).codes
    assert list(codes) == ["input"]
    assert codes["input"].tolist() == images.reshape(10, 1, 1, -1).tolist()


def test_a_trace_is_written(design, images, tmp_path):
    path = tmp_path / "wave.vcd"
    model = build_design(design, trace=True)
    with Accelerator(SimulatedTransport(model, trace=path)) as device:
        device.load(mock.MockProgram())
        device.infer(images)
        cycles = device.transport.device.cycle
    text = path.read_text()
    assert "pixels_payload" in text
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert times[0] == 0
    assert times[-1] == 2 * cycles - 1


def test_a_trace_needs_a_model_that_can(model, tmp_path):
    with pytest.raises(ValueError, match=r"trace=True"):
        SimulatedTransport(model, trace=tmp_path / "wave.vcd")


def test_a_trace_that_cannot_be_written_says_so(design, tmp_path):
    model = build_design(design, trace=True)
    with pytest.raises(OSError, match=r"Cannot write the trace .*missing"):
        SimulatedTransport(model, trace=tmp_path / "missing" / "wave.vcd")


# -- a device that is not what it should be ------------------------------------------------------


@pytest.mark.parametrize(
    ("register", "value", "message"),
    [
        ("magic", MAGIC ^ 1, "0x584e4f53, an xnorflow device has 0x584e4f52"),
        ("version", 99, f"interface version 99, this driver speaks {INTERFACE_VERSION}"),
        ("build_hash", 5, "build hash 0x00000005, but 0xc0ffee01 was expected"),
        ("shape", 0, "no possible geometry .*word_width"),
        ("shape", 0xFFFFFFFF, "no possible geometry"),
        ("widths", 0, "no possible geometry .*max_lanes"),
    ],
)
def test_a_wrong_device_is_refused(transport, register, value, message):
    transport.write_register(REGISTERS[register].index, value)
    with pytest.raises(DeviceMismatch, match=message):
        Accelerator(transport)


def test_a_model_of_other_sources_is_refused(model):
    stale = dataclasses.replace(model, build_hash=1)
    with pytest.raises(DeviceMismatch, match="other sources"):
        Accelerator(SimulatedTransport(stale))


def test_a_device_of_another_geometry_is_refused(transport):
    transport.write_register(REGISTERS["activation_depth"].index, 2048)
    with pytest.raises(DeviceMismatch, match="activation_depth 2048, not 1024"):
        Accelerator(transport, geometry=mock.GEOMETRY)
    device = Accelerator(transport)
    with pytest.raises(ValueError, match=r"compiled for 3x2x4x8, but .* 3x2x4x8,activation_depth"):
        device.load(mock.MockProgram())


# -- a device that fails -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (
            1,
            DeviceTimeout,
            r"waited \d+ cycles for room on the pixel stream: 0 of 24 .*; status: b",
        ),
        (2, DeviceTimeout, r"for result words: 0 of 0 pixel bytes sent, 0 of 20 result words"),
        (3, DeviceFault, "result word 20 of 20 is not marked as the last"),
        (4, DeviceFault, "result word 1 of 20 is marked as the last"),
        (5, DeviceTimeout, "ending a block: the device is not ready .*status: busy"),
    ],
)
def test_a_failure_says_what_happened_and_leaves_a_usable_device(
    transport, images, fault, error, message
):
    device = Accelerator(transport)
    device.load(mock.MockProgram(fault=fault))
    with pytest.raises(error, match=message):
        device.infer(images[:4])
    assert device.registers.read("status") == 0
    with pytest.raises(error, match=message):  # the program was loaded again
        device.infer(images[:4])
    program = mock.MockProgram()
    device.load(program)
    assert device.infer(images).tolist() == program.expected(images)[:, 0, 0].tolist()


def test_all_results_of_one_block_are_no_excuse_for_the_next_one_s_images(transport, images):
    """A block that never ends, whose results all came, while the next one's images wait."""
    device = Accelerator(transport)
    device.load(mock.MockProgram(fault=5))
    with pytest.raises(DeviceTimeout, match=r"room on the pixel stream: 0 of 24 .*, 20 of 20"):
        device.infer(images)


def test_a_timeout_in_seconds_ends_a_run(transport, images, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 10**9)
    device = Accelerator(transport)
    device.load(mock.MockProgram(fault=2))
    with pytest.raises(DeviceTimeout, match="0 of 20 result words"):
        device.run(images, timeout=0.05)


def test_errors_of_the_device_become_exceptions(transport, images):
    device = Accelerator(transport)
    bad = mock.MockProgram(offset=-1)  # the mock takes a word of ones for a bad packet
    with pytest.raises(DeviceFault, match="BAD_PACKET while loading the program") as caught:
        device.load(bad)
    assert caught.value.error is DeviceError.BAD_PACKET
    oversized = mock.MockProgram(block=5)
    device.load(oversized)
    with pytest.raises(DeviceFault, match="NO_PROGRAM while starting a block of 5") as caught:
        device.infer(images)
    assert caught.value.error is DeviceError.NO_PROGRAM


def test_an_interrupted_run_leaves_a_usable_device(transport, images, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    program = mock.MockProgram()
    device = Accelerator(transport)
    device.load(program)
    with monkeypatch.context() as patch:
        patch.setattr(transport, "exchange", interrupt)
        with pytest.raises(KeyboardInterrupt):
            device.infer(images)
    assert device.registers.read("status") == 0
    assert device.infer(images).tolist() == program.expected(images)[:, 0, 0].tolist()


def test_a_full_configuration_stream_times_out(transport, monkeypatch):
    monkeypatch.setattr(module, "MARGIN_CYCLES", 0)
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with pytest.raises(DeviceTimeout, match="configuration stream: it took 2 of 5 words"):
        transport.send_config(mock.MockProgram().config)


# -- options -------------------------------------------------------------------------------------


def test_the_simulator_needs_a_geometry_and_no_address():
    with pytest.raises(ValueError, match="needs a geometry"):
        Accelerator.open("sim")
    with pytest.raises(ValueError, match="has no address, but '/dev/tty'"):
        open_simulation("/dev/tty", geometry=mock.GEOMETRY)
