# SPDX-License-Identifier: Apache-2.0
"""The shipped CIFAR-10 images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xnorflow.zoo import catalog
from xnorflow.zoo.networks import CLASSES


def test_the_cifar10_sample_is_small_and_real() -> None:
    images, labels = catalog.sample("cifar10")
    assert images.shape == (64, 32, 32, 3) and images.dtype == np.uint8
    assert labels.shape == (64,) and labels.dtype == np.uint8
    assert catalog.sample_path("cifar10").stat().st_size < 200_000
    # The first ten labels of CIFAR-10's test images, as everyone knows them.
    first = ["cat", "ship", "ship", "airplane", "frog", "frog", "automobile", "frog", "cat",
             "automobile"]  # fmt: skip
    assert [CLASSES[label] for label in labels[:10]] == first
    assert set(labels.tolist()) == set(range(10))
    # The first pixel of the first test image, and that channels come last: red, green, blue.
    assert images[0, 0, 0].tolist() == [158, 112, 49]


def test_its_source_is_stated() -> None:
    text = (Path(catalog.__file__).parent / "README.md").read_text()
    assert "cifar10-test-sample.npz" in text
    assert "Learning Multiple Layers of Features from Tiny Images" in text
