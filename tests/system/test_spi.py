# SPDX-License-Identifier: Apache-2.0
"""Real digits through the pins of an SPI: driver, simulated board, golden."""

from __future__ import annotations

import numpy as np
import pytest

from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.link import Link
from xnorflow.driver.link_transport import LinkTransport
from xnorflow.driver.spi import SpiPort
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.spi import SimulatedSpi, load_spi
from xnorflow.zoo.catalog import artifact_path, sample

GEOMETRY = Geometry.parse("2x1x2x16,activation_depth=2048")
NETWORK = "mnist-cnn-w1a2"


@pytest.mark.slow
def test_digits_through_the_pins() -> None:
    """Every logit, bit for bit. Slow: the whole board is built for it."""
    artifact = Artifact.load(artifact_path(NETWORK))
    images = sample("mnist")[0][:2]
    golden = GoldenNetwork(artifact)(images)
    link = Link(SpiPort(SimulatedSpi(load_spi(GEOMETRY))))
    with Accelerator(LinkTransport(link), geometry=GEOMETRY) as accelerator:
        accelerator.load(artifact)
        result = accelerator.run(images)
    np.testing.assert_array_equal(result.logits.view(np.uint32), golden.logits.view(np.uint32))
    np.testing.assert_array_equal(result.accumulators, golden.accumulators)
    assert (link.counts.damaged, link.counts.recoveries) == (0, 0)
