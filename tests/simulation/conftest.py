# SPDX-License-Identifier: Apache-2.0
"""The mock device as fixtures."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from xnorflow.simulation.design import SimulatedDesign
from xnorflow.simulation.device import SimulatedDevice
from xnorflow.simulation.model import SimulationModel, build_design


@pytest.fixture(scope="session")
def mock() -> ModuleType:
    """The module mock.py, whose folder is not on the import path."""
    spec = importlib.util.spec_from_file_location(
        "simulation_mock", Path(__file__).with_name("mock.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def design(mock: ModuleType) -> SimulatedDesign:
    return SimulatedDesign(mock.GEOMETRY, mock.verilog(), mock.BUILD_HASH)


@pytest.fixture(scope="session")
def model(design: SimulatedDesign) -> SimulationModel:
    return build_design(design)


@pytest.fixture
def device(model: SimulationModel) -> Iterator[SimulatedDevice]:
    device = SimulatedDevice(model)
    yield device
    device.close()
