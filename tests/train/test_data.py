# SPDX-License-Identifier: Apache-2.0
"""Data sets: their files, their downloads and what is said when they are missing or damaged."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import urllib.error

import numpy as np
import pytest

from xnorflow.train import data as module
from xnorflow.train.data import DataError, Dataset, download, load, save_sample

PREFIXES = ("train", "t10k")


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def fake_mnist(seed: int = 0) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    files = {}
    for prefix, count in zip(PREFIXES, (7, 5), strict=True):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        files[f"{prefix}-images-idx3-ubyte"] = idx(images)
        files[f"{prefix}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, count, np.uint8))
    return files


def write(folder, files: dict[str, bytes], *, packed: bool = False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_idx_files_in_every_usual_place(tmp_path, below: str, packed: bool) -> None:
    files = fake_mnist()
    write(tmp_path / below, files, packed=packed)
    data = load("mnist", tmp_path)
    assert data.train_images.shape == (7, 28, 28, 1) and data.train_images.dtype == np.uint8
    assert data.test_labels.shape == (5,) and data.test_labels.dtype == np.int64
    assert data.test_images.tobytes() == files["t10k-images-idx3-ubyte"][16:]
    assert data.train_labels.tolist() == list(files["train-labels-idx1-ubyte"][8:])


def test_cifar_batches(tmp_path) -> None:
    rng = np.random.default_rng(1)
    records = rng.integers(0, 10, (6, 4, 3073), np.uint8)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    files = {name: batch.tobytes() for name, batch in zip(names, records, strict=True)}
    write(tmp_path / "cifar-10-batches-bin", files)
    data = load("cifar10", tmp_path)
    assert data.train_images.shape == (20, 32, 32, 3)
    # A record is a label, then red, green and blue planes.
    red, green, blue = records[1, 2, 1:].reshape(3, 32, 32)
    np.testing.assert_array_equal(data.train_images[6], np.stack([red, green, blue], axis=-1))
    assert data.test_labels.tolist() == records[5, :, 0].tolist()
    write(tmp_path / "cifar-10-batches-bin", {"test_batch.bin": b"short"})
    with pytest.raises(DataError, match=r"test_batch\.bin: not a whole CIFAR-10 batch"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("train-images-idx3-ubyte", lambda data: data[:-1]),
        ("train-images-idx3-ubyte", lambda data: b""),
        ("t10k-labels-idx1-ubyte", lambda data: b"\1" + data[1:]),
        ("t10k-labels-idx1-ubyte", lambda data: idx(np.zeros(4, np.uint8))),
        ("t10k-labels-idx1-ubyte", lambda data: idx(np.full(5, 10, np.uint8))),
        ("train-images-idx3-ubyte", lambda data: idx(np.zeros((7, 784), np.uint8))),
    ],
)
def test_damaged_files_are_one_clear_error(tmp_path, name: str, change) -> None:
    files = fake_mnist()
    write(tmp_path, {**files, name: change(files[name])})
    with pytest.raises(DataError, match=r"fetch it again|disagree"):
        load("mnist", tmp_path)


def test_a_file_of_the_right_size_must_have_the_right_sum(tmp_path) -> None:
    write(tmp_path, {**fake_mnist(), "t10k-labels-idx1-ubyte": idx(np.zeros(10_000, np.uint8))})
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: wrong MD5.* than mnist; fetch"):
        load("mnist", tmp_path)


def test_a_cut_gz_file_is_one_clear_error(tmp_path) -> None:
    write(tmp_path, fake_mnist(), packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be unpacked"):
        load("mnist", tmp_path)


def test_a_missing_file_names_the_folder(tmp_path) -> None:
    files = fake_mnist()
    files.pop("t10k-labels-idx1-ubyte")
    write(tmp_path, files)
    with pytest.raises(DataError, match=r"no mnist files in .* from https://ossci"):
        load("mnist", tmp_path)


def test_an_unknown_set_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown data set 'x'; known: digits, mnist"):
        load("x")


def test_digits_need_no_files_and_are_always_split_the_same() -> None:
    data = load("digits")
    assert data.train_images.shape == (1442, 8, 8, 1) and data.test_images.shape == (355, 8, 8, 1)
    assert data.train_images.max() == 255 and data.train_images.min() == 0
    # Sixteen steps of ink.
    assert len(np.unique(data.train_images)) == 17
    share = np.bincount(data.test_labels) / (
        np.bincount(data.test_labels) + np.bincount(data.train_labels)
    )
    assert (np.abs(share - 0.2) < 0.01).all()
    content = data.test_images.tobytes() + data.test_labels.astype(np.uint8).tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "b2f9a94bc21bdd6d"


# -- downloads, against a network made of a dictionary --------------------------------------------


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path) -> dict[str, bytes]:
    """Addresses and what they answer; others cannot be reached."""
    pages: dict[str, bytes] = {}

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        if url not in pages:
            raise urllib.error.URLError("no route")
        return io.BytesIO(pages[url])

    monkeypatch.setattr(module.urllib.request, "urlopen", urlopen)
    monkeypatch.setenv("XNORFLOW_CACHE", str(tmp_path / "cache"))
    return pages


def serve_mnist(monkeypatch: pytest.MonkeyPatch, pages: dict[str, bytes], mirror: int) -> None:
    """Put made-up files on a mirror, and their MD5 where the true ones are."""
    mirrors, _ = module.DOWNLOADS["mnist"]
    files = {f"{name}.gz": gzip.compress(data) for name, data in fake_mnist().items()}
    sums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setitem(module.DOWNLOADS, "mnist", (mirrors, sums))
    pages.update({mirrors[mirror] + name: data for name, data in files.items()})


@pytest.mark.parametrize("mirror", [0, 1])
def test_a_download_lands_in_the_cache(monkeypatch, network, tmp_path, mirror: int) -> None:
    serve_mnist(monkeypatch, network, mirror)
    assert load("mnist").train_images.shape == (7, 28, 28, 1)
    network.clear()
    assert load("mnist").train_images.shape == (7, 28, 28, 1)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_wrong_file_is_passed_over_for_the_next_mirror(monkeypatch, network) -> None:
    serve_mnist(monkeypatch, network, 1)
    mirrors, files = module.DOWNLOADS["mnist"]
    network.update({mirrors[0] + name: b"please log in" for name in files})
    assert load("mnist").train_images.shape == (7, 28, 28, 1)
    network.update({mirrors[1] + name: b"please log in" for name in files})
    with pytest.raises(DataError, match="wrong MD5"):
        download("mnist", module._cache() / "again")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_no_network_names_the_ways_out(network, name: str) -> None:
    with pytest.raises(DataError, match=f"cannot download {name}.*no route.*'digits'"):
        load(name)


def test_cifar_is_unpacked(monkeypatch, network) -> None:
    mirrors, files = module.DOWNLOADS["cifar10"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in module.CIFAR_FILES:
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = 2 * 3073
            archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    content = buffer.getvalue()
    (name,) = files
    sums = {name: hashlib.md5(content).hexdigest()}
    monkeypatch.setitem(module.DOWNLOADS, "cifar10", (mirrors, sums))
    network[mirrors[0] + name] = content
    assert load("cifar10").test_images.shape == (2, 32, 32, 3)


def test_a_sample_holds_the_first_test_images(tmp_path) -> None:
    data: Dataset = load("digits")
    with np.load(save_sample(data, tmp_path / "s.npz", 20), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["images"], data.test_images[:20])
        np.testing.assert_array_equal(file["labels"], data.test_labels[:20])
        assert file["labels"].dtype == np.uint8
