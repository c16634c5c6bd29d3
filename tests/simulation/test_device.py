# SPDX-License-Identifier: Apache-2.0
"""The C++ harness through its Python wrapper, on the mock device."""

import numpy as np
import pytest
from tests.simulation import mock

from xnorflow.core.registers import MAGIC, REGISTERS, Command, Status
from xnorflow.core.tap import TAP_DTYPE
from xnorflow.simulation.device import SimulatedDevice, Stalls

LIMIT = 100_000


def start(device, program, images):
    """Load the mock's program and start a block."""
    device.write_register(REGISTERS["command"].index, Command.ABORT)
    assert device.exchange(config=program.config, max_cycles=LIMIT).complete
    device.write_register(REGISTERS["images"].index, len(images))
    device.write_register(REGISTERS["command"].index, Command.RUN)


def run(device, program, images, **options):
    start(device, program, images)
    return device.exchange(
        pixels=images.reshape(-1),
        n_results=program.results_count(len(images)),
        max_cycles=options.pop("max_cycles", LIMIT),
        **options,
    )


def read(device, name):
    return device.read_register(REGISTERS[name].index)


def images_of(seed, count):
    shape = (count, *mock.network().image_shape)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_registers_read_write_and_reset(device):
    images = REGISTERS["images"].index
    assert read(device, "magic") == MAGIC
    before = device.cycle
    device.write_register(images, 0xFFFFFFFF)
    assert device.read_register(images) == 0xFFFFFFFF
    assert device.cycle == before + 2
    assert read(device, "magic") == MAGIC  # a read one cycle later sees the new address


@pytest.mark.parametrize("count", [1, 2, 4])
def test_block_gives_the_expected_words(device, count):
    program = mock.MockProgram()
    images = images_of(count, count)
    moved = run(device, program, images)
    assert moved.complete
    assert moved.pixels == images.size
    assert moved.first_last == program.results_count(count) - 1
    assert moved.results.tolist() == program.expected(images).reshape(-1).tolist()
    assert read(device, "status") == Status.BUSY  # the mock ends one cycle after the last word
    assert read(device, "status") == Status.DONE
    assert read(device, "cycles") == program.block_cycles(count)
    assert read(device, "wait_cycles") == 0


def test_negative_results_keep_their_sign(device):
    program = mock.MockProgram(offset=-(2**31))
    images = np.zeros((1, *program.network.image_shape), np.uint8)
    assert run(device, program, images).results.tolist() == [-(2**31)] * program.classes


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "rates", [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.9, 0.9, 0.9)]
)
@pytest.mark.parametrize("fault", [0, 6])
def test_stalls_change_time_but_no_word(model, seed, rates, fault):
    program = mock.MockProgram(fault=fault)
    images = images_of(seed, 4)
    plain = SimulatedDevice(model)
    device = SimulatedDevice(model, stalls=Stalls(seed, *rates))
    free, stalled = (run(each, program, images) for each in (plain, device))
    assert stalled.complete
    assert stalled.results.tolist() == program.expected(images).reshape(-1).tolist()
    if rates[1] or rates[2]:
        assert stalled.cycles > free.cycles
    assert read(device, "error") == 0  # the mock saw no word taken back or changed
    again = SimulatedDevice(model, stalls=Stalls(seed, *rates))
    assert run(again, program, images).cycles == stalled.cycles


def test_chunks_do_not_change_what_happens(model, monkeypatch):
    program = mock.MockProgram(fault=6, work_cycles=500)
    images = images_of(5, 4)
    stalls = Stalls(5, pixels=0.5, results=0.5)
    whole = run(SimulatedDevice(model, stalls=stalls), program, images)
    monkeypatch.setattr("xnorflow.simulation.device.CHUNK_CYCLES", 1)
    monkeypatch.setattr("xnorflow.simulation.device.CHUNK_SECONDS", 0)
    device = SimulatedDevice(model, stalls=stalls)
    pieces = run(device, program, images)
    assert pieces.results.tolist() == whole.results.tolist()
    assert pieces.cycles == whole.cycles
    assert read(device, "error") == 0


def test_a_word_taken_back_is_noticed(device):
    """The mock's watch works: an exchange given up while a pixel waits takes it back."""
    program = mock.MockProgram(fault=1)
    images = images_of(1, 1)
    assert not run(device, program, images, max_cycles=10).complete
    device.read_register(0)
    device.read_register(0)
    assert read(device, "error") == 77


def test_a_lost_run_is_noticed(device):
    """The mock's watch works: one run may wait, the next one is an error."""
    start(device, mock.MockProgram(), images_of(1, 1))
    command = REGISTERS["command"].index
    device.write_register(command, Command.RUN)
    assert Status(read(device, "status")) == Status.BUSY | Status.QUEUED
    device.write_register(command, Command.RUN)
    assert read(device, "error") == 78


def test_max_cycles_ends_an_exchange(device):
    moved = run(device, mock.MockProgram(fault=2), images_of(1, 1), max_cycles=321)
    assert (moved.complete, moved.cycles, moved.results.size) == (False, 321, 0)
    assert moved.pixels == 6


def test_keep_going_ends_an_exchange(device):
    moved = run(device, mock.MockProgram(fault=2), images_of(1, 1), keep_going=lambda: False)
    assert not moved.complete
    assert moved.cycles < LIMIT


@pytest.mark.parametrize(("fault", "first_last", "taken"), [(3, None, 5), (4, 0, 1)])
def test_a_wrong_frame_ends_an_exchange(device, fault, first_last, taken):
    moved = run(device, mock.MockProgram(fault=fault), images_of(1, 1))
    assert (moved.complete, moved.first_last, moved.results.size) == (False, first_last, taken)


def test_reset_in_mid_block(device):
    program = mock.MockProgram()
    images = images_of(9, 3)
    start(device, program, images)
    device.exchange(pixels=images.reshape(-1)[:7], max_cycles=7)
    device.reset()
    assert read(device, "status") == 0
    assert run(device, program, images).complete


def test_record_holds_every_write_in_order(device):
    program = mock.MockProgram()
    images = images_of(4, 3)
    device.start_recording()
    run(device, program, images)
    record = device.take_record()
    assert record.dtype == TAP_DTYPE
    assert record["data"].tolist() == images.reshape(-1).tolist()
    assert record["address"].tolist() == list(range(images.size))
    assert record["bank"].tolist() == [i % mock.GEOMETRY.banks for i in range(images.size)]
    assert set(record["enable"].tolist()) == {3}
    assert set(record["row"].tolist()) == {0}
    assert set(record["pixel"].tolist()) == {0}
    run(device, program, images)
    assert device.take_record().size == 0  # taking a record ends it


def test_devices_of_one_model_are_independent(model):
    one, two = SimulatedDevice(model), SimulatedDevice(model)
    images = images_of(1, 2)
    start(one, mock.MockProgram(offset=1), images)
    assert run(two, mock.MockProgram(offset=2), images).complete
    moved = one.exchange(pixels=images.reshape(-1), n_results=10, max_cycles=LIMIT)
    expected = mock.MockProgram(offset=1).expected(images).reshape(-1)
    assert moved.results.tolist() == expected.tolist()


def test_a_closed_device_says_so(model):
    device = SimulatedDevice(model)
    device.close()
    device.close()
    with pytest.raises(ValueError, match="closed"):
        device.read_register(0)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_stalls_need_a_probability(rate):
    with pytest.raises(ValueError, match="pixels must be a probability"):
        Stalls(1, pixels=rate)


def test_what_has_no_initial_value_holds_the_same_garbage_every_time(model):
    """The mock never resets its register ``images``, nor gives it a value."""
    values = [read(SimulatedDevice(model), "images") for _ in range(2)]
    assert values[0] == values[1] != 0
