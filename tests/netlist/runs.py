# SPDX-License-Identifier: Apache-2.0
"""A small network on real images, run by a synthesised netlist through the driver."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xnorflow.compile.program import compile_network
from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.geometry import Geometry
from xnorflow.driver.accelerator import Accelerator
from xnorflow.golden.model import GoldenNetwork
from xnorflow.simulation.design import SimulatedDesign
from xnorflow.simulation.device import Stalls
from xnorflow.simulation.model import build_design
from xnorflow.simulation.transport import SimulatedTransport
from xnorflow.synthesis.simulable import simulable
from xnorflow.zoo.catalog import sample

__all__ = ["BUILD_HASH", "GEOMETRY", "check_netlist", "network"]

BUILD_HASH = 0x1F2E3D4C
GEOMETRY = Geometry.parse(
    "2x1x2x8,activation_depth=1024,weight_depth=512,accumulator_depth=256,layer_depth=16,"
    "scale_depth=16,pool_depth=32,max_lanes=2"
)


def network(seed: int = 5) -> Artifact:
    """MNIST images through a strided convolution with padding and pooling, one more, and a layer
    of ten outputs: all kinds of layer, two lanes, both directions of pooling.
    """
    rng = np.random.default_rng(seed)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice(np.array([-1, 1], np.int8), shape)

    def thresholds(channels: int, lanes: int, spread: int) -> np.ndarray:
        return np.sort(rng.integers(-spread, spread, (channels, (1 << lanes) - 1)), axis=1)

    builder = NetworkBuilder("netlist", image_shape=(28, 28, 1), pixel_lanes=2)
    builder.conv(
        signs(5, 3, 3, 1), thresholds=thresholds(5, 2, 20), pool_min=rng.integers(0, 2, 5),
        stride=2, padding=(1, 1), pool=2, out_scales=(5, 2),
    )  # fmt: skip
    builder.conv(signs(9, 3, 3, 5), thresholds=thresholds(9, 1, 60), pool=2)
    builder.fc(signs(10, 36))
    return builder.build()


def check_netlist(netlist: Path, family: str, images: int) -> int:
    """Every layer's codes, the accumulators and the cycles; returns these.

    Raises
    ------
    AssertionError
        If anything differs from the golden model or the cycle model.
    """
    verilog = simulable(netlist, family, "xnorflow")
    artifact = network()
    pictures = sample("mnist")[0][:images]
    golden = GoldenNetwork(artifact)(pictures)
    program = compile_network(artifact, GEOMETRY)
    model = build_design(SimulatedDesign(GEOMETRY, verilog, BUILD_HASH), optimise=False)
    stalls = Stalls(7, config=0.2, pixels=0.3, results=0.3)
    with Accelerator(SimulatedTransport(model, stalls=stalls), geometry=GEOMETRY) as device:
        device.load(program)
        result = device.run(pictures, record=True)
    assert result.codes is not None
    assert {*result.codes, "input"} == {*golden.codes, "input"}
    assert len({*result.codes} - {"input"}) == 2
    for name, codes in golden.codes.items():
        if name != "input":
            assert (result.codes[name] == codes).all(), name
    assert (result.accumulators == golden.accumulators).all()
    assert len(set(golden.logits.argmax(axis=1).tolist())) > 1  # images that differ
    blocks = [min(program.block, images - at) for at in range(0, images, program.block)]
    assert result.cycles == sum(program.block_cycles(block) for block in blocks)
    return result.cycles
