# SPDX-License-Identifier: Apache-2.0
"""Useful cycles and lost ones are all cycles, layer by layer and in total."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.system.random_networks import random_networks

from xnorflow.compile.cycles import LOSSES
from xnorflow.compile.program import CompileError, plan_network
from xnorflow.compile.report import Layer, report
from xnorflow.core.geometry import Geometry
from xnorflow.zoo.networks import named

BIG = {"weight_depth": 1 << 16, "accumulator_width": 28, "scale_width": 18, "scale_depth": 1024}


def adds_up(layer: Layer) -> None:
    assert set(layer.lost) == set(LOSSES)
    assert layer.useful_cycles + sum(layer.lost.values()) == pytest.approx(layer.cycles)
    assert min(layer.lost.values()) > -1e-6 * layer.cycles
    assert 0 < layer.utilisation <= 1


@settings(max_examples=60)
@given(data=st.data())
def test_random_networks_on_random_geometries(data: st.DataObject) -> None:
    artifact, _ = data.draw(random_networks())
    geometry = Geometry(
        data.draw(st.integers(2, 5)), data.draw(st.integers(1, 4)),
        data.draw(st.integers(2, 12)), data.draw(st.sampled_from((8, 16, 32, 64))),
        pixels=data.draw(st.sampled_from((1, 2, 4))), **BIG,
        accumulator_depth=data.draw(st.sampled_from((64, 1024))),
    )  # fmt: skip
    try:
        plans, schedule = plan_network(
            artifact.network, geometry, max_block=data.draw(st.integers(1, 32))
        )
    except CompileError:
        return
    found = report(plans, schedule)
    for layer in (*found.layers, found.total):
        adds_up(layer)
    assert found.total.cycles == schedule.cycles(schedule.units)
    assert found.block == schedule.units * geometry.pixels
    useful = found.block * sum(layer.xnors for layer in artifact.network.layers)
    assert found.total.useful_cycles * found.peak == pytest.approx(useful)


def test_roofline_of_a_known_network() -> None:
    plans, schedule = plan_network(
        named("cnv"), Geometry.parse("3x3x32x64,activation_depth=4096,weight_depth=2048")
    )
    found = report(plans, schedule)
    assert found.peak == 3 * 3 * 32 * 64
    assert found.weight_bus == 32 * 36
    conv2 = found.layers[1]
    intensity, speed = found.point(conv2)
    assert intensity == conv2.useful_cycles * found.peak / conv2.weight_bits
    assert speed <= min(found.peak, intensity * found.weight_bus)
    assert found.reasons == tuple(name for name in LOSSES if found.total.lost[name] > 0.5)
    assert found.image_bytes == 3072
    assert found.cycles_per_image == max(3072, found.total.cycles_per_image)


def test_latency_counts_the_image_first() -> None:
    plans, schedule = plan_network(
        named("cnv"), Geometry.parse("3x3x32x64,weight_depth=2048"), max_block=1
    )
    found = report(plans, schedule)
    assert found.block == 1
    assert found.latency_cycles == 3072 + found.total.cycles
