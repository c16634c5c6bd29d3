# SPDX-License-Identifier: Apache-2.0
"""The artifact: one ``.safetensors`` file that holds a trained binary network.

docs/artifact.md is its specification. Loading checks everything before anything is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xnorflow.core.network import NetworkSpec
from xnorflow.core.packing import unpack_bits

__all__ = ["FORMAT", "VERSION", "Artifact", "ArtifactError", "digest"]

FORMAT = "xnorflow"
VERSION = "1"
_LONGEST = 400
"""Characters of a message about a file: a hostile header must not fill the screen."""
_DTYPES = ("U8", "I32", "F32")
_KEYS = {"format", "version", "network", "provenance", "digest"}


class ArtifactError(ValueError):
    """An artifact that cannot be used; the message says what is wrong and the way out."""


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(metadata: dict[str, str], tensors: dict[str, npt.NDArray[Any]]) -> str:
    """SHA-256 (hexadecimal) over the metadata without ``digest``, then over the tensors.

    Each metadata entry, by key, gives ``key NUL value NUL``; each tensor, by name, gives
    ``name NUL dtype NUL shape NUL`` (dtype as numpy's ``str``, shape as ``2,3``) and then its
    bytes, little-endian, C order. Text is UTF-8.
    """
    hasher = hashlib.sha256()
    for key in sorted(set(metadata) - {"digest"}):
        hasher.update(f"{key}\0{metadata[key]}\0".encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        shape = ",".join(str(size) for size in tensor.shape)
        hasher.update(f"{name}\0{tensor.dtype}\0{shape}\0".encode())
        hasher.update(tensor.astype(tensor.dtype.newbyteorder("<")).tobytes())
    return hasher.hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A network's specification, tensors and provenance.

    Parameters
    ----------
    network : NetworkSpec
        Layers, epilogue and classes.
    tensors : dict of str to ndarray
        Exactly ``network.tensors()``: names, data types and shapes.
    provenance : dict
        Where it came from: recipe, seed, data, measured accuracy. Free-form JSON; kept as
        JSON gives it back (tuples become lists).

    Raises
    ------
    ArtifactError
        If a tensor is missing, foreign, of the wrong type or shape, or holds values that no
        layer can use (thresholds that fall, padding bits that are not 0, ...), or if the
        provenance is not a JSON object.
    """

    network: NetworkSpec
    tensors: dict[str, npt.NDArray[Any]]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.provenance, dict):
            raise ArtifactError(
                f"artifact: provenance must be a JSON object, not {type(self.provenance).__name__}"
            )
        try:
            provenance = json.loads(_canonical(self.provenance))
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"artifact: provenance is not JSON: {error}") from error
        object.__setattr__(self, "provenance", provenance)
        expected = self.network.tensors()
        if set(self.tensors) != set(expected):
            missing = sorted(set(expected) - set(self.tensors))
            foreign = sorted(set(self.tensors) - set(expected))
            raise ArtifactError(f"artifact: missing tensors {missing}, unknown tensors {foreign}")
        for name, (dtype, shape) in expected.items():
            tensor = self.tensors[name]
            if tensor.dtype != dtype or tensor.shape != shape:
                raise ArtifactError(
                    f"artifact: tensor {name!r} is {tensor.dtype} {tensor.shape}, "
                    f"but its layer needs {dtype} {shape}"
                )
        for layer in self.network.layers:
            self._check_values(layer.name, layer.in_shape[2], bool(layer.out_lanes))
        for name in expected:
            if name.startswith("epilogue.") and not np.isfinite(self.tensors[name]).all():
                raise ArtifactError(f"artifact: tensor {name!r} has values that are not finite")

    def _check_values(self, name: str, channels: int, has_thresholds: bool) -> None:
        weights = self.tensors[f"{name}.weights"]
        spare = -channels % 8
        if spare and (weights[..., -1] >> (8 - spare)).any():
            raise ArtifactError(
                f"artifact: layer {name!r}: weight bits past channel {channels} must be 0"
            )
        if not has_thresholds:
            return
        if (np.diff(self.tensors[f"{name}.thresholds"].astype(np.int64), axis=1) < 0).any():
            raise ArtifactError(f"artifact: layer {name!r}: a channel's thresholds fall")
        if (self.tensors[f"{name}.pool_min"] > 1).any():
            raise ArtifactError(f"artifact: layer {name!r}: pool_min must be 0 or 1")

    def weight_bits(self, layer: str) -> npt.NDArray[np.uint8]:
        """A layer's weights as 0/1: (planes, out_channels, kernel height, width, in_channels)."""
        spec = next(spec for spec in self.network.layers if spec.name == layer)
        return unpack_bits(self.tensors[f"{layer}.weights"], spec.in_shape[2])

    def thresholds(self, layer: str) -> npt.NDArray[np.int32]:
        """A layer's thresholds: (out_channels, 2^m - 1), rising in each channel."""
        return self.tensors[f"{layer}.thresholds"]

    def pool_min(self, layer: str) -> npt.NDArray[np.uint8]:
        """1 where a layer's channel pools by minimum, else 0: (out_channels,)."""
        return self.tensors[f"{layer}.pool_min"]

    def metadata(self) -> dict[str, str]:
        """The file's metadata, digest included."""
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "network": _canonical(self.network.to_json()),
            "provenance": _canonical(self.provenance),
        }
        metadata["digest"] = digest(metadata, self.tensors)
        return metadata

    def to_bytes(self) -> bytes:
        """The file's content."""
        return save(
            {name: np.ascontiguousarray(t) for name, t in self.tensors.items()}, self.metadata()
        )

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(self.to_bytes())
        part.replace(path)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Artifact:
        """Read and check a file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ArtifactError
            If the file is truncated, altered, of another version or not an artifact at all.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such artifact")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                _check_header(path, metadata)
                names = list(file.keys())
                for name in names:
                    _check_type(path, name, file.get_slice(name).get_dtype())
                tensors = {name: file.get_tensor(name) for name in names}
        except ArtifactError:
            raise
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise ArtifactError(
                f"{path}: not a whole .safetensors file ({str(error)[:_LONGEST]}); "
                "export or copy it again"
            ) from error
        if digest(metadata, tensors) != metadata["digest"]:
            raise ArtifactError(
                f"{path}: its content does not match its digest: the file was altered or damaged; "
                "export or copy it again"
            )
        try:
            network = NetworkSpec.from_json(json.loads(metadata["network"]))
            return cls(network, tensors, json.loads(metadata["provenance"]))
        except (ValueError, TypeError, RecursionError) as error:
            raise ArtifactError(f"{path}: {str(error)[:_LONGEST]}") from error


def _check_header(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise ArtifactError(
            f"{path}: not an xnorflow artifact (its metadata has no format 'xnorflow'); "
            "make one with `xnorflow export`"
        )
    if metadata.get("version") != VERSION:
        raise ArtifactError(
            f"{path}: artifact version {metadata.get('version', '')[:40]!r}, this xnorflow reads "
            f"{VERSION!r}; export the network again"
        )
    if set(metadata) != _KEYS:
        raise ArtifactError(f"{path}: metadata keys must be {sorted(_KEYS)}")


def _check_type(path: Path, name: str, dtype: str) -> None:
    if dtype not in _DTYPES:
        raise ArtifactError(
            f"{path}: tensor {name[:80]!r} is {dtype}, but an artifact holds only "
            f"{', '.join(_DTYPES)}"
        )
