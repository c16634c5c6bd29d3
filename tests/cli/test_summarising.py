# SPDX-License-Identifier: Apache-2.0
"""``xnorflow summary``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xnorflow.core.artifact import Artifact

Cli = Callable[..., tuple[int, str, str]]
NAMES = (
    "cnv", "nin-cifar10", "vgg11-cifar10", "resnet18-cifar10", "nin-imagenet",
    "nin-imagenet-expanded", "alexnet", "resnet18", "googlenet-variant",
)  # fmt: skip
KEYS = (
    "parameters_1bit", "parameters_32bit", "packed_bytes", "float_bytes", "compression_rate",
    "flops",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_json_of_every_name(cli: Cli, name: str) -> None:
    status, out, err = cli("summary", name, "--json")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert all(shown[key] > 0 for key in KEYS)
    assert shown["compression_rate"] == shown["float_bytes"] / shown["packed_bytes"]
    layers = shown["layers"]
    for key in ("parameters_1bit", "parameters_32bit", "macs_1bit", "macs_32bit"):
        assert sum(layer[key] for layer in layers) == shown[key]
    assert all(len(layer["in_shape"]) == len(layer["out_shape"]) == 3 for layer in layers)


def test_the_expanded_nin_is_compared_with_nin_and_alexnet(cli: Cli) -> None:
    shown = json.loads(cli("summary", "nin-imagenet-expanded", "--json")[1])
    assert shown["baseline"] == "nin-imagenet"
    assert round(shown["compression_rate"], 1) == 23.6
    assert round(shown["compression_rates"]["alexnet-caffe"]) == 189
    out = cli("summary", "nin-imagenet-expanded")[1]
    assert "1,287,684 bytes, 1.23 MiB" in out
    assert "23.59x of nin-imagenet, 28.23x of nin-imagenet-expanded, 189.38x of alexnet" in out


def test_a_file_and_a_shipped_artifact(cli: Cli, file: Path, artifact: Artifact) -> None:
    shown = json.loads(cli("summary", str(file), "--json")[1])
    assert [layer["name"] for layer in shown["layers"]] == [
        layer.name for layer in artifact.network.layers
    ]
    shown = json.loads(cli("summary", "mnist-mlp-w1a1", "--json")[1])
    assert shown["parameters_1bit"] == 784 * 256 + 2 * 256 * 256 + 256 * 10


def test_without_a_name_it_lists_them(cli: Cli) -> None:
    names = cli("summary")[1].split()
    assert {"cnv-w1a1", *NAMES[3:]} <= set(names)


def test_an_unknown_name_lists_the_nearest(cli: Cli) -> None:
    status, _, err = cli("summary", "resnet81")
    assert status == 2
    assert "resnet81: no such file and no network of that name; near it: resnet18" in err


def test_plot(cli: Cli, tmp_path: Path) -> None:
    for name in ("resnet18", "nin-cifar10"):
        picture = tmp_path / f"{name}.svg"
        assert cli("summary", name, "--plot", str(picture))[0] == 0
        assert "<svg" in picture.read_text()
    status, _, err = cli("summary", "cnv", "--plot", str(tmp_path / "cnv.txt"))
    assert status == 2 and "the name must end in .png, .svg, .pdf" in err
