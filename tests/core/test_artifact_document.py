# SPDX-License-Identifier: Apache-2.0
"""docs/artifact.md: its code writes a valid artifact and computes what the golden model does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.epilogue import Affine, AveragePool, PReLU, Softmax

DOCUMENT = Path(__file__).parents[2] / "docs" / "artifact.md"
WRITER, READER = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
SEED = 21


@pytest.fixture(scope="module")
def run() -> Callable[[Path, np.ndarray], tuple[dict[str, np.ndarray], np.ndarray]]:
    """The document's reader."""
    scope: dict[str, Any] = {}
    exec(READER, scope)
    return scope["run"]


def test_its_code_needs_no_xnorflow() -> None:
    for code in (WRITER, READER):
        imported = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert imported <= {"hashlib", "json", "numpy", "safetensors", "safetensors.numpy"}


def test_its_file_is_valid_and_means_what_it_says(tmp_path: Path, run: Any) -> None:
    subprocess.run([sys.executable, "-c", WRITER], cwd=tmp_path, check=True)
    path = tmp_path / "example.safetensors"
    artifact = Artifact.load(path)
    assert artifact.network.classes == ("cat", "dog", "bird")
    assert artifact.provenance == {"recipe": "by hand"}
    check_against_golden(artifact, path, run, images=4)


def check_against_golden(artifact: Artifact, path: Path, run: Any, images: int) -> None:
    from xnorflow.golden.model import GoldenNetwork

    rng = np.random.default_rng(SEED)
    shape = (images, *artifact.network.image_shape)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    golden = GoldenNetwork(artifact)(pixels)
    last = artifact.network.layers[-1].name
    for index, image in enumerate(pixels):
        outputs, logits = run(path, image)
        for name, codes in outputs.items():
            expected = golden.accumulators if name == last else golden.codes[name]
            np.testing.assert_array_equal(codes, expected[index], err_msg=f"{name} {index}")
        np.testing.assert_array_equal(logits, golden.logits[index])


def test_it_covers_borders_planes_strides_and_pools(tmp_path: Path, run: Any) -> None:
    rng = np.random.default_rng(SEED)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], shape)

    def levels(channels: int, count: int, reach: int) -> np.ndarray:
        return np.sort(rng.integers(-reach, reach, (channels, count)), axis=1)

    net = NetworkBuilder("wide", image_shape=(11, 9, 3), pixel_lanes=3)
    net.conv(signs(2, 9, 3, 2, 3), weight_scales=(3, 1), padding=(2, 1), border=5, stride=2,
             thresholds=levels(9, 7, 90), out_scales=(6, 3, 1), name="border")  # fmt: skip
    net.conv(signs(10, 3, 3, 9), padding=(1, 1), pool=3, pool_stride=2,
             thresholds=levels(10, 3, 90), pool_min=rng.integers(0, 2, 10),
             out_scales=(7, 4), name="pooled")  # fmt: skip
    net.conv(signs(4, 1, 1, 10), name="head")
    floats = {key: rng.normal(size=4) for key in ("scale", "bias", "slope")}
    artifact = net.build(
        epilogue=(
            (Affine(), {"scale": floats["scale"], "bias": floats["bias"]}),
            (PReLU(), {"slope": floats["slope"]}),
            (AveragePool(), {}),
            (Softmax(), {}),
        )
    )
    path = artifact.save(tmp_path / "wide.safetensors")
    check_against_golden(artifact, path, run, images=3)
