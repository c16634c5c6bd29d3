# SPDX-License-Identifier: Apache-2.0
"""Data sets as uint8 images (N, H, W, C) and labels, from the files that their own sites publish.

A local folder, the cache, or a download checked by MD5; ``digits`` comes with scikit-learn.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_dir

from xnorflow.train.datafiles import CIFAR_FILES, CLASSES, DOWNLOADS, FOLDERS, IDX_FILES, KNOWN

__all__ = ["DATASETS", "DataError", "Dataset", "download", "load", "save_sample"]

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10")

Images = npt.NDArray[np.uint8]


class DataError(RuntimeError):
    """A data set that cannot be had; the message says where it was looked for and the way out."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, H, W, C) and labels int64 (N,), for training and for the test."""

    name: str
    classes: tuple[str, ...]
    train_images: Images
    train_labels: npt.NDArray[np.int64]
    test_images: Images
    test_labels: npt.NDArray[np.int64]


def load(name: str, folder: str | Path | None = None) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name : str
        One of ``DATASETS``.
    folder : path or None
        Holds the set's files (``*-ubyte``, ``*-ubyte.gz`` or ``*.bin``), itself or in a folder
        named as the set or as torchvision names it. None: the cache, filled by a download.
        Not used by ``digits``.

    Raises
    ------
    ValueError
        If there is no set of that name.
    DataError
        If the files are not there and cannot be downloaded, or are damaged.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    if name == "digits":
        return _load_digits()
    files = CIFAR_FILES if name == "cifar10" else IDX_FILES
    if folder is None:
        root = _cache() / name
        if _find(name, root, files) is None:
            download(name, root)
    else:
        root = Path(folder)
    found = _find(name, root, files)
    if found is None:
        raise DataError(
            f"no {name} files in {root}; it must hold {files[0]} (or .gz) and its siblings, from "
            f"{DOWNLOADS[name][0][0]}; without --data they are fetched"
        )
    return _load_cifar(found) if name == "cifar10" else _load_idx(name, found)


def download(name: str, folder: str | Path) -> None:
    """Fetch a set's files into ``folder``, each checked by its MD5; tries every mirror.

    Raises
    ------
    DataError
        If no mirror gives the right file.
    """
    mirrors, files = DOWNLOADS[name]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file, md5 in files.items():
        problems = []
        for mirror in mirrors:
            try:
                with urllib.request.urlopen(mirror + file, timeout=60) as response:
                    data: bytes = response.read()
            except (urllib.error.URLError, OSError) as error:
                problems.append(f"{mirror}{file}: {error}")
                continue
            if hashlib.md5(data, usedforsecurity=False).hexdigest() == md5:
                break
            problems.append(f"{mirror}{file}: wrong MD5")
        else:
            raise DataError(
                f"cannot download {name}: {'; '.join(problems)}. Without a network, name a folder "
                "that holds its files, or use the data set 'digits', which needs no download"
            )
        part = folder / (file + ".part")
        part.write_bytes(data)
        part.replace(folder / file)
        if file.endswith(".tar.gz"):
            with tarfile.open(folder / file) as archive:
                if hasattr(tarfile, "data_filter"):
                    archive.extractall(folder, filter="data")
                else:  # Python 3.11 before 3.11.4, Debian 12's; the MD5 above vouches for it
                    archive.extractall(folder)


def save_sample(dataset: Dataset, path: str | Path, count: int = 512) -> Path:
    """Write the first ``count`` test images and labels as a compressed .npz of uint8."""
    path = Path(path)
    labels = dataset.test_labels[:count].astype(np.uint8)
    np.savez_compressed(path, images=dataset.test_images[:count], labels=labels)
    return path


def _cache() -> Path:
    return Path(os.environ.get("XNORFLOW_CACHE") or user_cache_dir("xnorflow")) / "data"


def _find(name: str, root: Path, files: tuple[str, ...]) -> Path | None:
    """The folder at or below ``root`` that holds all files, plain or with ``.gz``."""
    for below in FOLDERS[name]:
        folder = root / below
        if all((folder / f).is_file() or (folder / f"{f}.gz").is_file() for f in files):
            return folder
    return None


def _read(name: str, path: Path) -> bytes:
    """The file's bytes, or those of the file with ``.gz`` behind its name, unpacked.

    A file of the set's own size must have its MD5; of another size it may be anyone's selection.
    """
    if path.is_file():
        data = path.read_bytes()
    else:
        try:
            data = gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
        except (OSError, EOFError) as error:
            raise DataError(f"{path}.gz: cannot be unpacked ({error}); fetch it again") from error
    size, md5 = KNOWN[name][path.name]
    if len(data) == size and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise DataError(
            f"{path}: wrong MD5, so it is damaged or of another data set than {name}; fetch it "
            f"again from {DOWNLOADS[name][0][0]}"
        )
    return data


def _read_idx(name: str, path: Path) -> Images:
    """An idx file of unsigned bytes: 0, 0, type 8, number of axes; sizes; data, all big-endian."""
    data = _read(name, path)
    axes = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    shape = tuple(np.frombuffer(data[4 : 4 + 4 * axes], ">u4").tolist())
    if axes == 0 or len(data) != 4 + 4 * axes + int(np.prod(shape)):
        raise DataError(f"{path}: not a whole idx file of bytes; fetch it again")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def _load_idx(name: str, folder: Path) -> Dataset:
    arrays = [_read_idx(name, folder / file) for file in IDX_FILES]
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim != 3 or labels.shape != (len(images),) or labels.max(initial=0) > 9:
            raise DataError(f"{folder}: images {images.shape} and labels {labels.shape} disagree")
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(
        name,
        CLASSES[name],
        train_images[..., None],
        train_labels.astype(np.int64),
        test_images[..., None],
        test_labels.astype(np.int64),
    )


def _load_cifar(folder: Path) -> Dataset:
    """Records of a label byte and three planes of 32 x 32."""
    parts = []
    for file in CIFAR_FILES:
        data = np.frombuffer(_read("cifar10", folder / file), np.uint8)
        if data.size == 0 or data.size % 3073:
            raise DataError(f"{folder / file}: not a whole CIFAR-10 batch; fetch it again")
        parts.append(data.reshape(-1, 3073))
    sets = [np.concatenate(parts[:5]), parts[5]]
    images = [s[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy() for s in sets]
    labels = [s[:, 0].astype(np.int64) for s in sets]
    return Dataset("cifar10", CLASSES["cifar10"], images[0], labels[0], images[1], labels[1])


def _load_digits() -> Dataset:
    """8 x 8 digits of 0..16, stretched to 0..255; of each class, the last fifth is the test."""
    # Slow to import, and only this set needs it.
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[members[-(len(members) // 5) :]] = True
    return Dataset(
        "digits", CLASSES["digits"], images[~test], labels[~test], images[test], labels[test]
    )
