# SPDX-License-Identifier: Apache-2.0
"""Which artifact a command means, and the images and labels it is tried on.

An artifact is a file, one that ships with xnorflow, or a network of zoo/networks.py with random
weights: the same in every command.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xnorflow.core.artifact import Artifact
from xnorflow.core.lanes import with_lanes

__all__ = ["ImageSet", "find_artifact", "load_images", "open_artifact", "untrained"]

RANDOM_SEED = 0
UNTRAINED_SEED = 0
UNTRAINED_DATA = "cifar10"
"""The shipped sample that balances the thresholds of untrained networks."""
IMAGES = 256
"""Images that are taken, or as many as there are, unless a command is told how many."""


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 (N, H, W, C), their labels (N,) or None, and where they come from."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    source: str


def find_artifact(name: str) -> Path | None:
    """The file of that path, or the shipped artifact of that name; None for an untrained network.

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name; the message lists the shipped artifacts and networks.
    """
    from xnorflow.zoo.catalog import artifact_path, names
    from xnorflow.zoo.networks import normal_name

    if Path(name).is_file():
        return Path(name)
    if name in names():
        return artifact_path(name)
    try:
        normal_name(name)
    except ValueError as error:
        raise FileNotFoundError(
            f"{name}: no such file, and no shipped artifact (shipped are {', '.join(names())}); "
            f"{error}"
        ) from error
    return None


def open_artifact(name: str, lanes: int | None = None) -> Artifact:
    """The artifact that a command means by ``name``: a file's, a shipped or an untrained one.

    With ``lanes`` it runs with at most that many (:func:`xnorflow.core.lanes.with_lanes`).

    Raises
    ------
    FileNotFoundError, ArtifactError
        If there is nothing of that name, or the file is unusable.
    ValueError
        If the network has fewer than ``lanes``.
    """
    found = _open(name)
    return found if lanes is None else with_lanes(found, lanes)


def _open(name: str) -> Artifact:
    path = find_artifact(name)
    if path is not None:
        return Artifact.load(path)
    from xnorflow.golden.calibrate import random_artifact
    from xnorflow.zoo.catalog import sample
    from xnorflow.zoo.networks import named

    images, _ = sample(UNTRAINED_DATA)
    return random_artifact(named(name), images, UNTRAINED_SEED, data=UNTRAINED_DATA)


def untrained(artifact: Artifact) -> str | None:
    """How an untrained artifact's weights were made, in words; None for a trained one."""
    note = artifact.provenance.get("untrained")
    return None if note is None else json.dumps(note).strip('"')


def load_images(
    artifact: Artifact,
    count: int | None,
    data: Path | None = None,
    *,
    random: bool = False,
    fewer: bool = False,
) -> ImageSet:
    """The first ``count`` test images for an artifact.

    Parameters
    ----------
    artifact : Artifact
        Its provenance names the data set.
    count : int or None
        How many images. None: 256, or as many as there are.
    data : Path or None
        Folder of the data set's files; None takes the sample that ships with xnorflow.
    random : bool
        Random pixels instead, without labels.
    fewer : bool
        Fewer images will do, if there are no more.

    Raises
    ------
    ValueError
        If there are fewer images, or no data set is known for the artifact.
    """
    if count is not None and count < 1:
        raise ValueError(f"The number of images must be at least 1, not {count}")
    if random:
        shape = (count or IMAGES, *artifact.network.image_shape)
        pixels = np.random.default_rng(RANDOM_SEED).integers(0, 256, shape, dtype=np.uint8)
        return ImageSet(pixels, None, f"random pixels, seed {RANDOM_SEED}")
    name = artifact.provenance.get("data")
    if not isinstance(name, str):
        raise ValueError(
            f"{artifact.network.name}: its provenance names no data set; try it with --random"
        )
    images, labels, source = _data_set(name, data)
    if count is None or fewer:
        count = min(count or IMAGES, len(images))
    if len(images) < count:
        more = "" if data else f"; for more name the folder of the {name} files with --data"
        raise ValueError(f"{source} has {len(images)} images, not {count}{more}")
    return ImageSet(images[:count], labels[:count].astype(np.int64), source)


def _data_set(
    name: str, data: Path | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer], str]:
    if data is not None:
        from xnorflow.train.data import load

        loaded = load(name, data)
        return loaded.test_images, loaded.test_labels, f"{name} in {data}"
    from xnorflow.zoo.catalog import sample

    images, labels = sample(name)
    return images, labels, f"the shipped {name} sample"
