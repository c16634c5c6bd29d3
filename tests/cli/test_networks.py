# SPDX-License-Identifier: Apache-2.0
"""Networks by name: untrained, the same in every command, and said to be so."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from xnorflow.cli.images import find_artifact, load_images, open_artifact
from xnorflow.core.artifact import Artifact
from xnorflow.zoo import networks
from xnorflow.zoo.catalog import sample

Cli = Callable[..., tuple[int, str, str]]
GEOMETRY = ("--geometry", "2x2x4x8")
NOTE = "random weights of seed 0, thresholds balanced on 64 images"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks with a sixteenth of their channels, which the default array runs quickly."""
    monkeypatch.setattr(networks, "named", partial(networks.named, shrink=16))


def test_a_name_means_the_same_artifact_everywhere() -> None:
    artifact = open_artifact("cnv")
    assert find_artifact("cnv") is None
    assert artifact.network == networks.named("cnv-w1a1")
    assert artifact.metadata()["digest"] == open_artifact("cnv-w1a1").metadata()["digest"]
    assert artifact.provenance == {"untrained": NOTE, "data": "cifar10"}
    images, labels = sample("cifar10")
    test = load_images(artifact, None)
    np.testing.assert_array_equal(test.images, images)
    np.testing.assert_array_equal(test.labels, labels)


def test_a_file_of_that_name_comes_first(
    file: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.rename(file.with_name("cnv"))
    monkeypatch.chdir(file.parent)
    assert open_artifact("cnv").network == artifact.network


def test_info_says_untrained(cli: Cli) -> None:
    status, out, err = cli("info", "nin-cifar10-w1a2")
    assert (status, err) == (0, "")
    assert out.startswith("nin-cifar10-w1a2: no file, ")
    assert f"untrained {NOTE}" in out
    assert "3 /2" in out  # pools of 3x3 in steps of 2
    shown = json.loads(cli("info", "nin-cifar10-w1a2", "--json")[1])
    assert shown["file"] is None
    assert shown["provenance"]["untrained"] == NOTE
    assert shown["network"]["layers"][2]["pool_stride"] == 2


@pytest.mark.usefixtures("small")
def test_compile_says_untrained(cli: Cli, file: Path) -> None:
    status, out, err = cli("compile", "cnv")
    assert (status, err) == (0, "")
    assert f"untrained: {NOTE}" in " ".join(out.split())
    assert json.loads(cli("compile", "cnv", "--json")[1])["untrained"] is True
    assert json.loads(cli("compile", file, *GEOMETRY, "--json")[1])["untrained"] is False
    assert "untrained" not in cli("compile", file, *GEOMETRY)[1]


@pytest.mark.usefixtures("small")
def test_run_says_untrained(cli: Cli) -> None:
    status, out, err = cli("run", "cnv-w1a2", "--images", "2")
    assert (status, err) == (0, "")
    assert "the shipped cifar10 sample" in out
    assert f"untrained: {NOTE}" in out
    assert "identical to the golden model: 2 images, 9 layers" in out


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_share_the_images(cli: Cli, file: Path, jobs: int) -> None:
    images = ("--random", "--images", "7")
    status, out, err = cli("run", file, *GEOMETRY, *images, "--jobs", jobs, "--json")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert shown["jobs"] == jobs
    assert shown["images"] == 7
    assert shown["identical_to_golden"] is True
    assert shown["untrained"] is False
    assert shown["cycles"] == shown["predicted_cycles"]
    assert shown["seconds"] > 0
    assert shown["images_per_second"] == pytest.approx(7 / shown["seconds"])


def test_a_trace_is_one_process_s(cli: Cli, file: Path, tmp_path: Path) -> None:
    arguments = ("--random", "--images", "40", "--trace", tmp_path / "x.vcd", "--jobs", "2")
    status, _, err = cli("run", file, *GEOMETRY, *arguments)
    assert status == 2
    assert err == "error: 2 jobs cannot write one trace; trace with jobs 1\n"
    status, _, err = cli("run", file, *GEOMETRY, "--random", "--images", "40", "--jobs", "0")
    assert (status, err) == (2, "error: jobs must be at least 1, not 0\n")


def test_an_unknown_name_hears_of_files_and_networks(cli: Cli) -> None:
    status, _, err = cli("run", "cnv-w1a7")
    assert status == 2
    assert err.startswith("error: cnv-w1a7: no such file, ")
    for word in ("mnist-mlp-w1a1", "near it: cnv-w1a", "vgg11-cifar10"):
        assert word in err


def test_without_a_number_all_images_of_the_sample_are_taken() -> None:
    mnist = open_artifact("mnist-mlp-w1a1")
    assert len(load_images(mnist, None).images) == 256
    assert len(load_images(open_artifact("cnv"), None).images) == 64
    assert len(load_images(mnist, None, random=True).images) == 256
    with pytest.raises(ValueError, match="has 64 images, not 65; for more name the folder"):
        load_images(open_artifact("cnv"), 65)
