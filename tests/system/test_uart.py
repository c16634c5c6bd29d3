# SPDX-License-Identifier: Apache-2.0
"""Real digits through the pins of a UART: driver, pseudo-terminal, simulated board, golden."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from amaranth import Module
from tests.gateware.helpers import join_array_clock

from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.errors import DeviceMismatch
from xnorflow.flat.choose import make_crossed
from xnorflow.golden.model import GoldenNetwork
from xnorflow.links.uart import UartDevice
from xnorflow.simulation.pins import pins_verilog
from xnorflow.simulation.terminal import Terminal
from xnorflow.simulation.uart import (
    DIVISOR,
    TOP,
    SimulatedBoard,
    UartModel,
    build_uart,
    load_uart,
)
from xnorflow.zoo.catalog import artifact_path, sample

GEOMETRY = Geometry.parse("2x2x4x32")
NETWORK = "mnist-cnn-w1a2"


class BothClocks(UartDevice):
    """A board's device: the accelerator in a domain of its own, whose clock is the same here."""

    def __init__(self, build_hash: int) -> None:
        super().__init__(make_crossed(GEOMETRY, build_hash=build_hash), divisor=DIVISOR)

    def elaborate(self, platform: object) -> Module:
        return join_array_clock(super().elaborate(platform))


def crossed() -> UartModel:
    """The simulation of such a board."""
    what = f"{GEOMETRY} divisor {DIVISOR} crossed"
    verilog = pins_verilog("uart", GEOMETRY, TOP, BothClocks, what=what)
    return build_uart(verilog, DIVISOR, what)


@pytest.fixture(scope="module", params=[lambda: load_uart(GEOMETRY), crossed])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """A board that is served by a thread, as ``xnorflow serve-uart`` does it."""
    terminal = Terminal(SimulatedBoard(request.param()))
    ended = threading.Event()
    server = threading.Thread(target=terminal.serve, args=(lambda: not ended.is_set(),))
    server.start()
    yield f"uart:{terminal.path}"
    ended.set()
    server.join()
    terminal.close()


def test_digits_through_the_pins(device: str) -> None:
    """Blocks of three images; every logit, bit for bit. Then a host that went and came again."""
    artifact = Artifact.load(artifact_path(NETWORK))
    images = sample("mnist")[0][:7]
    golden = GoldenNetwork(artifact)(images)
    with Accelerator.open(device, geometry=GEOMETRY) as accelerator:
        program = accelerator.load(artifact)
        result = accelerator.run(images)
    assert result.blocks > 1
    np.testing.assert_array_equal(result.logits.view(np.uint32), golden.logits.view(np.uint32))
    np.testing.assert_array_equal(result.accumulators, golden.accumulators)
    with Accelerator.open(device) as accelerator:
        assert accelerator.geometry == GEOMETRY
        accelerator.load(program)
        np.testing.assert_array_equal(accelerator.infer(images[:1]), golden.logits[:1])


def test_another_geometry_is_refused(device: str) -> None:
    with pytest.raises(DeviceMismatch, match="columns 4, not 8"):
        Accelerator.open(device, geometry="2x2x8x32")
