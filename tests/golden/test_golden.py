# SPDX-License-Identifier: Apache-2.0
"""The golden model against a slow reference that counts XNORs one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.epilogue import Affine, PReLU
from xnorflow.core.network import LayerSpec, pixel_scales
from xnorflow.golden import model
from xnorflow.golden.model import GoldenNetwork

torch.set_num_threads(1)


# -- the reference: plain loops over the artifact's bytes, nothing shared with the model ----------


def reference_accumulators(artifact: Artifact, spec: LayerSpec, codes: np.ndarray) -> np.ndarray:
    """Accumulators (H', W', O) of one map of codes (H, W, C)."""
    height, width, channels = spec.in_shape
    lanes = len(spec.in_scales)
    packed = artifact.tensors[f"{spec.name}.weights"]
    rows, columns = spec.map_shape
    result = np.zeros((rows, columns, spec.out_channels), np.int64)
    taps = list(itertools.product(range(spec.kernel[0]), range(spec.kernel[1])))
    for y, x, out in np.ndindex(*result.shape):
        total = 0
        for dy, dx in taps:
            row, column = y * spec.stride + dy - spec.padding[0], x * spec.stride + dx
            column -= spec.padding[1]
            inside = 0 <= row < height and 0 <= column < width
            if not inside and spec.border is None:
                continue
            for channel in range(channels):
                code = int(codes[row, column, channel]) if inside else spec.border
                byte, bit = divmod(channel, 8)
                for plane, t in enumerate(spec.weight_scales):
                    weight = int(packed[plane, out, dy, dx, byte]) >> bit & 1
                    for lane, s in enumerate(spec.in_scales):
                        agree = weight == (code >> (lanes - 1 - lane) & 1)
                        total += s * t if agree else -s * t
        result[y, x, out] = total
    return result


def reference_codes(artifact: Artifact, spec: LayerSpec, accumulators: np.ndarray) -> np.ndarray:
    """Pooled codes (H'', W'', O) of one map of accumulators (H', W', O)."""
    thresholds = artifact.tensors[f"{spec.name}.thresholds"]
    pool_min = artifact.tensors[f"{spec.name}.pool_min"]
    step = spec.pool_stride
    result = np.zeros(spec.out_shape, np.uint8)
    for y, x, out in np.ndindex(*result.shape):
        window = [
            sum(int(accumulators[y * step + dy, x * step + dx, out]) >= int(t)
                for t in thresholds[out])
            for dy in range(spec.pool)
            for dx in range(spec.pool)
        ]  # fmt: skip
        result[y, x, out] = min(window) if pool_min[out] else max(window)
    return result


def reference(artifact: Artifact, image: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Codes by layer and last accumulators of one image."""
    first = artifact.network.layers[0]
    codes = (image // 2 ** (8 - len(first.in_scales))).reshape(first.in_shape)
    results = {"input": codes}
    for spec in artifact.network.layers:
        accumulators = reference_accumulators(artifact, spec, codes)
        if spec.out_lanes:
            codes = results[spec.name] = reference_codes(artifact, spec, accumulators)
    return results, accumulators


def assert_equal_to_reference(artifact: Artifact, images: np.ndarray, hint: str = "") -> None:
    result = GoldenNetwork(artifact)(images)
    for index, image in enumerate(images):
        codes, accumulators = reference(artifact, image)
        assert set(codes) == set(result.codes)
        for name, expected in codes.items():
            np.testing.assert_array_equal(
                result.codes[name][index], expected, err_msg=f"{hint} layer {name} image {index}"
            )
        np.testing.assert_array_equal(result.accumulators[index], accumulators, err_msg=hint)


# -- random networks ------------------------------------------------------------------------------


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice([-1, 1], shape)


def lane_scales(rng: np.random.Generator, lanes: int) -> tuple[int, ...]:
    """Uniform or residual lane weights."""
    if rng.random() < 0.5:
        return pixel_scales(lanes)
    return tuple(int(s) for s in sorted(rng.integers(1, 60, lanes), reverse=True))


def random_thresholds(rng: np.random.Generator, channels: int, lanes: int, spread: int):
    thresholds = np.sort(rng.integers(-spread, spread + 1, (channels, (1 << lanes) - 1)), axis=1)
    thresholds[rng.random(channels) < 0.1] = np.iinfo(np.int32).min  # always
    thresholds[rng.random(channels) < 0.1] = np.iinfo(np.int32).max  # never
    return thresholds


def random_network(seed: int) -> Artifact:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(5, 9)), int(rng.integers(5, 9)), int(rng.integers(1, 4)))
    builder = NetworkBuilder(
        f"random-{seed}", image_shape=shape, pixel_lanes=int(rng.integers(1, 9))
    )
    for _ in range(rng.integers(1, 4)):
        height, width, channels = builder.shape
        taps = int(rng.integers(1, 1 + min(5, height, width)))
        pad = int(rng.integers(0, taps))
        stride = int(rng.integers(1, 3))
        map_side = (min(height, width) + 2 * pad - taps) // stride + 1
        lanes, out = int(rng.integers(1, 4)), int(rng.integers(1, 12))
        planes = lane_scales(rng, int(rng.integers(2, 4))) if rng.random() < 0.3 else (1,)
        top = 1 << len(builder.scales)
        spread = int(taps * np.sqrt(channels) * sum(builder.scales) * sum(planes))
        builder.conv(
            signs(rng, len(planes), out, taps, taps, channels),
            thresholds=random_thresholds(rng, out, lanes, spread),
            pool_min=rng.integers(0, 2, out),
            out_scales=lane_scales(rng, lanes),
            weight_scales=planes,
            stride=stride,
            padding=(pad, pad),
            border=int(rng.integers(0, top)) if rng.random() < 0.4 else None,
            pool=(pool := int(rng.integers(1, 1 + min(3, map_side)))),
            pool_stride=pool - int(pool > 1 and rng.random() < 0.4),
        )
    return builder.fc(signs(rng, 10, int(np.prod(builder.shape)))).build()


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_equal_the_reference(seed: int) -> None:
    artifact = random_network(seed)
    images = np.random.default_rng(seed).integers(
        0, 256, (2, *artifact.network.image_shape), np.uint8
    )
    assert_equal_to_reference(artifact, images, f"seed {seed}")


def test_the_random_networks_reach_every_feature() -> None:
    specs = [spec for seed in range(40) for spec in random_network(seed).network.layers]
    assert {spec.kernel[0] for spec in specs} >= {1, 2, 3, 4, 5}
    assert {spec.stride for spec in specs} == {1, 2}
    assert {(spec.pool, spec.pool_stride) for spec in specs} == {
        (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)
    }  # fmt: skip
    assert {spec.out_lanes for spec in specs} == {0, 1, 2, 3}
    assert {spec.in_lanes for spec in specs} == set(range(1, 9))
    assert {spec.planes for spec in specs} == {1, 2, 3}
    assert any(spec.border is None and spec.padding != (0, 0) for spec in specs)
    assert any(spec.border is not None and spec.padding != (0, 0) for spec in specs)


# -- single rules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_a_code_counts_thresholds_reached_at_equality(lanes: int) -> None:
    # One pixel lane, one weight: acc is -1 or +1.
    for threshold in (-2, -1, 0, 1, 2):
        builder = NetworkBuilder("t", image_shape=(1, 1, 1), pixel_lanes=1)
        builder.fc(np.ones((1, 1)), thresholds=np.full((1, (1 << lanes) - 1), threshold))
        result = GoldenNetwork(builder.fc(np.ones((1, 1))).build())(
            np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
        )
        expected = [((1 << lanes) - 1) * (acc >= threshold) for acc in (-1, 1)]
        assert result.codes["layer0"].ravel().tolist() == expected, f"threshold {threshold}"


def test_a_zero_border_adds_nothing_and_a_border_code_adds_its_value() -> None:
    image = np.full((1, 3, 3, 1), 255, np.uint8)
    corner = {}
    for border in (None, 0, 200):
        builder = NetworkBuilder("b", image_shape=(3, 3, 1))
        builder.conv(np.ones((1, 3, 3, 1)), padding=(1, 1), border=border)
        corner[border] = int(GoldenNetwork(builder.build())(image).accumulators[0, 0, 0, 0])
    assert corner == {None: 4 * 255, 0: 4 * 255 - 5 * 255, 200: 4 * 255 + 5 * (2 * 200 - 255)}


def test_padding_and_kernel_may_differ_in_height_and_width() -> None:
    rng = np.random.default_rng(5)
    builder = NetworkBuilder("r", image_shape=(5, 7, 2), pixel_lanes=3)
    builder.conv(signs(rng, 4, 2, 3, 2), thresholds=np.zeros((4, 1), int), padding=(0, 2))
    artifact = builder.fc(signs(rng, 3, int(np.prod(builder.shape)))).build()
    assert_equal_to_reference(artifact, rng.integers(0, 256, (3, 5, 7, 2), np.uint8))


def test_a_flattened_image_is_read_row_by_row_channel_last() -> None:
    rng = np.random.default_rng(6)
    builder = NetworkBuilder("f", image_shape=(3, 4, 2), flatten=True)
    artifact = builder.fc(signs(rng, 5, 24)).build()
    images = rng.integers(0, 256, (4, 3, 4, 2), np.uint8)
    weights = artifact.weight_bits("layer0").reshape(5, 24).astype(int) * 2 - 1
    expected = (2 * images.reshape(4, 24).astype(int) - 255) @ weights.T
    result = GoldenNetwork(artifact)(images)
    assert result.codes["input"].shape == (4, 1, 1, 24)
    np.testing.assert_array_equal(result.accumulators.reshape(4, 5), expected)


@pytest.mark.parametrize("scale", [511, 32767, 65535])
def test_sums_near_and_past_24_bits_are_exact(scale: int) -> None:
    # Nearly all weights and codes agree, so sums come near the bound and need every bit.
    rng = np.random.default_rng(scale)
    thresholds = np.where(rng.random((56, 1)) < 0.9, np.iinfo(np.int32).min, 0)
    builder = NetworkBuilder("wide", image_shape=(4, 4, 8), pixel_lanes=2)
    builder.conv(signs(rng, 56, 1, 1, 8), thresholds=thresholds, out_scales=(scale,))
    builder.conv(np.where(rng.random((2, 3, 3, 56)) < 0.02, -1, 1), padding=(1, 1))
    artifact = builder.build()
    bound = artifact.network.layers[-1].accumulator_bound
    golden = GoldenNetwork(artifact)
    assert golden.layers[-1].dtype == (torch.float32 if bound < 1 << 24 else torch.float64)
    images = rng.integers(0, 256, (16, 4, 4, 8), np.uint8)
    assert np.abs(golden(images).accumulators).max() > bound * 3 // 4
    assert_equal_to_reference(artifact, images)


def test_logits_are_the_epilogue_of_the_accumulators() -> None:
    rng = np.random.default_rng(7)
    builder = NetworkBuilder("e", image_shape=(2, 2, 1), flatten=True)
    scale, bias, slope = rng.normal(size=(3, 3)).astype(np.float32)
    artifact = builder.fc(signs(rng, 3, 4)).build(
        epilogue=((Affine(), {"scale": scale, "bias": bias}), (PReLU(), {"slope": slope}))
    )
    golden = GoldenNetwork(artifact)
    images = rng.integers(0, 256, (9, 2, 2, 1), np.uint8)
    result = golden(images)
    affine = result.accumulators[:, 0, 0].astype(np.float32) * scale + bias
    expected = np.where(affine >= 0, affine, affine * slope)
    np.testing.assert_array_equal(result.logits, expected)
    np.testing.assert_array_equal(golden.infer(images), expected)
    np.testing.assert_array_equal(golden.classify(images), expected.argmax(axis=1))


def test_batches_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = random_network(3)
    images = np.random.default_rng(0).integers(
        0, 256, (11, *artifact.network.image_shape), np.uint8
    )
    whole = GoldenNetwork(artifact)(images)
    monkeypatch.setattr(model, "BATCH_ELEMENTS", 1)
    parts = GoldenNetwork(artifact)(images)
    np.testing.assert_array_equal(whole.logits, parts.logits)
    for name, codes in whole.codes.items():
        np.testing.assert_array_equal(codes, parts.codes[name])


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (np.zeros((1, 2, 2, 1), np.float32), TypeError, "uint8, not float32"),
        ([[0]], TypeError, "uint8, not list"),
        (np.zeros((1, 2, 3, 1), np.uint8), ValueError, r"\(N >= 1, 2, 2, 1\), not \(1, 2, 3, 1\)"),
        (np.zeros((2, 2, 1), np.uint8), ValueError, r"takes images .* not \(2, 2, 1\)"),
        (np.zeros((0, 2, 2, 1), np.uint8), ValueError, "N >= 1"),
    ],
)
def test_wrong_images_are_one_clear_error(images, error, words) -> None:
    artifact = NetworkBuilder("w", image_shape=(2, 2, 1)).fc(np.ones((1, 4))).build()
    with pytest.raises(error, match=words):
        GoldenNetwork(artifact)(images)
