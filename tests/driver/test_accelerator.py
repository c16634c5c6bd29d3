# SPDX-License-Identifier: Apache-2.0
"""The accelerator object on a device in plain Python."""

import dataclasses

import numpy as np
import pytest
from tests.driver.fakes import CLASSES, GEOMETRY, FakeDevice, FakeProgram, RecordingDevice

from xnorflow.core.artifact import ArtifactError
from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import Status
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.errors import DeviceFault, DeviceMismatch, DeviceTimeout, NoProgram
from xnorflow.driver.transport import register_transport


def images(count):
    return np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3, 1)


@pytest.fixture
def fake():
    return FakeDevice()


@pytest.fixture
def device(fake):
    device = Accelerator(fake)
    device.load(FakeProgram())
    return device


def test_a_block_s_images_go_while_the_one_before_computes(fake, device):
    fake.log.clear()
    result = device.run(images(3), timeout=1.5)
    assert fake.log == [
        "images=2",
        "command=1",
        "exchange 12 0 1.5 200",
        "images=1",
        "command=1",
        "exchange 6 6 1.5 300",
        "exchange 0 3 1.5 100",
    ]
    sums = images(3).reshape(3, 6).astype(np.int64).sum(axis=1)
    assert result.accumulators.dtype == np.int64
    assert result.accumulators.tolist() == (sums[:, None, None, None] + np.arange(3)).tolist()
    assert result.logits.dtype == np.float32
    assert result.logits.tolist() == (sums[:, None] * 0.5 + 1.5 * np.arange(CLASSES)).tolist()


def test_many_blocks_never_ask_for_a_run_that_would_be_lost(fake, device):
    """The fake refuses a run while one waits, and takes its time to free the queue."""
    seen = []
    result = device.run(images(9), progress=lambda *done: seen.append(done))
    assert result.accumulators[:, 0, 0, 0].tolist() == images(9).reshape(9, 6).sum(axis=1).tolist()
    assert seen == [(2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    assert (result.blocks, result.cycles, result.wait_cycles) == (5, 810, 35)


def test_a_queue_that_is_never_free_is_given_up(fake, device):
    fake.QUEUED_READS = 10**6
    with pytest.raises(DeviceTimeout, match=r"starting a block: .* not ready .* busy, queued"):
        device.run(images(5))
    assert fake.log[-1] == "command=2"


def test_a_device_that_never_ends_is_given_up(fake, device):
    fake._end = lambda count: fake.blocks.append(count)
    with pytest.raises(DeviceTimeout, match=r"ending a block: .* status: busy"):
        device.run(images(1))
    assert fake.log[-1] == "command=2"


@pytest.mark.parametrize("name", ["cycles", "wait_cycles"])
def test_counters_go_on_from_run_to_run_and_wrap(fake, device, name):
    fake.values[name] = 2**32 - 5
    plain = device.run(images(3))
    assert (plain.cycles, plain.wait_cycles) == (270, 14)
    assert fake.values[name] < 2**32 - 5
    again = device.run(images(2))
    assert (again.cycles, again.wait_cycles) == (180, 7)


def test_recorded_blocks_run_alone():
    fake = RecordingDevice()
    device = Accelerator(fake)
    device.load(FakeProgram())
    fake.log.clear()
    result = device.run(images(3), record=True)
    assert [entry.partition(" ")[0] for entry in fake.log] == [
        *("record", "images=2", "command=1", "exchange", "exchange", "take"),
        *("record", "images=1", "command=1", "exchange", "exchange", "take"),
    ]
    assert result.codes["sum"].ravel().tolist() == [2] * 6 + [1] * 3
    assert result.accumulators.tolist() == device.run(images(3)).accumulators.tolist()


def test_a_record_ends_with_its_block_even_if_that_fails():
    fake = RecordingDevice()
    device = Accelerator(fake)
    device.load(FakeProgram())

    def exchange(*arguments, **options):
        raise DeviceTimeout("nothing came")

    fake.exchange = exchange
    with pytest.raises(DeviceTimeout):
        device.run(images(1), record=True)
    assert not fake.recording


def test_a_result_counts(device):
    result = device.run(images(3))
    assert (result.images, result.blocks) == (3, 2)
    assert (result.cycles, result.wait_cycles, result.cycles_per_image) == (270, 14, 90)
    assert result.useful_xnors == 3000
    assert result.utilisation == 3000 / (270 * GEOMETRY.xnors_per_cycle)
    result = dataclasses.replace(result, seconds=2.0)
    assert (result.images_per_second, result.cycles_per_second) == (1.5, 142)
    assert result.classes.tolist() == [2, 2, 2]


def test_images_need_not_be_contiguous(device):
    wide = np.zeros((3, 2, 6, 1), np.uint8)
    wide[:, :, ::2] = images(3)
    assert device.infer(wide[:, :, ::2]).tolist() == device.infer(images(3)).tolist()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (images(2).astype(np.float32), TypeError, "uint8, not float32 array"),
        (images(2).tolist(), TypeError, "uint8, not list"),
        (
            images(2)[..., 0],
            ValueError,
            r"'fake' takes images \(N >= 1, 2, 3, 1\), not \(2, 2, 3\)",
        ),
        (images(2)[0], ValueError, r"takes images \(N >= 1, 2, 3, 1\), not \(2, 3, 1\)"),
        (images(2).reshape(2, 3, 2, 1), ValueError, r"not \(2, 3, 2, 1\)"),
        (images(0), ValueError, r"N >= 1.*not \(0, 2, 3, 1\)"),
    ],
)
def test_wrong_images_are_one_clear_error(fake, device, wrong, error, message):
    fake.log.clear()
    with pytest.raises(error, match=message):
        device.infer(wrong)
    assert fake.log == []


def test_nothing_runs_without_a_program(fake):
    device = Accelerator(fake)
    for call in (device.infer, device.classify, device.run):
        with pytest.raises(NoProgram, match=r"call load\(\)"):
            call(images(1))


def test_a_device_that_cannot_record_says_so(device):
    with pytest.raises(ValueError, match="fake device cannot record"):
        device.run(images(1), record=True)


# -- loading -------------------------------------------------------------------------------------


def test_nothing_is_loaded_before_the_checks(fake):
    program = FakeProgram(geometry=Geometry.parse("3x2x4x16"))
    device = Accelerator(fake)
    with pytest.raises(ValueError, match=r"compiled for 3x2x4x16, but .*columns 12, not 4"):
        device.load(program)
    fake.values["build_hash"] ^= 1
    fake.expected_build_hash = 0x1234
    with pytest.raises(DeviceMismatch, match="build hash 0x00001235, but 0x00001234"):
        Accelerator(fake)
    assert fake.log == []


def test_a_refused_program_is_not_kept(fake, device):
    fake.send_config = lambda words: fake.values.update(status=Status.ERROR, error=1)
    with pytest.raises(DeviceFault, match="BAD_PACKET while loading the program"):
        device.load(FakeProgram())
    with pytest.raises(NoProgram):
        device.infer(images(1))


@pytest.mark.parametrize("source", [None, 3, b"file", object()])
def test_only_programs_and_artifacts_load(device, source):
    with pytest.raises(TypeError, match=r"Load an artifact.* not "):
        device.load(source)


def test_files_are_checked(device, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such artifact"):
        device.load(tmp_path / "none.safetensors")
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"not a network")
    with pytest.raises(ArtifactError, match=r"bad\.safetensors"):
        device.load(str(path))


# -- errors of the device ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [(0, "NONE.*no reason"), (2, "NO_PROGRAM"), (99, "unknown error 99")],
)
def test_a_fault_during_a_block_is_raised_and_aborts(fake, device, code, message):
    def exchange(*arguments, **options):
        fake.values |= {"status": Status.ERROR, "error": code}
        raise DeviceTimeout("nothing came")

    fake.exchange = exchange
    with pytest.raises(DeviceFault, match=message):
        device.infer(images(1))
    assert fake.log[-1] == "command=2"


def test_a_timeout_tells_the_status_and_aborts(fake, device):
    def exchange(*arguments, **options):
        raise DeviceTimeout("nothing came")

    fake.exchange = exchange
    with pytest.raises(DeviceTimeout, match="nothing came; status: busy"):
        device.infer(images(1))
    assert fake.log[-1] == "command=2"
    del fake.exchange
    fake.log.clear()
    device.infer(images(1))
    assert fake.log[:2] == ["command=2", "config [0, 1, 2, 3]"]  # loaded again


def test_a_busy_device_is_aborted_at_the_start(fake):
    fake.values["status"] = Status.BUSY
    Accelerator(fake)
    assert fake.log == ["command=2"]


def test_a_device_that_stays_busy_is_given_up(fake):
    fake.values["status"] = Status.BUSY
    fake.stuck = True
    with pytest.raises(DeviceTimeout, match="still busy"):
        Accelerator(fake)


# -- opening and closing -------------------------------------------------------------------------

_opened: list[FakeDevice] = []


def make_fake(address, *, geometry, **options):
    _opened.append(FakeDevice())
    _opened[-1].log = [address, geometry, options]
    return _opened[-1]


def test_open_finds_a_registered_transport(monkeypatch):
    monkeypatch.setattr("xnorflow.driver.transport._FACTORIES", {})
    register_transport("fake", f"{__name__}:make_fake")
    with Accelerator.open("fake:/dev/tty:1", geometry=str(GEOMETRY), speed=9) as device:
        assert device.geometry == GEOMETRY
    assert _opened[-1].log == ["/dev/tty:1", GEOMETRY, {"speed": 9}]
    assert _opened[-1].closed == 1
    with pytest.raises(DeviceMismatch, match="taps 2, not 3"):
        Accelerator.open("fake", geometry="3x3x12x16,activation_depth=2048")
    assert _opened[-1].closed == 1


def test_unknown_devices_are_named(monkeypatch):
    with pytest.raises(ValueError, match=r"Unknown device 'toaster:1'; known: .*sim"):
        Accelerator.open("toaster:1")
    with pytest.raises(TypeError, match="named by text"):
        Accelerator.open(3)
    with pytest.raises(ValueError, match="plain name"):
        register_transport("a:b", "module:function")
    with pytest.raises(ValueError, match="Geometry '3x3': write"):
        Accelerator.open("sim", geometry="3x3")
