# SPDX-License-Identifier: Apache-2.0
"""``compile --report``, ``--lanes`` and ``explore`` say what the compiler says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]
GEOMETRY = ("--geometry", "2x2x4x8")


def test_report_adds_up(cli: Cli, file: Path) -> None:
    shown = json.loads(cli("compile", file, *GEOMETRY, "--report", "--json")[1])
    for part in (shown, *shown["layers"]):
        useful = part["utilisation"] * part["cycles"]
        assert useful + sum(part["lost"].values()) == pytest.approx(part["cycles"])
        assert part["cycles_per_image"] == part["cycles"] / shown["block"]
    status, out, _ = cli("compile", file, *GEOMETRY, "--report")
    assert status == 0
    for word in ("network", "weights", "border", "a ", "b "):
        assert word in out
    assert "border" not in cli("compile", file, *GEOMETRY)[1]


def test_latency_mode_runs_one_image(cli: Cli, file: Path) -> None:
    shown = json.loads(cli("compile", file, *GEOMETRY, "--mode", "latency", "--json")[1])
    assert (shown["mode"], shown["block"]) == ("latency", 1)
    assert shown["latency_cycles"] == 25 + shown["cycles"]
    both = json.loads(cli("compile", file, *GEOMETRY, "--json")[1])
    assert both["block"] > 1
    assert both["cycles_per_image"] < shown["cycles_per_image"]
    status, out, err = cli("compile", file, *GEOMETRY, "--mode", "fast")
    assert (status, out) == (2, "")
    assert "--mode must be throughput or latency, not 'fast'" in err


@pytest.mark.parametrize(("ending", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_pictures(cli: Cli, file: Path, tmp_path: Path, ending: str, head: bytes) -> None:
    target = tmp_path / f"new/report{ending}"
    assert cli("compile", file, *GEOMETRY, "--plot", target)[0] == 0
    assert target.read_bytes().startswith(head)


def test_no_picture_of_another_kind(cli: Cli, file: Path) -> None:
    status, _, err = cli("compile", file, *GEOMETRY, "--plot", "report.bmp")
    assert status == 2
    assert "must end in .png, .svg, .pdf" in err


def test_lanes(cli: Cli, file: Path) -> None:
    one, two = (
        json.loads(cli("compile", file, *GEOMETRY, "--lanes", lanes, "--json")[1])
        for lanes in (1, 2)
    )
    assert one["geometry"] == two["geometry"]
    assert one["layers"][1]["cycles_per_image"] < two["layers"][1]["cycles_per_image"]
    status, _, err = cli("run", file, *GEOMETRY, "--lanes", 3)
    assert status == 2
    assert "lanes must be from 1 to 2, not 3" in err


def test_explore(cli: Cli, file: Path) -> None:
    arguments = ("explore", file, "--device", "ecp5-25f", "--top", 2, "--clock-mhz", 50)
    shown = json.loads(cli(*arguments, "--json")[1])
    assert len(shown) == 2
    assert shown[0]["images_per_second"] >= shown[1]["images_per_second"]
    rate = 50e6 / max(25, shown[0]["cycles_per_image"])
    assert shown[0]["images_per_second"] == pytest.approx(rate)
    out = cli(*arguments)[1]
    assert shown[0]["geometry"] in out
    errors = json.loads(cli("explore", "--check", "--json")[1])
    assert errors
    assert "synthesis > estimate" in cli("explore", "--check")[1]
    status, _, err = cli("explore", file, "--device", "virtex")
    assert status == 2
    assert "--device must be one of ecp5-85f" in err


def test_fewer_lanes_run_on_the_same_array(cli: Cli, file: Path) -> None:
    """One simulation of one geometry: exact with one lane and with two, and quicker with one."""
    arguments = ("run", file, *GEOMETRY, "--random", "--images", 9, "--jobs", 1, "--json")
    one, two = (json.loads(cli(*arguments, "--lanes", lanes)[1]) for lanes in (1, 2))
    for shown in (one, two):
        assert shown["identical_to_golden"]
        assert shown["cycles"] == shown["predicted_cycles"]
    assert one["geometry"] == two["geometry"]
    assert one["cycles"] < two["cycles"]
