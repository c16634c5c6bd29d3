# SPDX-License-Identifier: Apache-2.0
"""README.md and docs/: links lead somewhere, commands exist, the code runs."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert page.name != "README.md" or len(local) > 4
    for target in local:
        assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_the_picture_is_well_formed_and_described() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "data-path.svg").getroot()
    names = {element.tag.split("}")[1] for element in picture}
    assert {"title", "desc"} <= names


def test_commands_and_targets_exist() -> None:
    import typer

    from xnorflow.cli.main import app

    known = set(typer.main.get_command(app).commands)
    used = set(re.findall(r"`xnorflow ([a-z-]+)", README))
    assert used == known
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"sim", "test", "test-all", "verilog", "setup"} <= targets
    assert set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", README, re.M)) <= targets


def test_paths_in_text_exist() -> None:
    for name in re.findall(r"`((?:core|golden|gateware|compile|driver|train)/\w+\.py)`", README):
        assert list(ROOT.glob(f"*/xnorflow/{name}")), name


def test_the_results_are_those_of_the_shipped_networks() -> None:
    """Accuracy as the artifact has it; cycles and useful work as the compiler counts them."""
    from xnorflow.compile.program import compile_network
    from xnorflow.core.artifact import Artifact
    from xnorflow.core.geometry import Geometry
    from xnorflow.zoo.catalog import artifact_path

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines()]
    table = {cells[0]: cells[1:] for cells in rows if len(cells) == 4}
    names = [cell.strip("`") for cell in table[""]]
    geometry = Geometry.parse("3x3x8x32")
    images = 10_000
    for column, name in enumerate(names):
        artifact = Artifact.load(artifact_path(name))
        program = compile_network(artifact, geometry)
        blocks, rest = divmod(images, program.block)
        cycles = blocks * program.block_cycles(program.block)
        cycles += program.block_cycles(rest) if rest else 0
        useful = program.useful_xnors(images) / (cycles * geometry.xnors_per_cycle)
        measured = artifact.provenance["test"]
        assert measured["images"] == images
        assert table["accuracy"][column] == f"{100 * measured['accuracy']:.2f} %"
        assert table["cycles per image"][column] == f"{cycles / images:,.0f}"
        assert table["useful work of the array"][column] == f"{100 * useful:.1f} %"


@pytest.mark.slow
def test_its_code_runs(tmp_path: Path) -> None:
    use, build = re.findall(r"```python\n(.*?)```", README, re.S)
    done = subprocess.run(
        [sys.executable, "-c", use], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert float(done.stdout) > 0.95
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True)
    command = [sys.executable, "-c", "from xnorflow.cli.main import main; main()"]
    arguments = ["run", "mine.safetensors", "--random", "--images", "8"]
    done = subprocess.run(
        [*command, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "identical to the golden model: 8 images, 2 layers" in done.stdout
