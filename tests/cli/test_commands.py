# SPDX-License-Identifier: Apache-2.0
"""The commands do what they say, on a small array and a small network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xnorflow.core.artifact import Artifact
from xnorflow.zoo.catalog import names

Cli = Callable[..., tuple[int, str, str]]
GEOMETRY = ("--geometry", "2x2x4x8")
IMAGES = ("--random", "--images", "9")


def test_info(cli: Cli, file: Path, artifact: Artifact) -> None:
    status, out, err = cli("info", file)
    assert (status, err) == (0, "")
    for word in ("two-layers", "5x5x1", "3x3 +1", "name by hand", artifact.metadata()["digest"]):
        assert word in out
    shown = json.loads(cli("info", file, "--json").out)  # type: ignore[attr-defined]
    assert shown["network"] == json.loads(artifact.metadata()["network"])
    assert shown["provenance"] == artifact.provenance
    assert shown["bytes"] == file.stat().st_size


def test_info_shows_text_as_it_is(cli: Cli, artifact: Artifact, tmp_path: Path) -> None:
    """No control character reaches the terminal, and what looks like markup is only text."""
    odd = {"[bold]note[/bold]": "\x1b[31mred", "nested": {"a\x07": "[link]", "b": [1, 2]}}
    made = Artifact(artifact.network, artifact.tensors, odd)
    status, out, _ = cli("info", made.save(tmp_path / "odd.safetensors"))
    assert status == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert '[bold]note[/bold] "\\u001b[31mred"' in out
    assert '"a\\u0007" [link]' in out


@pytest.mark.parametrize("name", names())
def test_info_of_shipped_networks(cli: Cli, name: str) -> None:
    status, out, _ = cli("info", name)
    assert status == 0
    assert out.startswith(f"{name}: ")


def test_verilog(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "new" / "array.v"
    status, out, err = cli("verilog", "--geometry", "2x1x2x8", "-o", target)
    assert (status, err) == (0, "")
    assert "2x1x2x8, 32 XNORs a cycle" in out
    assert "module xnorflow(" in target.read_text().replace(" (", "(")
    assert list(target.parent.iterdir()) == [target]


def test_verilog_of_a_bus(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "array.v"
    command = ("verilog", "--top", "wishbone", "--geometry", "2x1x2x8", "-o", target)
    status, out, err = cli(*command, "--clock-mhz", 48, "--json")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert shown["module"] == "xnorflow_wishbone"
    assert {Path(file).name for file in shown["files"]} == {p.name for p in tmp_path.iterdir()}
    manifest = json.loads(target.with_suffix(".json").read_text())
    assert manifest["build_hash"] == shown["build_hash"]
    assert manifest["clock"]["mhz"] == 48


def test_compile(cli: Cli, file: Path) -> None:
    status, out, err = cli("compile", file, *GEOMETRY)
    assert (status, err) == (0, "")
    assert "two-layers on 2x2x4x8, throughput mode: " in out
    shown = json.loads(cli("compile", file, *GEOMETRY, "--json")[1])
    assert [layer["name"] for layer in shown["layers"]] == ["a", "b"]
    layers = sum(layer["cycles"] for layer in shown["layers"])
    assert layers == shown["cycles"]
    assert 0 < shown["utilisation"] < 1
    assert shown["memory"]
    for name, memory in shown["memory"].items():
        assert 0 <= memory["used"] <= memory["available"], name
        assert name in out


def test_what_does_not_fit_is_one_line(cli: Cli, file: Path) -> None:
    status, out, err = cli("compile", file, "--geometry", "2x2x4x8,weight_depth=16")
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_run(cli: Cli, file: Path) -> None:
    status, out, err = cli("run", file, *GEOMETRY, *IMAGES, "--json")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert shown["images"] == 9
    assert shown["accuracy"] is None
    assert shown["identical_to_golden"] is True
    assert shown["first_difference"] is None
    assert (shown["network"], shown["device"]) == ("two-layers", "sim")
    assert (shown["geometry"], shown["layers"]) == ("2x2x4x8", 2)
    assert shown["cycles"] == shown["predicted_cycles"]
    assert shown["cycles_per_image"] == shown["cycles"] / 9
    assert 0 < shown["utilisation"] < 1
    assert shown["images_per_second"] > 0
    assert shown["cycles_per_second"] > 0
    # Counted by hand: 13 kernel lines, and columns, meet the 5x5 map; padding is no useful work.
    work = 13 * 13 * 6 * 2 + 3 * 150 * 2
    assert shown["utilisation"] == pytest.approx(9 * work / (shown["cycles"] * 4 * 4 * 8))
    status, out, _ = cli("run", file, *GEOMETRY, *IMAGES)
    assert status == 0
    assert "identical to the golden model: 9 images, 2 layers" in out


@pytest.mark.slow
def test_the_trace_is_a_vcd_file(cli: Cli, file: Path, tmp_path: Path) -> None:
    trace = tmp_path / "run.vcd"
    status, _, _ = cli("run", file, *GEOMETRY, "--random", "--images", "1", "--trace", trace)
    assert status == 0
    assert "$enddefinitions" in trace.read_text()[:2_000_000]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("layer", ["a", "b"])
def test_one_wrong_weight_is_found_and_named(
    cli: Cli, file: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, layer: str,
    as_json: bool,
) -> None:  # fmt: skip
    """The array runs the artifact; the golden model gets one flipped weight in channel 1."""
    from xnorflow.cli import job

    tensors = {name: tensor.copy() for name, tensor in artifact.tensors.items()}
    tensors[f"{layer}.weights"][0, 1, 1, 1, 0] ^= 1
    other = Artifact(artifact.network, tensors)
    right = job.golden_result
    monkeypatch.setattr(job, "golden_result", lambda _, images: right(other, images))
    status, out, err = cli("run", file, *GEOMETRY, *IMAGES, *(["--json"] if as_json else []))
    assert status == 1
    assert f"layer {layer}, image " in err
    assert "channel 1: array " in err
    assert err.count("\n") == 1
    if as_json:
        shown = json.loads(out)
        assert shown["identical_to_golden"] is False
        assert shown["first_difference"].startswith(f"layer {layer}, image ")
    else:
        assert "identical" not in out
    golden, changed = (right(net, IMAGE) for net in (artifact, other))
    wanted = golden.codes["a"] if layer == "a" else golden.accumulators
    found = changed.codes["a"] if layer == "a" else changed.accumulators
    image, row, column, channel = np.argwhere(wanted != found)[0]
    place = f"layer {layer}, image {image}, row {row}, column {column}, channel {channel}"
    assert place in err


IMAGE = np.random.default_rng(0).integers(0, 256, (9, 5, 5, 1), dtype=np.uint8)
"""What ``--random --images 9`` makes."""


def test_train_export_and_back(cli: Cli, tmp_path: Path) -> None:
    run, made = tmp_path / "run", tmp_path / "digits.safetensors"
    options = ("--run", run, "--epochs", "1", "--seed", "5", "--threads", "1")
    status, out, _ = cli("train", "digits-cnn-w1a2", *options)
    assert status == 0
    assert "1 epochs" in out
    assert (run / "log.csv").is_file()
    status, out, _ = cli("export", run, "-o", made)
    assert status == 0
    assert f"{made}: " in out
    assert Artifact.load(made).provenance["seed"] == 5
    status, out, _ = cli("train")
    assert status == 0
    for recipe in ("digits-cnn-w1a2", "mnist-mlp-w1a1", "mnist-cnn-w1a2"):
        assert recipe in out
