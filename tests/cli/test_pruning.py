# SPDX-License-Identifier: Apache-2.0
"""``xnorflow prune``: from a run to a smaller one that exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., tuple[int, str, str]]
QUICK = ("--mask-epochs", "1", "--retrain-epochs", "1", "--strength", "1e-5", "--threads", "1")


def test_train_prune_export(cli: Cli, tmp_path: Path) -> None:
    run, pruned, cascade = (str(tmp_path / name) for name in ("run", "pruned", "cascade"))
    train = ("train", "digits-cnn-w1a2", "--epochs", "1", "--run", run, "--threads", "1")
    assert cli(*train)[0] == 0
    status, out, _ = cli("prune", run, "--run", pruned, *QUICK)
    assert status == 0
    assert "select   conv2" in out and "retrain  fc3" in out
    assert "of the filters pruned" in out

    like = ("--like", pruned, "--method", "msf-cascade", "--json")
    shown = json.loads(cli("prune", run, "--run", cascade, *QUICK, *like)[1])
    described = json.loads((tmp_path / "pruned" / "pruning.json").read_text())
    assert shown["layers"] == described["layers"]
    assert shown["pfr"] == described["pfr"] > 0

    artifact = str(tmp_path / "pruned.safetensors")
    assert cli("export", pruned, "-o", artifact)[0] == 0
    layers = {layer["name"]: layer for layer in json.loads(cli("summary", artifact, "--json")[1])[
        "layers"
    ]}  # fmt: skip
    for name, layer in described["layers"].items():
        assert layers[name]["out_shape"][2] == layer["kept"]

    status, _, err = cli("prune", run, "--run", cascade, *QUICK)
    assert status == 2 and "name another directory" in err


def test_mistakes(cli: Cli, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    status, _, err = cli("prune", nowhere, "--run", str(tmp_path / "to"))
    assert status == 2 and "no run.json; make a run with `xnorflow train" in err
    status, _, err = cli("prune", nowhere, "--run", nowhere, "--method", "msf-cascade")
    assert status == 2 and "name a pruned run with --like" in err
    status, _, err = cli("prune", nowhere, "--run", nowhere, "--method", "magic")
    assert status == 2 and "unknown method 'magic'" in err
