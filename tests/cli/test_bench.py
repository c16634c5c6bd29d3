# SPDX-License-Identifier: Apache-2.0
"""``xnorflow bench`` prints what it measured, and one line where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable

Cli = Callable[..., tuple[int, str, str]]
ARRAY = ("bench", "array", "--part", "array", "--geometry", "2x1x4x8")


def test_json(cli: Cli) -> None:
    status, out, _ = cli(*ARRAY, "--geometry", "2x1x2x8", "--json")
    assert status == 0
    made = json.loads(out)
    assert [each["geometry"] for each in made[:2]] == ["2x1x4x8", "2x1x2x8"]
    assert {each["peer"] for each in made[2:]} >= {"behavioural popcount"}
    keys = {"geometry", "family", "lut", "ff", "memory_blocks", "lut_per_op", "fmax_mhz", "tops"}
    assert all(keys <= each.keys() for each in made[:2])
    assert all(each["family"] == "ecp5" and each["lut_per_op"] > 0.5 for each in made)


def test_table(cli: Cli) -> None:
    status, out, _ = cli(*ARRAY, "--no-peers")
    assert status == 0
    assert "2x1x4x8" in out
    assert "LUT/op" in out
    assert "popcount" not in out


def test_mistakes(cli: Cli) -> None:
    for wrong in (("--family", "max10"), ("--part", "foot")):
        status, out, err = cli("bench", "array", *wrong)
        assert (status, out) == (2, "")
        assert f"{wrong[0]} must be one of" in err
    status, _, err = cli(*ARRAY, "--family", "xc7", "--route")
    assert status == 2
    assert "only ecp5 can be routed" in err


def test_training(cli: Cli) -> None:
    bench = ("bench", "train", "digits-cnn-w1a2", "--threads", "1", "--steps", "3")
    status, out, _ = cli(*bench, "--set", "batch_size=32", "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["recipe"], found["batch"], found["threads"]) == ("digits-cnn-w1a2", 32, 1)
    assert 0.1 < found["share"] == found["ours"] / found["plain"] < 10
    status, out, _ = cli(*bench)
    assert status == 0 and "batch 64, float32, cpu" in out and "% of it" in out
    status, _, err = cli(*bench, "--set", "bath_size=32")
    assert status == 2 and "did you mean 'batch_size'?" in err
