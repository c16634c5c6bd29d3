# SPDX-License-Identifier: Apache-2.0
"""Pruning step by step: what learns when, what is chosen, and going on after a break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xnorflow.train import pruned_runs
from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.data import Dataset, load
from xnorflow.train.export import export
from xnorflow.train.masks import masked
from xnorflow.train.models import Layer
from xnorflow.train.pruned_runs import kept_like, prune_run, train_smaller
from xnorflow.train.pruning import prune
from xnorflow.train.pruning_steps import Pruning
from xnorflow.train.recipes import recipe
from xnorflow.train.results import logged_runs, tables
from xnorflow.train.runs import load_run
from xnorflow.train.trainer import accuracy, train

torch.set_num_threads(1)

SMALL = replace(
    recipe("digits-cnn-w1a2"),
    name="small",
    layers=(Layer(8, 3, padding=1, pool=2), Layer(16, 3, padding=1), Layer(24), Layer(10)),
    epochs=6,
)
QUICK = Pruning(mask_epochs=1, retrain_epochs=1, strength=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "small"
    train(SMALL, None, folder, show=False)
    return folder


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def model_of(run: Path) -> BinaryNetwork:
    return load_run(run).model


def copied(model: BinaryNetwork) -> dict[str, dict[str, Tensor]]:
    return {
        name: {key: tensor.clone() for key, tensor in block.state_dict().items()}
        for name, block in model.named_blocks().items()
    }


def changed(
    before: Mapping[str, Mapping[str, Tensor]], model: BinaryNetwork
) -> dict[str, set[str]]:
    """Names of the tensors that are no longer what they were, by block."""
    now = copied(model)
    return {
        name: {key for key in now[name] if not torch.equal(now[name][key], before[name][key])}
        for name in now
    }


def test_bottom_up_what_learns_when(run: Path, digits: Dataset) -> None:
    model = model_of(run)
    states = [copied(model)]
    seen: list[tuple[str, str, dict[str, set[str]]]] = []

    def report(entry: Mapping[str, Any]) -> None:
        seen.append((entry["stage"], entry["layer"], changed(states[-1], model)))
        states.append(copied(model))

    masks, log = prune(SMALL, model, digits, QUICK, report=report)
    steps = [(stage, layer) for stage, layer, _ in seen]
    assert steps == [
        ("select", "conv2"), ("retrain", "conv2"), ("select", "fc3"), ("retrain", "fc3"),
    ]  # fmt: skip
    weights = {"linear.weight", "norm.weight", "norm.bias"}
    for stage, layer, changes in seen:
        names = list(changes)
        at = names.index(layer)
        for index, name in enumerate(names):
            if stage == "select":  # nothing is trained; blocks behind the mask see other maps
                assert not changes[name] & weights
                assert bool(changes[name]) == (index > at), name
            else:
                assert (weights <= changes[name]) == (index >= at), name
                assert bool(changes[name]) == (index >= at), name
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4]
    assert all(0 < int(mask.kept().sum()) < len(mask.weight) for mask in masks.values())
    assert log[-1]["kept"] == sum(int(mask.kept().sum()) for mask in masks.values())
    with masked(model, masks):
        assert accuracy(model, digits.test_images, digits.test_labels) == log[-1]["test_accuracy"]


def test_strength_prunes(run: Path, digits: Dataset) -> None:
    """The regulariser's gradient acts: without it fewer filters go, with much of it nearly all."""
    kept = []
    for strength in (0.0, 1e-4, 1.0):
        settings = replace(QUICK, strength=strength, retrain_epochs=0)
        masks, _ = prune(SMALL, model_of(run), digits, settings)
        kept.append([int(mask.kept().sum()) for mask in masks.values()])
    assert sum(kept[0]) > sum(kept[1]) > sum(kept[2])
    assert kept[2] == [1, 1]


def test_msf_takes_the_smallest_scales(run: Path, digits: Dataset) -> None:
    counts = {"conv2": 6, "fc3": 5}
    weight = model_of(run).named_blocks()["conv2"].linear.weight.detach()
    sizes = weight.abs().flatten(1).mean(1)
    for method, stages in (
        ("msf-layerwise", [("retrain", "all")] * 2),
        ("msf-cascade", [("retrain", "conv2"), ("retrain", "fc3")]),
    ):
        model = model_of(run)
        before = copied(model)
        masks, log = prune(SMALL, model, digits, replace(QUICK, method=method), filters=counts)
        assert {name: int(mask.kept().sum()) for name, mask in masks.items()} == counts
        kept = masks["conv2"].kept()
        assert sizes[kept].min() > sizes[~kept].max()
        assert [(entry["stage"], entry["layer"]) for entry in log] == stages
        assert "linear.weight" in changed(before, model)["conv1"]  # the whole network learns


def test_a_pruned_run_goes_on_to_the_same_bits_and_exports(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prune_run(run, tmp_path / "whole", QUICK)

    def cut_off(entry: Mapping[str, Any]) -> None:
        if entry["layer"] == "fc3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_run(run, tmp_path / "parts", QUICK, report=cut_off)
    with pytest.raises(ValueError, match="its pruning is not finished"):
        kept_like(tmp_path / "parts")
    assert (tmp_path / "parts" / pruned_runs.STATE).is_file()
    assert prune_run(run, tmp_path / "parts", QUICK) == whole
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["model"]
        for name in ("whole", "parts")
    ]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert not (tmp_path / "parts" / pruned_runs.STATE).exists()

    artifact = export(tmp_path / "whole")
    layers = {layer.name: layer for layer in artifact.network.layers}
    for name, layer in whole["layers"].items():
        assert layers[name].out_channels == layer["kept"] < layer["filters"]
    test = artifact.provenance["test"]
    assert test["argmax_changes"] == 0 and test["equal_logits"]
    assert test["accuracy"] == pytest.approx(whole["accuracy"])
    share = sum(layer["kept"] for layer in whole["layers"].values()) / (16 + 24)
    assert whole["pfr"] == pytest.approx(1 - share)


def test_baselines_like_a_pruned_run(run: Path, tmp_path: Path) -> None:
    learnt = prune_run(run, tmp_path / "learnt", QUICK)
    counts = kept_like(tmp_path / "learnt")
    settings = replace(QUICK, method="msf-cascade")
    cascade = prune_run(run, tmp_path / "cascade", settings, filters=counts)
    scratch = train_smaller(run, tmp_path / "smaller", counts, epochs=1)
    assert learnt["pfr"] == cascade["pfr"] == scratch["pfr"]
    shapes = [
        [len(block.linear.weight) for block in model_of(tmp_path / name).named_blocks().values()]
        for name in ("learnt", "cascade", "smaller")
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    text = tables(logged_runs(tmp_path))
    for method, result in (("subsidiary", learnt), ("msf-cascade", cascade), ("smaller", scratch)):
        before, after = (100 - 100 * result[key] for key in ("accuracy_before", "accuracy"))
        row = f"| {method} | {100 * result['pfr']:.1f} | {before:.2f} to {after:.2f} |"
        assert row in text, text
    assert "## Networks" not in text


def test_what_does_not_fit_is_refused(run: Path, digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown method 'magic'; known: subsidiary"):
        Pruning(method="magic")
    with pytest.raises(ValueError, match="mask_rate must be positive, not 0"):
        Pruning(mask_rate=0)
    with pytest.raises(ValueError, match="need to be told how many filters"):
        prune(SMALL, model_of(run), digits, Pruning(method="msf-cascade"))
    msf = replace(QUICK, method="msf-cascade")
    with pytest.raises(ValueError, match="but those that can be pruned"):
        prune(SMALL, model_of(run), digits, msf, filters={"conv1": 3})
    with pytest.raises(ValueError, match="'fc3' has 24 filters and cannot keep 25"):
        prune(SMALL, model_of(run), digits, msf, filters={"conv2": 1, "fc3": 25})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="full is not empty; name another directory"):
        prune_run(run, tmp_path / "full", QUICK)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pruning.json").write_text(json.dumps({"source": "elsewhere"}))
    with pytest.raises(ValueError, match="of other settings; name another directory"):
        prune_run(run, tmp_path / "other", QUICK)
    with pytest.raises(FileNotFoundError, match="make one with `xnorflow prune`"):
        kept_like(tmp_path / "full")
