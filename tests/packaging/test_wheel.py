# SPDX-License-Identifier: Apache-2.0
"""The wheel: it builds, holds everything, and works from another folder without the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "-q", "-w", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("xnorflow-*.whl")
    return built


def test_it_holds_every_source_and_the_shipped_files(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT / part).as_posix()
        for part in ("hw", "sw", "sim")
        for path in (ROOT / part / "xnorflow").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= held
    endings = {Path(name).suffix for name in held if name.startswith("xnorflow/zoo/")}
    assert {".py", ".safetensors", ".npz"} <= endings
    assert "xnorflow/__init__.py" not in held
    assert "xnorflow/simulation/harness.cpp" in held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not any(name.startswith(("tests/", "docs/")) for name in held)


def test_it_works_installed(wheel: Path, tmp_path: Path) -> None:
    """Installed alone into a folder: every part is imported from there, and an artifact loads."""
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True)
    code = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import xnorflow

# The editable install of the sources must not help.
xnorflow.__path__ = [str(Path(sys.argv[1]) / "xnorflow")]
import xnorflow.cli.main
import xnorflow.gateware.verilog
import xnorflow.simulation.model
from xnorflow.core.artifact import Artifact
from xnorflow.golden.model import GoldenNetwork
from xnorflow.zoo.catalog import artifact_path, names, sample

for module in list(sys.modules.values()):
    if module.__name__.startswith("xnorflow.") and getattr(module, "__file__", None):
        assert module.__file__.startswith(sys.argv[1]), module.__file__
for name in names():
    artifact = Artifact.load(artifact_path(name))
    images, labels = sample(artifact.provenance["data"])
    right = (GoldenNetwork(artifact).classify(images[:64]) == labels[:64]).mean()
    print(name, right)
    assert right > artifact.provenance["test"]["accuracy"] - 0.05
assert len(names()) >= 2
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
