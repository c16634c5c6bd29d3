# SPDX-License-Identifier: Apache-2.0
"""The first difference is named; nothing is overlooked."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from xnorflow.core.builder import NetworkBuilder
from xnorflow.driver.compare import compare
from xnorflow.driver.result import RunResult

N = 4


@dataclass(frozen=True)
class Golden:
    codes: dict
    accumulators: np.ndarray
    logits: np.ndarray


@pytest.fixture
def network():
    builder = NetworkBuilder("net", image_shape=(5, 5, 1), pixel_lanes=2)
    for name in ("conv1", "conv2"):
        channels = builder.shape[2]
        builder.conv(
            np.ones((7, 1, 1, channels), np.int8), thresholds=np.zeros((7, 1), int), name=name
        )
    builder.fc(np.ones((3, 175), np.int8), name="fc")
    return builder.build().network


@pytest.fixture
def golden():
    rng = np.random.default_rng(1)
    codes = {
        "input": rng.integers(0, 4, (N, 5, 5, 1), np.uint8),
        "conv1": rng.integers(0, 2, (N, 5, 5, 7), np.uint8),
        "conv2": rng.integers(0, 2, (N, 5, 5, 7), np.uint8),
    }
    accumulators = rng.integers(-9, 9, (N, 1, 1, 3))
    return Golden(codes, accumulators, accumulators[:, 0, 0].astype(np.float32))


def result_of(golden, **changes):
    values = {
        "logits": golden.logits.copy(),
        "accumulators": golden.accumulators.copy(),
        "codes": {name: golden.codes[name].copy() for name in ("conv1", "conv2")},
    }
    return RunResult(
        **values | changes,
        cycles=1,
        wait_cycles=0,
        blocks=1,
        seconds=1.0,
        useful_xnors=1,
        array_xnors=1,
    )


def test_equal_outputs_are_identical(network, golden):
    comparison = compare(result_of(golden), golden, network)
    assert comparison.identical
    assert str(comparison) == "identical to the golden model: 4 images, 3 layers"


def test_without_a_record_only_the_last_layer_counts(network, golden):
    comparison = compare(result_of(golden, codes=None), golden, network)
    assert str(comparison) == "identical to the golden model: 4 images, 1 layers"


def test_the_first_difference_is_named(network, golden):
    result = result_of(golden)
    result.codes["conv2"][3, 4, 2, 6] ^= 1
    result.codes["conv2"][3, 4, 3, 0] ^= 1
    result.accumulators[0, 0, 0, 0] += 1
    array, wanted = result.codes["conv2"][3, 4, 2, 6], golden.codes["conv2"][3, 4, 2, 6]
    comparison = compare(result, golden, network)
    assert not comparison.identical
    assert comparison.differences == 3
    assert comparison.first == (
        f"layer conv2, image 3, row 4, column 2, channel 6: array {array}, golden {wanted}"
    )
    assert str(comparison).startswith("differs from the golden model in 3 values; first: layer")


@pytest.mark.parametrize("name", ["conv1", "conv2"])
def test_any_flipped_code_is_found(network, golden, name):
    rng = np.random.default_rng(7)
    for _ in range(20):
        result = result_of(golden)
        at = tuple(rng.integers(0, size) for size in result.codes[name].shape)
        result.codes[name][at] ^= 1
        comparison = compare(result, golden, network)
        assert comparison.differences == 1
        place = "image {}, row {}, column {}, channel {}".format(*at)
        assert f"{name}, {place}: " in comparison.first


def test_accumulators_and_logits_are_compared(network, golden):
    result = result_of(golden)
    result.accumulators[2, 0, 0, 1] = 100
    wanted = golden.accumulators[2, 0, 0, 1]
    first = compare(result, golden, network).first
    assert first == f"layer fc, image 2, row 0, column 0, channel 1: array 100, golden {wanted}"
    result = result_of(golden)
    result.logits[1, 2] = np.nextafter(result.logits[1, 2], np.float32(99))
    assert compare(result, golden, network).first.startswith("logits, image 1, class 2: array ")


def test_logits_are_compared_by_their_bits(network, golden):
    golden.logits[0] = (np.nan, 0.0, np.inf)
    assert compare(result_of(golden), golden, network).identical
    result = result_of(golden)
    result.logits[0, 1] = -0.0
    assert compare(result, golden, network).differences == 1


def test_shapes_must_match(network, golden):
    fewer = replace(golden, accumulators=golden.accumulators[:2])
    with pytest.raises(ValueError, match=r"layer fc: the array gave the shape \(4, 1, 1, 3\)"):
        compare(result_of(golden), fewer, network)
