# SPDX-License-Identifier: Apache-2.0
"""Regularisers, a teacher, sign changes: their formulas, and that a run uses them."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from xnorflow.train.flips import SignChanges
from xnorflow.train.losses import bipolar, distillation, l2, objective
from xnorflow.train.models import Layer, build
from xnorflow.train.recipes import recipe
from xnorflow.train.runs import load_run
from xnorflow.train.trainer import train

torch.set_num_threads(1)

SMALL = replace(
    recipe("digits-cnn-w1a2"),
    name="small",
    layers=(Layer(8, kernel=3, padding=1, pool=2), Layer(16, prelu=True), Layer(10)),
    epochs=3,
)


def model():
    torch.manual_seed(3)
    return build((6, 6, 1), 8, (Layer(4, kernel=3), Layer(5, weights="8bit"), Layer(3)))


def test_the_bipolar_term_is_equation_2() -> None:
    network = model()
    binary = [network.blocks[0].linear.weight, network.blocks[2].linear.weight]
    expected = sum(1 - w * w for weight in binary for w in weight.flatten().tolist())
    term = bipolar(network)
    assert term.item() == pytest.approx(expected, rel=1e-5)
    assert l2(network).item() == pytest.approx(sum(w.numel() for w in binary) - expected, rel=1e-5)
    term.backward()
    for weight in binary:
        torch.testing.assert_close(weight.grad, -2 * weight.detach())
    # Weights of eight bits are not to be bipolar.
    assert network.blocks[1].linear.weight.grad is None


def test_the_objective_adds_its_terms_up() -> None:
    network, labels = model(), torch.tensor([0, 2])
    logits, taught = torch.randn(2, 3), torch.randn(2, 3)
    plain = F.cross_entropy(logits, labels)
    settings = replace(SMALL, bipolar=0.25, l2=0.5, teacher_share=0.75, temperature=3.0)
    expected = (
        0.25 * plain
        + 0.75 * distillation(logits, taught, 3.0)
        + 0.25 * bipolar(network)
        + 0.5 * l2(network)
    )
    torch.testing.assert_close(objective(settings, network, logits, labels, taught), expected)
    torch.testing.assert_close(objective(SMALL, network, logits, labels), plain)


def test_distillation_is_the_cross_entropy_of_softened_answers() -> None:
    logits, taught = torch.randn(4, 5), torch.randn(4, 5)
    soft = F.cross_entropy(logits / 2, F.softmax(taught / 2, 1)) * 4
    torch.testing.assert_close(distillation(logits, taught, 2.0), soft)


def test_sign_changes_are_counted_where_they_are_looked_for() -> None:
    network = model()
    changes = SignChanges(network, every=2)
    first = network.blocks[0].linear.weight
    for number in range(4):
        with changes.step(number), torch.no_grad():
            if number == 2:
                first[0] *= -1  # 9 of 36
            if number == 3:
                first *= -1  # nobody looks
    shares = changes.shares()
    assert list(shares) == ["conv1", "fc2", "fc3"]
    assert shares["conv1"] == 9 / 36 / 2 and shares["fc2"] == shares["fc3"] == 0


def test_a_higher_rate_changes_more_signs_and_the_log_says_so(tmp_path) -> None:
    shares = []
    for rate in (1e-2, 1e-4):
        folder = tmp_path / str(rate)
        train(replace(SMALL, learning_rate=rate), None, folder, show=False, stop_after=1)
        with (folder / "log.csv").open() as file:
            (row,) = csv.DictReader(file)
        shares.append([float(row[f"sign_changes {name}"]) for name in ("conv1", "fc2", "fc3")])
    assert sum(shares[0]) > 10 * sum(shares[1]) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"bipolar": 1e-4},
        {"l2": 1e-4},
        {"optimizer": "sgd", "learning_rate": 0.05},
        {"estimator": "approx"},
        {"estimator": "swish"},
        {"schedule": "plateau"},
    ],
    ids=str,
)
def test_a_run_with_another_setting_learns_and_differs(tmp_path, changes) -> None:
    settings = replace(SMALL, **changes)
    found = train(settings, None, tmp_path / "a", show=False)
    plain = train(SMALL, None, tmp_path / "b", show=False)
    assert found.log[-1]["train_loss"] < found.log[0]["train_loss"]
    assert found.log[-1]["test_accuracy"] > 0.3
    weights = [run.model.blocks[1].linear.weight for run in (found, plain)]
    same = changes == {"schedule": "plateau"} and found.log[0] == plain.log[0]
    assert same or not torch.equal(*weights)


def test_weights_and_slopes_are_free_where_the_recipe_says_so(tmp_path) -> None:
    free = replace(SMALL, clip=False, rising=False, learning_rate=0.3, epochs=1)
    weights = train(free, None, tmp_path / "a", show=False).model.blocks[1]
    assert weights.linear.weight.abs().max() > 1
    bound = train(replace(free, clip=True, rising=True), None, tmp_path / "b", show=False)
    assert bound.model.blocks[1].linear.weight.abs().max() <= 1
    assert bound.model.blocks[1].prelu.weight.min() >= 0


def test_a_teachers_answers_are_learnt(tmp_path) -> None:
    real = [replace(layer, weights="real", activation="real", relu=True) for layer in SMALL.layers]
    teacher = replace(SMALL, layers=(*real[:-1], replace(real[-1], relu=False)), epochs=6)
    taught = train(teacher, None, tmp_path / "teacher", show=False)
    assert taught.log[-1]["test_accuracy"] > 0.8
    pupil = replace(SMALL, teacher=str(tmp_path / "teacher"), teacher_share=1.0)
    done = train(pupil, None, tmp_path / "pupil", show=False)
    assert done.log[-1]["test_accuracy"] > 0.4
    assert load_run(tmp_path / "pupil").recipe == pupil
    with pytest.raises(FileNotFoundError, match=r"nowhere: no run\.json"):
        train(replace(pupil, teacher="nowhere"), None, tmp_path / "x", show=False)
    with pytest.raises(ValueError, match=r"is for images \(8, 8, 1\), not \(28, 28, 1\)"):
        wide = replace(recipe("mnist-mlp-w1a1"), teacher=pupil.teacher)
        from xnorflow.train.trainer import _teacher

        _teacher(wide, wide.build())


def test_a_run_may_start_from_anothers_weights(tmp_path) -> None:
    first = train(SMALL, None, tmp_path / "first", show=False)
    # One lane more: weights fit, and alphas begin as they would without.
    lanes = tuple(replace(layer, lanes=2) for layer in SMALL.layers[:-1])
    more = replace(SMALL, layers=(*lanes, SMALL.layers[-1]), start=str(tmp_path / "first"))
    started = train(replace(more, learning_rate=1e-9, epochs=1), None, tmp_path / "a", show=False)
    for ours, given in zip(started.model.blocks, first.model.blocks, strict=True):
        torch.testing.assert_close(ours.linear.weight, given.linear.weight, rtol=0, atol=1e-5)
    assert started.log[-1]["test_accuracy"] > 0.3
    # Going on needs the run's own checkpoint alone.
    train(replace(more, epochs=2), None, tmp_path / "cut", show=False, stop_after=1)
    (tmp_path / "first").rename(tmp_path / "gone")
    assert train(replace(more, epochs=2), None, tmp_path / "cut", show=False).finished
    (tmp_path / "gone").rename(tmp_path / "first")
    with pytest.raises(FileNotFoundError, match=r"from nowhere, but .* --set start="):
        train(replace(more, start="nowhere"), None, tmp_path / "b", show=False)
    other = replace(more, layers=(Layer(5, kernel=3), Layer(7), Layer(10)))
    with pytest.raises(ValueError, match="none of its layers has the shape"):
        train(other, None, tmp_path / "b", show=False)
