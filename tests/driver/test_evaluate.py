# SPDX-License-Identifier: Apache-2.0
"""Several processes give what one gives, and none is left behind, whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.driver.devices import FACTORY, ODD
from tests.driver.fakes import CLASSES, GEOMETRY, PIXELS, FakeProgram

from xnorflow.driver import transport
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.compare import Comparison
from xnorflow.driver.errors import DeviceTimeout, DriverError
from xnorflow.driver.evaluate import Evaluation, evaluate
from xnorflow.driver.result import RunResult
from xnorflow.driver.workers import Workers

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Golden:
    accumulators: np.ndarray
    logits: np.ndarray
    codes: dict[str, np.ndarray]


def golden(images: np.ndarray, wrong: int | None = None) -> Golden:
    """What the fake device computes; the image that begins with ``wrong`` gets a wrong class 2."""
    sums = images.reshape(-1, PIXELS).astype(np.int64).sum(axis=1)
    accumulators = sums[:, None] + np.arange(CLASSES)
    if wrong is not None:
        accumulators[images[:, 0, 0, 0] == wrong, 2] += 1
    logits = accumulators.astype(np.float32) * np.float32(0.5)
    logits += np.arange(CLASSES, dtype=np.float32)
    return Golden(accumulators[:, None, None], logits, {})


def pictures(count: int) -> np.ndarray:
    """Images whose first pixel is their number."""
    images = np.random.default_rng(1).integers(0, 200, (count, 2, 3, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return images


def run(images: np.ndarray, kind: str = "plain", **options: object) -> Evaluation:
    return evaluate(FakeProgram(), images, geometry=GEOMETRY, device=f"fakes:{kind}", **options)


@pytest.fixture(autouse=True)
def _fakes_are_known_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transport, "_FACTORIES", dict(transport._FACTORIES))
    transport.register_transport("fakes", FACTORY)
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_the_result_is_that_of_one_device(jobs: int) -> None:
    images = pictures(11)
    seen: list[tuple[int, int]] = []
    evaluation = run(
        images, jobs=jobs, golden=golden, progress=lambda done, total: seen.append((done, total))
    )
    with Accelerator.open("fakes:plain", geometry=GEOMETRY) as device:
        device.load(FakeProgram())
        alone = device.run(images)
    result = evaluation.result
    np.testing.assert_array_equal(result.logits, alone.logits)
    np.testing.assert_array_equal(result.accumulators, alone.accumulators)
    for counter in ("cycles", "wait_cycles", "blocks", "useful_xnors", "array_xnors", "images"):
        assert getattr(result, counter) == getattr(alone, counter), counter
    assert evaluation.jobs == jobs
    assert evaluation.predicted_cycles == 5 * 200 + 100
    assert evaluation.comparison == Comparison(images=11, layers=1, differences=0, first=None)
    assert 0 < result.seconds < 60
    assert seen[-1] == (11, 11)
    assert [total for _, total in seen] == [11] * 6
    done = [0, *(count for count, _ in seen)]
    steps = np.diff(done).tolist()
    assert sorted(steps) == [1, 2, 2, 2, 2, 2]


def test_results_are_in_the_order_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever block is done first."""

    class Backwards(Workers):
        def run(self, blocks: Sequence[np.ndarray]) -> Iterator[tuple[int, RunResult]]:
            return iter(sorted(super().run(blocks), key=lambda item: -item[0]))

    monkeypatch.setattr("xnorflow.driver.evaluate.Workers", Backwards)
    images = pictures(9)
    evaluation = run(images, jobs=2, golden=lambda part: golden(part, wrong=5))
    np.testing.assert_array_equal(evaluation.result.accumulators, golden(images).accumulators)
    np.testing.assert_array_equal(evaluation.result.logits, golden(images).logits)
    assert evaluation.comparison is not None
    assert str(evaluation.comparison.first).startswith("layer sum, image 5, ")


@pytest.mark.parametrize("jobs", [1, 2])
def test_differences_are_counted_and_the_first_has_its_place(jobs: int) -> None:
    images = pictures(9)
    comparison = run(images, jobs=jobs, golden=lambda part: golden(part, wrong=5)).comparison
    assert comparison is not None
    assert comparison.differences == 2
    assert comparison.first is not None
    assert comparison.first.startswith("layer sum, image 5, row 0, column 0, channel 2: array ")


def test_without_a_golden_model_nothing_is_compared() -> None:
    assert run(pictures(4), jobs=2).comparison is None


def test_blocks_are_smaller_where_more_jobs_are_asked_for() -> None:
    evaluation = run(pictures(3), jobs=3, golden=golden)
    assert (evaluation.jobs, evaluation.result.blocks) == (3, 3)
    assert evaluation.predicted_cycles == 3 * 100
    assert evaluation.comparison is not None and evaluation.comparison.identical
    assert run(pictures(2), jobs=8).jobs == 2


def test_a_device_that_is_no_simulator_is_one() -> None:
    assert run(pictures(9)).jobs == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_device_is_the_caller_s(jobs: int) -> None:
    images = pictures(9)
    images[4, 0, 0, 0] = ODD
    with pytest.raises(DeviceTimeout, match="waited for ever"):
        run(images, "times-out", jobs=jobs)
    with pytest.raises(OSError, match="nothing there"):
        run(images, "absent", jobs=jobs)


def test_an_error_that_cannot_travel_is_told() -> None:
    images = pictures(9)
    images[4, 0, 0, 0] = ODD
    with pytest.raises(DriverError, match="_UnpicklableError: this and that"):
        run(images, "odd", jobs=2)


def test_a_process_that_dies_is_one_clear_error() -> None:
    images = pictures(9)
    images[4, 0, 0, 0] = ODD
    with pytest.raises(DriverError, match=r"ended by itself \(exit code 7\); try fewer jobs"):
        run(images, "dies", jobs=2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_end_from_the_caller_s_side_ends_the_processes(error: type[BaseException]) -> None:
    def stop(done: int, total: int) -> None:
        raise error

    with pytest.raises(error):
        run(pictures(20), jobs=2, progress=stop)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"jobs": 0}, ValueError, "jobs must be at least 1, not 0"),
        ({"jobs": 1.5}, TypeError, "jobs must be an integer, not 1.5"),
        ({"jobs": True}, TypeError, "jobs must be an integer"),
        ({"jobs": 2, "trace": "x.vcd"}, ValueError, "2 jobs cannot write one trace"),
    ],
)
def test_what_cannot_be_asked_for(options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        run(pictures(4), **options)
    with pytest.raises(TypeError, match="uint8"):
        run(pictures(4).astype(float))


# -- scripts --------------------------------------------------------------------------------------

_HEAD = """
import sys
import numpy as np
from tests.driver.devices import FACTORY
from tests.driver.fakes import GEOMETRY, FakeProgram
from xnorflow.driver.evaluate import evaluate
from xnorflow.driver.transport import register_transport

def main(kind):
    register_transport("fakes", FACTORY)
    images = np.zeros((8, 2, 3, 1), np.uint8)
    evaluation = evaluate(FakeProgram(), images, geometry=GEOMETRY, device=kind, jobs=2)
    print(evaluation.result.images, "images")
"""


def script(path: Path, text: str) -> list[str]:
    path.write_text(_HEAD + text)
    return [sys.executable, str(path)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def test_a_script_runs_under_a_guard_and_is_told_so_without(tmp_path: Path) -> None:
    guarded = script(tmp_path / "a.py", "if __name__ == '__main__': main('fakes:plain')")
    done = subprocess.run(guarded, capture_output=True, text=True, env=environment(), timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "8 images\n", "")
    bare = script(tmp_path / "b.py", "main('fakes:plain')")
    done = subprocess.run(bare, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("only under `if __name__ == '__main__':`")


def test_ctrl_c_ends_all_processes_with_one_trace(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal; only the caller may speak."""
    text = """
if __name__ == '__main__':
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell says "&"
    main('fakes:hangs')
"""
    arguments = script(tmp_path / "a.py", text)
    started = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while len(children(started.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)  # two workers and multiprocessing's resource tracker
        assert len(children(started.pid)) == 3
        time.sleep(1)  # into the blocks, or at least into the imports
        workers = children(started.pid)
        os.killpg(started.pid, signal.SIGINT)
        _, stderr = started.communicate(timeout=30)
        assert stderr.count("Traceback") == 1
        assert stderr.rstrip().endswith("KeyboardInterrupt")
        while any(map(alive, workers)) and time.monotonic() < deadline + 30:
            time.sleep(0.05)  # the resource tracker goes when it finds itself alone
        assert not [pid for pid in workers if alive(pid)]
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Process ids of the direct children that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
