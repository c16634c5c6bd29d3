# SPDX-License-Identifier: Apache-2.0
"""The training loop: learns, repeats itself bit for bit, goes on where it was cut off."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from xnorflow.train.augment import Augmentation
from xnorflow.train.data import load
from xnorflow.train.models import Layer
from xnorflow.train.overrides import override
from xnorflow.train.recipes import RECIPES, Recipe, recipe
from xnorflow.train.runs import load_run
from xnorflow.train.schedules import factor
from xnorflow.train.trainer import TrainingError, accuracy, train

torch.set_num_threads(1)

SMALL = replace(
    recipe("digits-cnn-w1a2"),
    name="small",
    layers=(Layer(8, kernel=3, padding=1, pool=2, lanes=2), Layer(10)),
    epochs=4,
)

CLOCK = {"seconds": 0, "images_per_second": 0}
"""What no two runs have in common."""


def state(run_dir) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "checkpoint.pt", weights_only=True)["model"]


def assert_equal_states(first, second) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(tmp_path) -> None:
    train(SMALL, None, tmp_path / "whole", show=False)
    for epochs in (1, 3, None):
        train(SMALL, None, tmp_path / "parts", show=False, stop_after=epochs)
    assert_equal_states(state(tmp_path / "whole"), state(tmp_path / "parts"))
    first, second = (load_run(tmp_path / name) for name in ("whole", "parts"))
    assert first.finished and second.finished
    for before, after in zip(first.log, second.log, strict=True):
        assert {**before, **CLOCK} == {**after, **CLOCK}


def test_another_seed_gives_another_network(tmp_path) -> None:
    train(SMALL, None, tmp_path / "a", show=False, stop_after=1)
    train(replace(SMALL, seed=SMALL.seed + 1), None, tmp_path / "b", show=False, stop_after=1)
    first, second = state(tmp_path / "a"), state(tmp_path / "b")
    assert not torch.equal(first["blocks.0.linear.weight"], second["blocks.0.linear.weight"])


def test_every_epoch_sees_the_images_in_an_order_of_its_own(tmp_path) -> None:
    first_batches: list[bytes] = []

    class Recorder(Augmentation):
        def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            first_batches.append(images.numpy().tobytes())
            return images

    settings = replace(SMALL, augmentation=Recorder(), epochs=2, batch_size=1442)
    train(settings, None, tmp_path, show=False)
    first, second = (np.frombuffer(batch, np.uint8).reshape(1442, 64) for batch in first_batches)
    assert not np.array_equal(first, second)
    assert sorted(map(bytes, first)) == sorted(map(bytes, second))


def test_training_leaves_the_callers_random_numbers_alone(tmp_path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(SMALL, None, tmp_path, show=False, stop_after=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_log_and_the_run_read_back(tmp_path) -> None:
    run = train(SMALL, None, tmp_path, show=False)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[0] == SMALL.learning_rate and rates == sorted(rates, reverse=True)
    data = load("digits")
    again = load_run(tmp_path)
    assert again.recipe == SMALL
    measured = accuracy(again.model, data.test_images, data.test_labels)
    assert measured == run.log[-1]["test_accuracy"] == float(rows[-1]["test_accuracy"])
    assert measured > 0.6
    hidden = again.model.blocks[0].linear.weight
    assert hidden.abs().max() <= 1


def test_a_directory_of_another_run_is_not_overwritten(tmp_path) -> None:
    train(SMALL, None, tmp_path, show=False, stop_after=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match="holds a run of recipe 'small' with other settings"):
        train(replace(SMALL, learning_rate=1e-4), None, tmp_path, show=False)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_directory_without_a_run_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run\.json; make a run with"):
        load_run(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt"])
@pytest.mark.parametrize("content", [b"", b"{}", "half"])
def test_a_damaged_run_is_one_clear_error(tmp_path, name: str, content: bytes | str) -> None:
    train(SMALL, None, tmp_path, show=False, stop_after=1)
    whole = (tmp_path / name).read_bytes()
    damaged = whole[: len(whole) // 2] if isinstance(content, str) else content
    (tmp_path / name).write_bytes(damaged)
    for use in (lambda: load_run(tmp_path), lambda: train(SMALL, None, tmp_path, show=False)):
        with pytest.raises(ValueError, match=f"{name} is damaged.*train again"):
            use()


def test_images_of_another_shape_are_an_error(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"images \(28, 28, 1\), but digits has \(8, 8, 1\)"):
        train(replace(recipe("mnist-mlp-w1a1"), dataset="digits"), None, tmp_path, show=False)


def test_a_budget_of_minutes_ends_a_run_between_epochs(tmp_path) -> None:
    run = train(SMALL, None, tmp_path, show=False, minutes=0)
    assert len(run.log) == 0 and not (tmp_path / "checkpoint.pt").exists()
    train(SMALL, None, tmp_path, show=False, minutes=60)
    assert load_run(tmp_path).finished


@pytest.mark.parametrize("head", ["norm", "scale"])
def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path, head: str) -> None:
    settings = replace(SMALL, layers=(SMALL.layers[0], Layer(10, head=head)))
    train(settings, None, tmp_path, show=False, stop_after=1)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    # A sign hides it: the loss itself stays finite.
    checkpoint["model"]["blocks.0.norm.bias"][3] = float("nan")
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(TrainingError, match=r"epoch 2, step 1 of 22: loss .* --set lr="):
        train(settings, None, tmp_path, show=False)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_training_in_bfloat16_learns_and_exports_in_float32(tmp_path) -> None:
    run = train(replace(SMALL, dtype="bfloat16"), None, tmp_path, show=False)
    assert run.log[-1]["test_accuracy"] > 0.6
    logits = run.model.infer(torch.from_numpy(load("digits").test_images[:8]))
    assert logits.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in run.model.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match="device cuda: PyTorch finds no GPU here"):
        train(SMALL, None, tmp_path, show=False, device="cuda")


# -- longer runs ----------------------------------------------------------------------------------

HOLD = replace(SMALL, schedule="hold", epochs=3, decay_epochs=1)


def test_a_prolonged_run_is_the_one_that_was_longer_from_the_start(tmp_path) -> None:
    longer = replace(HOLD, epochs=5, decay_epochs=2)
    train(longer, None, tmp_path / "whole", show=False)
    train(HOLD, None, tmp_path / "parts", show=False)
    kept = (tmp_path / "parts" / "checkpoint.pt").read_bytes()
    train(longer, None, tmp_path / "parts", show=False, stop_after=4)
    train(longer, None, tmp_path / "parts", show=False)
    assert_equal_states(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert load_run(tmp_path / "parts").finished
    assert (tmp_path / "parts" / "checkpoint-3-epochs.pt").read_bytes() == kept


def test_a_run_whose_rate_has_fallen_is_not_cut_short(tmp_path) -> None:
    longer = replace(HOLD, epochs=6, decay_epochs=1)
    train(longer, None, tmp_path, show=False, stop_after=4)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match=r"4 epochs are done.* before epoch 2; name more epochs"):
        train(HOLD, None, tmp_path, show=False)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert load_run(tmp_path).recipe == longer


def test_schedules() -> None:
    falling = [3.0, 2.0, 2.0, 1.0, 1.5, 1.2]
    assert factor("plateau", 6, 10, 0, falling) == 0.5**3
    assert factor("plateau", 0, 10, 0, []) == 1
    assert [factor("cosine", done, 4, 0, []) for done in (0, 2, 4)] == pytest.approx([1, 0.5, 0])
    held = [factor("hold", done, 6, 2, []) for done in (0, 4, 5, 6)]
    assert held == pytest.approx([1, 1, 0.5, 0])


# -- recipes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe(name).to_json()))) == recipe(name)
    assert recipe(name).layers[-1].channels == 10


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'x'; known: .*mnist-mlp-w1a1"):
        recipe("x")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "x"}, "unknown data set 'x'"),
        ({"epochs": 0}, "epochs must be positive"),
        ({"dtype": "float16"}, "dtype must be one of float32, bfloat16, not 'float16'"),
        ({"schedule": "x"}, "schedule must be one of cosine, hold, plateau"),
        ({"estimator": "x"}, "estimator must be one of identity, approx, swish"),
    ],
)
def test_wrong_settings_are_named(changes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)


def test_settings_replace_values_at_any_depth() -> None:
    found = override(
        SMALL,
        ["lr=1e-4", "epochs=7", "augmentation.flip=true", "layers.*.prelu=true",
         "layers.1.head=scale", "layers.0.border=3", "dtype=bfloat16", "learning_rate=1"],
    )  # fmt: skip
    first, last = SMALL.layers
    assert found == replace(
        SMALL,
        learning_rate=1.0,
        epochs=7,
        dtype="bfloat16",
        augmentation=replace(SMALL.augmentation, flip=True),
        layers=(replace(first, prelu=True, border=3), replace(last, prelu=True, head="scale")),
    )
    assert override(found, ["layers.0.border=null"]).layers[0].border is None
    assert override(SMALL, []) == SMALL


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learnin_rate=1", "no key 'learnin_rate'; did you mean 'learning_rate'?"),
        ("layers.0.lane=2", "no key 'layers.0.lane'; did you mean 'lanes'?"),
        ("layers.9.lanes=2", "'9' must be * or from 0 to 1"),
        ("epochs.x=2", "nothing lies below"),
        ("zzz=1", "it has name, dataset"),
        ("epochs", "KEY=VALUE, not 'epochs'"),
        ("epochs=many", "epochs must be a whole number, as in epochs=4, not 'many'"),
        ("layers.*.prelu=1", "prelu must be true or false"),
        ("layers.1.head=x", "head must be one of norm, scale"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        override(SMALL, [setting])


# -- augmentation ---------------------------------------------------------------------------------


def pictures(seed: int = 0) -> torch.Tensor:
    images = np.random.default_rng(seed).integers(0, 256, (16, 12, 12, 2), np.uint8)
    return torch.from_numpy(images)


def test_no_augmentation_is_no_change() -> None:
    images = pictures()
    assert Augmentation()(images, torch.Generator()) is images


def test_augmentation_is_drawn_from_the_generator_alone() -> None:
    augment = Augmentation(shift=2, rotate=20, zoom=0.2, shear=0.1, flip=True)
    first, second, third = (
        augment(pictures(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.dtype == torch.uint8 and first.shape == pictures().shape
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_a_flip_mirrors_about_half_the_images() -> None:
    images = pictures()
    flipped = Augmentation(flip=True)(images, torch.Generator().manual_seed(0))
    mirrored = [
        torch.equal(after, before.flip(1)) for before, after in zip(images, flipped, strict=True)
    ]
    kept = [torch.equal(after, before) for before, after in zip(images, flipped, strict=True)]
    assert all(a or b for a, b in zip(mirrored, kept, strict=True))
    assert 3 < sum(mirrored) < 13


def test_a_crop_shifts_by_whole_pixels_and_fills_with_0() -> None:
    images = pictures()
    moved = Augmentation(crop=2)(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape and moved.dtype == torch.uint8
    shifts = set()
    for before, after in zip(images, moved, strict=True):
        padded = torch.nn.functional.pad(before, (0, 0, 2, 2, 2, 2))
        found = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if torch.equal(padded[down : down + 12, right : right + 12], after)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 8


def test_a_shift_moves_up_to_its_pixels_and_no_further() -> None:
    image = torch.zeros(400, 21, 21, 1, dtype=torch.uint8)
    image[:, 10, 10] = 255
    moved = Augmentation(shift=3)(image, torch.Generator().manual_seed(0)).float()
    places = torch.arange(21.0)
    total = moved.sum(dim=(1, 2, 3))
    across = (moved.sum(dim=(1, 3)) * places).sum(1) / total - 10
    down = (moved.sum(dim=(2, 3)) * places).sum(1) / total - 10
    for distance in (across, down):
        assert distance.abs().max() <= 3.05
        assert distance.max() > 2.5 and distance.min() < -2.5
