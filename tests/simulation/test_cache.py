# SPDX-License-Identifier: Apache-2.0
"""The folder cache: whole folders, made once, also by several processes at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from xnorflow.simulation import cache
from xnorflow.simulation.cache import CACHE_VARIABLE, cache_dir, cached_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def write(folder: Path) -> None:
    (folder / "file").write_text("content")


def never(folder: Path) -> None:
    raise AssertionError("made again")


def test_the_variable_moves_the_cache(tmp_path, monkeypatch):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_dir().name == "xnorflow"


def test_a_folder_is_made_once():
    folder = cached_folder("kind", "key", write, message="Making it")
    assert (folder / "file").read_text() == "content"
    assert cached_folder("kind", "key", never) == folder


def test_a_failed_make_leaves_nothing():
    def fail(folder: Path) -> None:
        write(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cached_folder("kind", "key", fail)
    assert [path for path in (cache_dir() / "kind").iterdir() if path.is_dir()] == []
    assert cached_folder("kind", "key", write).is_dir()


def test_what_a_killed_process_left_goes():
    left = cache_dir() / "kind" / "key.abc.part"
    left.mkdir(parents=True)
    other = cache_dir() / "kind" / "other.abc.part"
    other.mkdir()
    cached_folder("kind", "key", write)
    assert not left.exists()
    assert other.exists()  # perhaps at work


def test_the_oldest_entries_go(monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 2)
    for key in ("a", "b"):
        cached_folder("kind", key, write)
        time.sleep(0.01)
    cached_folder("kind", "a", never)
    time.sleep(0.01)
    cached_folder("kind", "c", write)
    kept = {path.name for path in (cache_dir() / "kind").iterdir() if path.is_dir()}
    assert kept == {"a", "c"}


def test_a_cache_that_cannot_be_written_names_the_way_out(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(file))
    with pytest.raises(OSError, match=CACHE_VARIABLE):
        cached_folder("kind", "key", write)


_PROCESS = """
import sys, time
from pathlib import Path
from xnorflow.simulation.cache import cached_folder

def make(folder):
    with open(sys.argv[1], "a") as log:
        log.write("made\\n")
    for part in range(10):
        (folder / str(part)).write_text("x")
        time.sleep(0.05)

folder = cached_folder("kind", "shared", make)
assert len(list(folder.iterdir())) == 10
"""


def test_processes_make_a_folder_once(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", _PROCESS, str(log)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert log.read_text() == "made\n"
