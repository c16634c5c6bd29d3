# SPDX-License-Identifier: Apache-2.0
"""A host with numpy alone can use the driver: no PyTorch, no Amaranth."""

import subprocess
import sys

_USE = """
import sys
import numpy as np
import xnorflow.driver.compare
from tests.driver.fakes import FakeDevice, FakeProgram, GEOMETRY
from xnorflow.core.builder import NetworkBuilder
from xnorflow.driver.accelerator import Accelerator

with Accelerator(FakeDevice()) as device:
    device.load(FakeProgram())
    device.infer(np.zeros((3, 2, 3, 1), np.uint8))
    builder = NetworkBuilder("tiny", image_shape=(2, 3, 1), flatten=True)
    device.load(builder.fc(np.ones((3, 6), np.int8)).build())
parts = ("torch", "amaranth", "xnorflow.gateware", "xnorflow.train", "xnorflow.simulation")
print(sorted(name for name in sys.modules if name.startswith(parts)))
"""


def test_the_driver_imports_neither_torch_nor_gateware_nor_training():
    """Also while it compiles an artifact and runs it."""
    said = subprocess.run(
        [sys.executable, "-c", _USE], capture_output=True, text=True, check=True, timeout=120
    )
    assert said.stdout.strip() == "[]"
