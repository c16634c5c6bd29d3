# SPDX-License-Identifier: Apache-2.0
"""Thresholds and export: the artifact's integers against the float network they came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from xnorflow.core.artifact import Artifact
from xnorflow.golden.model import GoldenNetwork
from xnorflow.train import thresholds as thresholds_module
from xnorflow.train.binarize import ResidualBinarizer
from xnorflow.train.blocks import BinaryNetwork, Block
from xnorflow.train.data import load
from xnorflow.train.export import export, measure
from xnorflow.train.folding import to_artifact
from xnorflow.train.layers import BinaryLinear, Scale
from xnorflow.train.models import Layer, build, layers_of
from xnorflow.train.recipes import Recipe, recipe
from xnorflow.train.thresholds import find_thresholds
from xnorflow.train.trainer import train
from xnorflow.zoo.networks import named

torch.set_num_threads(1)


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Constants that training would have left: rising, falling and constant channels."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: torch.Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Block):
                inputs = module.linear.weight[0].numel()
                norm = module.norm
                if isinstance(norm, Scale):
                    norm.weight.fill_(0.37)
                    continue
                assert norm.running_mean is not None and norm.running_var is not None
                uniform(norm.weight, -1.5, 1.5)
                norm.weight[0] = 0.0
                uniform(norm.bias, -1, 1)
                uniform(norm.running_mean, -1, 1)
                uniform(norm.running_var, inputs / 4, inputs)
                if module.prelu is not None:
                    uniform(module.prelu.weight, 0, 2)
                    module.prelu.weight[-1] = 0.0
            if isinstance(module, ResidualBinarizer):
                alphas = torch.tensor([0.8, 0.4, 0.2])[: module.lanes]
                module.running_alpha.copy_(alphas)
    model.eval()


def random_block(seed: int, lanes: int, *, prelu: bool) -> tuple[Block, int]:
    """A block of 9 channels and the bound of its integer sums."""
    model = build((1, 1, 40), 1, (Layer(9, lanes=lanes, prelu=prelu), Layer(2)))
    randomize(model, seed)
    block = model.blocks[0]
    assert isinstance(block, Block)
    return block, 40


# -- thresholds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prelu", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("unit", [1.0, 2.0**-6])
@pytest.mark.parametrize("limit", [1 << 24, 0], ids=["scan", "bisect"])
def test_thresholds_give_the_blocks_own_codes(
    lanes: int, prelu: bool, unit: float, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds_module, "SCAN_LIMIT", limit)
    monkeypatch.setattr(
        thresholds_module, "_scan" if limit == 0 else "_bisect", None
    )  # only the one under test may run
    for seed in range(5):
        block, bound = random_block(seed, lanes, prelu=prelu)
        bound = int(bound / unit)
        found = find_thresholds(block, bound=bound, unit=unit, name="fc1")
        sums = np.arange(-bound, bound + 1)
        with torch.no_grad():
            inputs = torch.from_numpy(sums).float()[:, None] * unit
            expected = block.binarizer.codes(block.normalize(inputs.expand(-1, 9))).numpy()
        stored = np.where(found.falling, -sums[:, None], sums[:, None])  # (sums, channels)
        codes = (stored[:, :, None] >= found.thresholds).sum(axis=2)
        np.testing.assert_array_equal(codes, expected, err_msg=f"seed {seed}")
        assert found.thresholds.min() >= -bound and found.thresholds.max() <= bound + 1
        assert found.falling.any() and not found.falling.all(), f"seed {seed}"


def test_thresholds_at_equality_always_and_never() -> None:
    block = build((1, 1, 4), 1, (Layer(4), Layer(2))).eval().blocks[0]
    norm = block.norm
    with torch.no_grad():
        norm.eps = 0.0
        # sum - 2 >= 0, never, always, -sum - 2 >= 0
        norm.weight.copy_(torch.tensor([1.0, 1.0, 1.0, -1.0]))
        norm.bias.copy_(torch.tensor([-2.0, -99.0, 99.0, -2.0]))
    found = find_thresholds(block, bound=4, unit=1.0, name="fc1")
    assert found.thresholds.ravel().tolist() == [2, 5, -4, 2]
    assert found.falling.tolist() == [False, False, False, True]


@pytest.mark.parametrize("limit", [1 << 24, 0])
def test_a_turning_channel_is_named(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block, bound = random_block(0, 2, prelu=True)
    with torch.no_grad():
        block.norm.weight.fill_(1.0)
        block.norm.bias.fill_(0.0)
        block.norm.running_mean.fill_(0.0)
        block.prelu.weight[6] = -1.0  # |x|: falls, then rises
    monkeypatch.setattr(thresholds_module, "SCAN_LIMIT", max(limit, 64))
    with pytest.raises(ValueError, match=r"layer 'fc1', channel 6: .* keep PReLU slopes >= 0"):
        find_thresholds(block, bound=bound, unit=1.0, name="fc1")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_constants_that_are_not_finite_are_named(value: float) -> None:
    block, bound = random_block(0, 2, prelu=False)
    with torch.no_grad():
        block.norm.bias[5] = value
    with pytest.raises(ValueError, match=r"layer 'fc1', channel 5: .* not finite"):
        find_thresholds(block, bound=bound, unit=1.0, name="fc1")


def test_a_block_in_training_has_no_thresholds() -> None:
    block, bound = random_block(0, 2, prelu=False)
    with pytest.raises(ValueError, match=r"eval\(\)"):
        find_thresholds(block.train(), bound=bound, unit=1.0, name="fc1")


def test_sums_beyond_exact_floats_are_an_error() -> None:
    block, _ = random_block(0, 1, prelu=False)
    with pytest.raises(ValueError, match="do not fit float32"):
        find_thresholds(block, bound=1 << 24, unit=1.0, name="fc1")


# -- whole networks -------------------------------------------------------------------------------


def block_codes(model: BinaryNetwork, images: np.ndarray) -> list[np.ndarray]:
    """The codes (N, h, w, c) that each block's output values stand for, found by their size."""
    outputs: list[np.ndarray] = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: outputs.append(out.detach().numpy()))
        for block in model.blocks
    ]
    model.infer(torch.from_numpy(images))
    for hook in hooks:
        hook.remove()
    codes = []
    for block, values in zip(model.blocks, outputs[:-1], strict=False):
        levels = 1 << block.binarizer.lanes
        scales = block.binarizer.scales()
        signs = [[(code >> (len(scales) - 1 - i) & 1) * 2 - 1 for i in range(len(scales))]
                 for code in range(levels)]  # fmt: skip
        table = (np.array(signs) @ np.array(scales) + block.binarizer.shift) * block.binarizer.unit
        found = np.abs(values[..., None] - table).argmin(axis=-1)
        np.testing.assert_array_equal(table[found], values)
        codes.append(found.transpose(0, 2, 3, 1) if found.ndim == 4 else found[:, None, None])
    return codes


def assert_same_bits(model: BinaryNetwork, artifact: Artifact, images: np.ndarray) -> None:
    """Codes of every layer and logits of the golden model are those of the float network."""
    result = GoldenNetwork(artifact)(images)
    names = [layer.name for layer in artifact.network.layers[:-1]]
    for name, expected in zip(names, block_codes(model, images), strict=True):
        np.testing.assert_array_equal(result.codes[name], expected, err_msg=name)
    logits = model.infer(torch.from_numpy(images)).numpy()
    np.testing.assert_array_equal(result.logits, logits)


NETWORKS = {
    "mlp-w1a1": (1, (Layer(20), Layer(17), Layer(4))),
    "mlp-w1a3-prelu": (3, (Layer(20, lanes=3, prelu=True), Layer(4, prelu=True))),
    "pool-before-norm": (
        2,
        (Layer(12, kernel=3, padding=1, pool=2, lanes=2), Layer(9, kernel=3, lanes=2), Layer(4)),
    ),
    "pool-after-activation": (
        4,
        (
            Layer(12, kernel=3, padding=1, pool=2, pool_first=False, lanes=2),
            Layer(9, kernel=2, pool=2, pool_first=False, lanes=3, prelu=True),
            Layer(4),
        ),
    ),
    "stride-and-convolution-last": (
        8,
        (Layer(9, kernel=5, stride=2, padding=2, lanes=1), Layer(4, kernel=5, head="raw")),
    ),
    "pools-that-overlap-and-a-mean-of-scaled-sums": (
        8,
        (
            Layer(12, kernel=3, padding=1, border=128, pool=3, pool_stride=2, lanes=2),
            Layer(4, kernel=1, head="scale", average=True),
        ),
    ),
    "alphas-and-norm-behind-prelu": (
        8,
        (
            Layer(12, kernel=3, weights="scaled", prelu=True, prelu_first=True, pool=2),
            Layer(9, kernel=3, weights="scaled", relu=True, prelu_first=True),
            Layer(4, weights="scaled", prelu=True, prelu_first=True),
        ),
    ),
    "pool-behind-prelu-first-and-last": (
        2,
        (Layer(6, kernel=3, pool=2, prelu=True), Layer(4, prelu=True, prelu_first=True)),
    ),
    "weights-of-8-bits-and-pool-of-equal-steps": (
        8,
        (
            Layer(
                8,
                kernel=3,
                padding=1,
                border=127,
                weights="8bit",
                activation="uniform",
                lanes=3,
                pool=2,
            ),
            Layer(9, kernel=3, padding=1, lanes=2, activation="uniform"),
            Layer(4, weights="8bit"),
        ),
    ),
    "pool-of-steps-from-0": (
        8,
        (
            Layer(8, kernel=3, padding=1, weights="8bit", activation="dorefa", lanes=2, pool=2),
            Layer(9, kernel=3, padding=1, lanes=3, activation="dorefa", weights="scaled"),
            Layer(6, kernel=3, padding=1, lanes=1, activation="dorefa", weights="8bit"),
            Layer(4, weights="scaled", head="scale"),
        ),
    ),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_golden_model_of_an_export_gives_the_float_models_bits(name: str, seed: int) -> None:
    lanes, layers = NETWORKS[name]
    torch.manual_seed(seed)
    model = build((9, 10, 2), lanes, layers)
    randomize(model, seed)
    images = np.random.default_rng(seed).integers(0, 256, (6, 9, 10, 2), np.uint8)
    artifact = to_artifact(model, name)
    assert_same_bits(model, artifact, images)
    if "pool" in name:
        flags = artifact.pool_min("conv1")
        assert bool(flags.any()) == (name != "pool-after-activation"), name


@pytest.mark.parametrize("name", ["cnv", "cnv-padded-w1a3", "nin-cifar10-w1a2", "vgg11-cifar10"])
def test_named_networks_export_to_their_own_structure(name: str) -> None:
    spec = named(name, shrink=16)
    model = build(spec.image_shape, spec.input_lanes, layers_of(spec))
    randomize(model, 0)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    artifact = to_artifact(model, spec.name)
    assert_same_bits(model, artifact, images)
    made = artifact.network
    assert made.epilogue == spec.epilogue
    for ours, theirs in zip(made.layers, spec.layers, strict=True):
        assert replace(ours, in_scales=theirs.in_scales, name=theirs.name) == theirs


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Layer(4, weights="real"), Layer(4)), "'fc1': its weights are real; an array takes sign"),
        ((Layer(4, activation="real", relu=True), Layer(4)), "'fc1': every block but the last"),
        ((Layer(4), Layer(4, input_scale=True)), "'fc1': the layer behind multiplies by K"),
        ((Layer(4), Layer(4, weights="real")), "'fc2': its weights are real"),
    ],
)
def test_what_no_array_can_run_is_named(layers: tuple[Layer, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_artifact(build((5, 5, 1), 8, layers), "x")


def test_sums_of_a_last_layer_must_be_exact_too() -> None:
    with pytest.raises(ValueError, match=r"layer 'fc1': sums up to 26\d+ do not fit float32"):
        to_artifact(build((20, 20, 1), 8, (Layer(4, weights="8bit"),)), "x")


def test_only_pixels_pad_with_a_code() -> None:
    with pytest.raises(ValueError, match="layer 1 has border code 1; only the first may"):
        build((5, 5, 1), 8, (Layer(4, kernel=3), Layer(4, kernel=3, padding=1, border=1)))


def test_a_trained_network_exports_to_the_same_bits(tmp_path) -> None:
    # Convolutions, two residual lanes, pooling, and BatchNorm scales that start out negative.
    settings = replace(recipe("digits-cnn-w1a2"), epochs=3)
    data = load("digits")
    run = train(settings, None, tmp_path, show=False)
    with torch.no_grad():
        for block in run.model.blocks:
            # Turning a channel over and back leaves the network as good as it was trained.
            block.norm.weight[::2] *= -1
            block.norm.running_mean[::2] *= -1
            block.linear.weight[::2] *= -1
    falling = [(block.norm.weight < 0).any() for block in run.model.blocks]
    assert all(falling)
    artifact = to_artifact(run.model, "digits")
    assert artifact.pool_min("conv2").any()
    assert_same_bits(run.model, artifact, data.test_images)
    result = measure(run.model, artifact, data)
    assert result["equal_logits"] and result["argmax_changes"] == 0
    assert result["accuracy"] == result["float_accuracy"] > 0.5


def test_export_states_where_the_network_came_from(tmp_path) -> None:
    settings = replace(recipe("digits-cnn-w1a2"), epochs=2)
    train(settings, None, tmp_path / "run", show=False, stop_after=1)
    with pytest.raises(ValueError, match="1 of 2 epochs"):
        export(tmp_path / "run")
    train(settings, None, tmp_path / "run", show=False)
    artifact = Artifact.load(export(tmp_path / "run").save(tmp_path / "digits.safetensors"))
    provenance = artifact.provenance
    assert Recipe.from_json(provenance["recipe"]) == settings
    assert (provenance["seed"], provenance["data"]) == (settings.seed, "digits")
    data = load("digits")
    right = GoldenNetwork(artifact).classify(data.test_images) == data.test_labels
    assert provenance["test"]["images"] == len(right)
    assert provenance["test"]["accuracy"] == right.mean()
    assert artifact.network.classes == data.classes


def test_a_binarizer_must_stand_in_every_block_but_the_last() -> None:
    blocks = [*build((1, 1, 4), 1, (Layer(3), Layer(3), Layer(2))).blocks]
    blocks[1].binarizer = None
    with pytest.raises(ValueError, match="layer 'fc2': every block but the last needs a binarizer"):
        to_artifact(BinaryNetwork((1, 1, 4), 1, blocks), "broken")
    assert isinstance(blocks[0].linear, BinaryLinear)
