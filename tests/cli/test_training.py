# SPDX-License-Identifier: Apache-2.0
"""``xnorflow train`` and ``plot``: settings by name, runs that go on, pictures of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from xnorflow.cli.run_plots import distinct_names

Cli = Callable[..., tuple[int, str, str]]
SMALL = ("digits-cnn-w1a2", "--threads", 1, "--set", "layers.0.channels=4", "--set", "epochs=3")


def png_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_a_run_goes_on_ends_and_is_drawn(cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    status, out, _ = cli("train", *SMALL, "--run", run, "--minutes", 0)
    assert status == 0 and "0 of 3 epochs; the same command goes on" in out
    status, out, err = cli("train", *SMALL, "--run", run, "--set", "batch_sise=32")
    assert status == 2 and "no key 'batch_sise'; did you mean 'batch_size'?" in err
    status, out, _ = cli("train", *SMALL, "--run", run)
    assert status == 0 and "3 epochs" in out and "next: xnorflow export" in out
    with (run / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    status, out, _ = cli("plot", run)
    assert status == 0 and "run.png written" in out
    assert min(png_size(run / "run.png")) > 800
    status, _, err = cli("plot", run, "-o", tmp_path / "x.bmp")
    assert status == 2 and "the name must end in .png" in err
    again = (*SMALL, "--set", "lr=1e-4", "--set", "layers.*.weights=real")
    cli("train", *again, "--run", tmp_path / "real")
    status, _, _ = cli("plot", run, tmp_path / "real", "-o", tmp_path / "both.png")
    assert status == 0 and min(png_size(tmp_path / "both.png")) > 400
    # What cannot be exported is drawn all the same, and says why.
    assert cli("plot", tmp_path / "real", "-o", tmp_path / "real.svg").status == 0
    status, _, err = cli("export", tmp_path / "real", "-o", tmp_path / "x.safetensors")
    assert status == 2 and "layer 'conv1': its weights are real" in err


def test_runs_are_told_apart_by_what_differs_in_their_paths() -> None:
    def names(*folders: str) -> list[str]:
        return distinct_names([Path(folder) for folder in folders])

    assert names("runs/lr/1e-2/seed-1", "runs/lr/1e-3/seed-1") == ["1e-2", "1e-3"]
    assert names("a/p/s1", "a/p/s2", "a/q/s1") == ["p/s1", "p/s2", "q/s1"]
    assert names("run", "real") == ["run", "real"]
    assert names("a/x/x", "a/x") == ["a/x/x", "a/x"]
    assert names("run") == ["run"]


def test_a_folder_without_a_run(cli: Cli, tmp_path: Path) -> None:
    status, _, err = cli("plot", tmp_path)
    assert status == 2 and "no run.json; make a run with" in err
