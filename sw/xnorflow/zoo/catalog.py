# SPDX-License-Identifier: Apache-2.0
"""The trained networks and the small test samples that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["artifact_path", "names", "sample", "sample_path"]

_HERE = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """Names of the shipped networks, sorted."""
    return tuple(sorted(path.stem for path in _HERE.glob("*.safetensors")))


def artifact_path(name: str) -> Path:
    """The file of a shipped network.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists the known ones.
    """
    if name not in names():
        raise ValueError(f"no shipped network {name!r}; known: {', '.join(names())}")
    return _HERE / f"{name}.safetensors"


def sample_path(data: str) -> Path:
    """The file of a shipped sample of a data set's test images.

    Raises
    ------
    ValueError
        If there is none of that data set.
    """
    path = _HERE / f"{data.replace('_', '-')}-test-sample.npz"
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in _HERE.glob("*-test-sample.npz")))
        raise ValueError(f"no shipped sample of data set {data!r}; there are {known}")
    return path


def sample(data: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A shipped sample: images uint8 (N, H, W, C) and labels uint8 (N,).

    Parameters
    ----------
    data : str
        The data set's name, as an artifact's ``provenance["data"]`` gives it.
    """
    with np.load(sample_path(data), allow_pickle=False) as file:
        return file["images"], file["labels"]
