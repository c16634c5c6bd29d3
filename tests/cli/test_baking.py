# SPDX-License-Identifier: Apache-2.0
"""``--net``: what the command line says of a network that a design holds from the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Outcome

from xnorflow.core.artifact import Artifact
from xnorflow.zoo.catalog import sample

Cli = Callable[..., Outcome]
GEOMETRY = "2x2x4x8,max_lanes=2"


@pytest.mark.parametrize(
    "top",
    ["uart", *(pytest.param(name, marks=pytest.mark.slow) for name in ("core", "axi", "wishbone"))],
)
def test_a_network_in_verilog(cli: Cli, file: Path, tmp_path: Path, top: str) -> None:
    """Memories have their words, the manifest the name, and the hash another value."""
    shown = []
    for net in ((), ("--net", file)):
        target = tmp_path / "design.v"
        command = ("verilog", "--top", top, "--geometry", GEOMETRY, *net, "-o", target)
        status, out, err = cli(*command, "--json")
        assert (status, err) == (0, "")
        shown.append(json.loads(out))
    assert shown[0]["network"] is None
    assert shown[0]["build_hash"] != shown[1]["build_hash"]
    network = shown[1]["network"]
    assert network == json.loads((tmp_path / "design.json").read_text())["network"]
    assert network["digest"] == Artifact.load(file).metadata()["digest"]
    assert (network["name"], network["own_input"], network["image_bytes"]) == (
        "two-layers", True, 25,
    )  # fmt: skip
    text = target.read_text()
    assert "initial begin" in text and "block_ram[0] = " in text
    ports = [port["name"] for port in json.loads((tmp_path / "design.json").read_text())["ports"]]
    assert ("best" in ports) is (top == "uart")


def test_a_network_that_does_not_fit(cli: Cli, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "design.v"
    status, _, err = cli(
        "verilog", "--geometry", "2x2x4x8,weight_depth=16", "--net", file, "-o", target
    )
    assert status == 2
    assert "weight_depth" in err and "--geometry" in err
    assert not target.exists()


def test_a_board_for_other_networks(cli: Cli, tmp_path: Path) -> None:
    command = ("build", "--board", "icebreaker", "-o", tmp_path / "out")
    status, _, err = cli(*command, "--net", "mnist-cnn-w1a2")
    assert (status, "conv1" in err) == (2, True)
    status, _, err = cli(*command, "--net", "nothing")
    assert (status, "no such file" in err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_single_port_ram_begins_with_nothing(cli: Cli, tmp_path: Path) -> None:
    status, _, err = cli(
        "build", "--board", "icebreaker", "--net", "mnist-mlp-w1a1", "-o", tmp_path / "out"
    )
    assert status == 2
    assert "single-port RAM, which holds nothing at the start" in err
    assert "alone needs" in err and "without --net" in err


def test_pixels(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "images.bin"
    command = ("pixels", "mnist-mlp-w1a1", "--images", 2, "--skip", 3, "-o", target)
    status, out, err = cli(*command, "--json")
    assert (status, err) == (0, "")
    images, labels = sample("mnist")
    assert target.read_bytes() == np.ascontiguousarray(images[3:5]).tobytes()
    shown = json.loads(out)
    assert (shown["image_bytes"], shown["labels"]) == (784, labels[3:5].tolist())
    assert cli(*command).out.splitlines()[-1] == "answers: " + " ".join(shown["answers"])
