# SPDX-License-Identifier: Apache-2.0
"""Artifact files: they come back whole, and every damage is one clear error."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from xnorflow.core.artifact import Artifact, ArtifactError

SEED = 11


def refused(path: Path) -> str:
    """The message of the one error that loading ``path`` gives."""
    with pytest.raises(ArtifactError) as error:
        Artifact.load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_comes_back_whole(artifact: Artifact, tmp_path: Path) -> None:
    path = artifact.save(tmp_path / "new" / "net.safetensors")
    loaded = Artifact.load(path)
    assert loaded.network == artifact.network
    assert loaded.provenance == {"recipe": "by hand", "seed": 7}
    assert set(loaded.tensors) == set(artifact.tensors)
    for name, tensor in artifact.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    assert loaded.metadata() == artifact.metadata()
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_every_flipped_bit_is_found(artifact: Artifact, tmp_path: Path) -> None:
    """One random bit of every byte: length, header, metadata, digest and all tensors."""
    content = artifact.to_bytes()
    path = tmp_path / "net.safetensors"
    for position, bit in enumerate(np.random.default_rng(SEED).integers(8, size=len(content))):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(bit)
        path.write_bytes(damaged)
        refused(path)


def test_every_truncation_is_found(artifact: Artifact, tmp_path: Path) -> None:
    content = artifact.to_bytes()
    path = tmp_path / "net.safetensors"
    for length in range(0, len(content), 5):
        path.write_bytes(content[:length])
        assert "not a whole .safetensors file" in refused(path)
    path.write_bytes(content + b"\0")
    refused(path)


def test_files_that_are_no_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    rng = np.random.default_rng(SEED)
    for content in (
        b"",
        b"PK\x03\x04" + bytes(100),
        b"\xff" * 64,
        struct.pack("<Q", 100_000_001) + b"{}",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 300_000) + b'{"a":' * 60_000,
        *(rng.bytes(200) for _ in range(20)),
    ):
        path.write_bytes(content)
        assert "not a whole .safetensors file" in refused(path)
    with pytest.raises(FileNotFoundError, match="no such artifact"):
        Artifact.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="no such artifact"):
        Artifact.load(tmp_path)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F16", "I64", "BOOL", "C64", "XX"])
@pytest.mark.parametrize("shape", [[1], [], [1 << 62, 1 << 62], [-1]])
def test_hostile_tensor_headers(
    artifact: Artifact, tmp_path: Path, dtype: str, shape: list[int]
) -> None:
    size = {"F8_E4M3": 1, "BOOL": 1, "I64": 8, "C64": 8}.get(dtype, 2)
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": artifact.metadata(), "conv.weights": entry}).encode()
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    refused(path)


def test_a_foreign_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": np.zeros((2, 2), np.float32)}, path, metadata)
        assert "not an xnorflow artifact" in refused(path)


def test_another_version_is_named(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(artifact.tensors, path, artifact.metadata() | {"version": "2"})
    assert "artifact version '2', this xnorflow reads '1'" in refused(path)


def test_metadata_has_its_five_keys(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(artifact.tensors, path, artifact.metadata() | {"note": "x"})
    assert "metadata keys must be" in refused(path)
    for key in ("network", "provenance", "digest"):
        metadata = {k: v for k, v in artifact.metadata().items() if k != key}
        save_file(artifact.tensors, path, metadata)
        assert "metadata keys must be" in refused(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("conv.weights", None, "missing tensors ['conv.weights']"),
        ("conv.extra", np.zeros(1, np.uint8), "unknown tensors ['conv.extra']"),
        ("conv.thresholds", np.zeros((5, 3), np.float32), "is float32 (5, 3)"),
        ("conv.thresholds", np.zeros((5, 1), np.int32), "needs int32 (5, 3)"),
        ("conv.thresholds", np.array([[3, 2, 1]] * 5, np.int32), "thresholds fall"),
        ("conv.pool_min", np.full(5, 2, np.uint8), "pool_min must be 0 or 1"),
        ("conv.weights", np.full((1, 5, 3, 3, 1), 4, np.uint8), "past channel 2 must be 0"),
        ("fc.weights", np.full((1, 3, 3, 3, 1), 32, np.uint8), "past channel 5 must be 0"),
        ("epilogue.0.bias", np.full(3, np.nan, np.float32), "not finite"),
    ],
)
def test_tensors_that_do_not_fit_their_layer(
    artifact: Artifact, name: str, change: np.ndarray | None, message: str
) -> None:
    tensors = artifact.tensors | {name: change}
    if change is None:
        del tensors[name]
    with pytest.raises(ArtifactError) as error:
        Artifact(artifact.network, tensors)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_equal_thresholds_are_allowed(artifact: Artifact) -> None:
    tensors = artifact.tensors | {"conv.thresholds": np.zeros((5, 3), np.int32)}
    assert Artifact(artifact.network, tensors).thresholds("conv").max() == 0


@pytest.mark.parametrize("provenance", [[], "text", {"x": float("nan")}, {"x": np.float32(1)}])
def test_provenance_is_a_json_object(artifact: Artifact, provenance: Any) -> None:
    with pytest.raises(ArtifactError, match="provenance"):
        Artifact(artifact.network, artifact.tensors, provenance)


def test_provenance_is_kept_as_json_gives_it_back(artifact: Artifact) -> None:
    made = Artifact(artifact.network, artifact.tensors, {"steps": (1, 2)})
    assert made.provenance == {"steps": [1, 2]}


def test_the_digest_covers_everything(artifact: Artifact) -> None:
    """Changing any entry or tensor, or swapping two names, changes the digest."""
    digests = {artifact.metadata()["digest"]}
    variants = [Artifact(artifact.network, artifact.tensors, {"seed": 8})]
    for name, tensor in artifact.tensors.items():
        changed = tensor.copy()
        changed.flat[0] = 1 - changed.flat[0] if name.endswith("pool_min") else 0
        if np.array_equal(changed, tensor):
            changed.flat[0] = 1
        changed = np.sort(changed, axis=-1) if name.endswith("thresholds") else changed
        variants.append(Artifact(artifact.network, artifact.tensors | {name: changed}))
    digests |= {variant.metadata()["digest"] for variant in variants}
    assert len(digests) == len(variants) + 1
