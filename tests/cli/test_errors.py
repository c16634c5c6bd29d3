# SPDX-License-Identifier: Apache-2.0
"""Mistakes: one line on standard error, status 2, never a stack trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from xnorflow.cli import main as cli_main

Cli = Callable[..., tuple[int, str, str]]


def assert_one_line(outcome: tuple[int, str, str], *words: str) -> None:
    status, out, err = outcome
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize("command", ["run", "info", "compile"])
def test_an_unknown_artifact_lists_the_shipped_ones(cli: Cli, command: str) -> None:
    assert_one_line(cli(command, "nothing"), "nothing: no such file", "mnist-mlp-w1a1")


@pytest.mark.parametrize("command", ["run", "info", "compile"])
def test_damaged_and_foreign_files(cli: Cli, command: str, file: Path, tmp_path: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert_one_line(cli(command, file), str(file), "does not match its digest")
    file.write_bytes(content[:100])
    assert_one_line(cli(command, file), "not a whole .safetensors file")
    save_file({"weight": np.zeros(3)}, tmp_path / "other.safetensors")
    assert_one_line(cli(command, tmp_path / "other.safetensors"), "not an xnorflow artifact")


@pytest.mark.parametrize("command", ["run", "compile", "verilog"])
def test_a_geometry_that_cannot_be(cli: Cli, command: str, file: Path, tmp_path: Path) -> None:
    what = ["-o", tmp_path / "x.v"] if command == "verilog" else [file]
    assert_one_line(cli(command, *what, "--geometry", "3x3"), "as in 3x3x8x32")
    assert_one_line(cli(command, *what, "--geometry", "3x3x8x48"), "word_width must be one of")
    assert not (tmp_path / "x.v").exists()


def test_images_that_are_not_there(cli: Cli, file: Path, tmp_path: Path) -> None:
    assert_one_line(cli("run", file), "names no data set; try it with --random")
    assert_one_line(cli("run", file, "--random", "--images", "0"), "at least 1, not 0")
    assert_one_line(cli("run", "mnist-mlp-w1a1", "--images", "513"), "has 512 images", "--data")
    assert_one_line(cli("run", "mnist-mlp-w1a1", "--data", tmp_path), "no mnist files in")


def test_an_unknown_device_lists_the_known_ones(cli: Cli, file: Path) -> None:
    assert_one_line(cli("run", file, "--random", "--device", "abacus"), "'abacus'", "known: sim")


def test_recipes_and_runs_that_are_not_there(cli: Cli, tmp_path: Path) -> None:
    assert_one_line(cli("train", "nothing"), "unknown recipe 'nothing'", "mnist-cnn-w1a2")
    assert_one_line(cli("export", tmp_path, "-o", tmp_path / "x"), "xnorflow train")


def test_a_file_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    target = tmp_path / "taken" / "x.v"
    assert_one_line(cli("verilog", "--geometry", "2x1x2x8", "-o", target), "taken")


def test_wrong_options_are_usage_errors(cli: Cli) -> None:
    for arguments in (("run",), ("run", "x", "--images", "many"), ("nothing",), ("info", "--bad")):
        status, out, err = cli(*arguments)
        assert (status, out) == (2, "")
        assert "Usage: xnorflow" in err
        assert "Traceback" not in err


def test_an_error_inside_says_so(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("xnorflow.cli.images.find_artifact", broken)
    status, out, err = cli("info", file)
    assert (status, out) == (3, "")
    assert (
        err == "error: KeyError: 'lost' (an error inside xnorflow; XNORFLOW_DEBUG=1 shows where)\n"
    )
    monkeypatch.setenv(cli_main.DEBUG, "1")
    with pytest.raises(KeyError):
        cli("info", file)


def test_help_is_plain_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from xnorflow.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'amaranth', 'sklearn', 'rich', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    for command in ("sim", "run", "info", "train", "export", "compile", "verilog"):
        assert f"\n  {command} " in done.stdout
        assert "..." not in done.stdout.split(f"\n  {command} ")[1].split("\n")[0]


@pytest.mark.parametrize("command", ["sim", "run", "info", "train", "export", "compile", "verilog"])
def test_every_command_has_help(cli: Cli, command: str) -> None:
    status, out, err = cli(command, "--help")
    assert (status, err) == (0, "")
    assert f"Usage: xnorflow {command}" in out


def test_the_version(cli: Cli) -> None:
    from importlib.metadata import version

    assert cli("--version") == (0, version("xnorflow") + "\n", "")
