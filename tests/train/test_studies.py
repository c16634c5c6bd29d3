# SPDX-License-Identifier: Apache-2.0
"""Studies run, go on, and end as tables that are made of the logs alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xnorflow.train import studies
from xnorflow.train.overrides import override
from xnorflow.train.recipes import recipe
from xnorflow.train.results import (
    BEGIN,
    END,
    logged_runs,
    save_logs,
    tables,
    write_between,
)
from xnorflow.train.studies import PLAIN, STUDIES, Study, Variant, run_study, study
from xnorflow.train.trainer import train

torch.set_num_threads(1)

TINY = Study(
    "How fast",
    "a paper, table 9",
    (Variant("slow", ("lr=1e-5",), "10/20"), Variant("fast", ("lr=1e-2",))),
    ("layers.0.channels=4", "layers.1.channels=4", "batch_size=240", "schedule=hold"),
    recipe="digits-cnn-w1a2",
)


@pytest.mark.parametrize(
    ("name", "variant"), [(name, v) for name, s in STUDIES.items() for v in s.variants], ids=str
)
def test_every_variant_is_a_network_that_trains(name: str, variant: Variant) -> None:
    found = STUDIES[name]
    settings = (*PLAIN, *found.settings, *variant.settings)
    chosen = override(recipe(found.recipe), settings)
    # The same structure, thinner.
    thin = [f"layers.{i}.channels=8" for i in range(len(chosen.layers) - 1)]
    model = override(chosen, thin).build()
    images = torch.randint(0, 256, (4, *chosen.image_shape), dtype=torch.uint8)
    model(images).square().sum().backward()
    learnt = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learnt)


def test_variants_of_a_study_differ() -> None:
    for name, found in STUDIES.items():
        made = {
            override(recipe(found.recipe), (*found.settings, *v.settings)) for v in found.variants
        }
        assert len(made) == len(found.variants), name


def test_a_study_goes_on_and_becomes_a_table(tmp_path: Path, monkeypatch) -> None:
    # A study's name is also where its table stands.
    monkeypatch.setitem(studies.STUDIES, "tiny", TINY)
    done: list[str] = []

    def run(**options) -> bool:
        return run_study(
            "tiny", tmp_path, None, settings=["epochs=2"], seeds=(1, 2),
            report=lambda name, _: done.append(name), **options,
        )  # fmt: skip

    assert run(minutes=0) is False and done == []
    assert run() is True
    assert done[:2] == ["tiny/slow/seed-1", "tiny/fast/seed-1"] and len(done) == 4
    # What another study has trained is not trained again, nor is what is unfinished taken.
    twin = replace(TINY, variants=(Variant("same", ("lr=1e-2",)),))
    monkeypatch.setitem(studies.STUDIES, "twin", twin)
    assert run_study("twin", tmp_path, None, settings=["epochs=2"], seeds=(1,))
    logs = [tmp_path / name / "seed-1/log.csv" for name in ("tiny/fast", "twin/same")]
    assert logs[0].read_text() == logs[1].read_text()
    assert not run_study("twin", tmp_path, None, settings=["epochs=3"], seeds=(3,), minutes=0)
    shutil.rmtree(tmp_path / "twin")
    train(recipe("digits-cnn-w1a2"), None, tmp_path / "alone", show=False, stop_after=1)
    for checkpoint in tmp_path.rglob("*.pt"):
        checkpoint.unlink()  # the tables need none
    runs = logged_runs(tmp_path)
    saved = tmp_path / "docs" / "runs.jsonl"
    save_logs(runs, saved)
    assert logged_runs(saved) == runs
    saved.write_text(saved.read_text().replace("test_accuracy", "other"))
    with pytest.raises(ValueError, match=r"runs\.jsonl is damaged"):
        logged_runs(saved)
    by_name = {str(run.path): run for run in runs}
    text = tables(runs)
    slow = [by_name[f"tiny/slow/seed-{seed}"].accuracy for seed in (1, 2)]
    mean, spread = sum(slow) / 2, abs(slow[0] - slow[1]) / 2**0.5
    assert f"| slow | {mean:.2f} ± {spread:.2f} | 2 | 2 |" in text
    assert "| 10/20 |" in text and "`xnorflow study tiny`. Paper: a paper, table 9." in text
    assert "| `digits-cnn-w1a2` | digits | 1 of 40 | 1 |" in text
    assert text.count("`digits-cnn-w1a2`") == 1


def test_text_around_the_tables_stays(tmp_path: Path) -> None:
    document = tmp_path / "docs" / "results.md"
    write_between(document, "first")
    document.write_text("Before.\n" + document.read_text() + "After.\n")
    write_between(document, "second")
    text = document.read_text()
    assert text.startswith("Before.\n# Results") and text.endswith(f"{END}\nAfter.\n")
    assert f"{BEGIN}\n\nsecond\n{END}" in text and "first" not in text
    document.write_text("no marks")
    with pytest.raises(ValueError, match="has no lines"):
        write_between(document, "third")
    assert document.read_text() == "no marks"


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown study 'lane'; did you mean 'lanes'"):
        study("lane")
    with pytest.raises(ValueError, match="no runs in it"):
        logged_runs(tmp_path)
    train(recipe("digits-cnn-w1a2"), None, tmp_path / "run", show=False, stop_after=1)
    (tmp_path / "run" / "log.csv").write_text("epoch\n1\n")
    with pytest.raises(ValueError, match="one of its files is damaged"):
        logged_runs(tmp_path)


def test_the_page_of_results_is_made_from_the_logs_beside_it() -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "results.md").read_text()
    generated = page.partition(BEGIN)[2].partition(END)[0].strip()
    assert generated == tables(logged_runs(docs / "runs.jsonl")).strip()
