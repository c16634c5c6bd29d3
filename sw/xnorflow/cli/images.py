# SPDX-License-Identifier: Apache-2.0
"""Which artifact a command means, and the images and labels it is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xnorflow.core.artifact import Artifact

__all__ = ["ImageSet", "find_artifact", "load_images"]

RANDOM_SEED = 0


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 (N, H, W, C), their labels (N,) or None, and where they come from."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    source: str


def find_artifact(name: str) -> Path:
    """The file of that path, or the shipped artifact of that name.

    Raises
    ------
    FileNotFoundError
        If there is neither; the message lists the shipped ones.
    """
    from xnorflow.zoo.catalog import artifact_path, names

    if Path(name).is_file():
        return Path(name)
    if name in names():
        return artifact_path(name)
    raise FileNotFoundError(
        f"{name}: no such file, and no shipped artifact; shipped are {', '.join(names())}"
    )


def load_images(
    artifact: Artifact, count: int, data: Path | None = None, *, random: bool = False
) -> ImageSet:
    """The first ``count`` test images for an artifact.

    Parameters
    ----------
    artifact : Artifact
        Its provenance names the data set.
    count : int
        How many images.
    data : Path or None
        Folder of the data set's files; None takes the sample that ships with xnorflow.
    random : bool
        Random pixels instead, without labels.

    Raises
    ------
    ValueError
        If there are fewer images, or no data set is known for the artifact.
    """
    if count < 1:
        raise ValueError(f"The number of images must be at least 1, not {count}")
    if random:
        shape = (count, *artifact.network.image_shape)
        pixels = np.random.default_rng(RANDOM_SEED).integers(0, 256, shape, dtype=np.uint8)
        return ImageSet(pixels, None, f"random pixels, seed {RANDOM_SEED}")
    name = artifact.provenance.get("data")
    if not isinstance(name, str):
        raise ValueError(
            f"{artifact.network.name}: its provenance names no data set; try it with --random"
        )
    images, labels, source = _data_set(name, data)
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
