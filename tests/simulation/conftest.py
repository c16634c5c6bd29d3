# SPDX-License-Identifier: Apache-2.0
"""The mock device as fixtures."""

from collections.abc import Iterator

import pytest
from tests.simulation import mock

from xnorflow.simulation.design import SimulatedDesign
from xnorflow.simulation.device import SimulatedDevice
from xnorflow.simulation.model import SimulationModel, build_design


@pytest.fixture(scope="session")
def design() -> SimulatedDesign:
    return SimulatedDesign(mock.GEOMETRY, mock.verilog(), mock.BUILD_HASH)


@pytest.fixture(scope="session")
def model(design: SimulatedDesign) -> SimulationModel:
    return build_design(design)


@pytest.fixture
def device(model: SimulationModel) -> Iterator[SimulatedDevice]:
    device = SimulatedDevice(model)
    yield device
    device.close()
