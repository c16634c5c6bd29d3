# SPDX-License-Identifier: Apache-2.0
"""The deskew: codes of a position that come hop by hop leave together."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gateware.helpers import SHAPES, geometry_of, trace

from xnorflow.gateware.deskew import Deskew


@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("shape", [*SHAPES, "2x1x16x8"])
def test_deskew_brings_a_position_together(shape: str, pixels: int) -> None:
    """Hop h's codes come h cycles late and leave a cycle after the last hop's."""
    geometry = geometry_of(shape, pixels=pixels)
    rng = np.random.default_rng(150)
    codes = rng.integers(1 << geometry.max_lanes, size=(60, geometry.columns * pixels))
    valid = rng.integers(2, size=60)
    hops = np.arange(geometry.columns) // geometry.columns_per_hop
    stimulus = [
        {
            "codes": [
                {"code": int(codes[max(cycle - hop, 0), index]), "pool_min": index % 2}
                for index, hop in enumerate(hops.repeat(pixels))
            ],
            "valids": sum(int(valid[max(cycle - hop, 0)]) << column
                          for column, hop in enumerate(hops)),
        }
        for cycle in range(60)
    ]  # fmt: skip
    seen = trace(Deskew(geometry), stimulus, "o", "o_valid")
    late = geometry.hops
    for cycle in range(late, 60):
        assert seen[cycle]["o_valid"] == valid[cycle - late]
        assert [out["code"] for out in seen[cycle]["o"]] == codes[cycle - late].tolist()
        assert [out["pool_min"] for out in seen[cycle]["o"]] == [
            index % 2 for index in range(len(hops) * pixels)
        ]


def test_reset_in_mid_position() -> None:
    geometry = geometry_of("2x2x3x8")
    feed = {"codes": [{"code": 5}] * 3, "valids": 7}
    stimulus = [*[feed] * 5, {"rst": 1, "valids": 0}, *[{"rst": 0}] * 20]
    seen = trace(Deskew(geometry), stimulus, "o", "o_valid")
    assert [out["code"] for out in seen[4]["o"]] == [5, 5, 5]
    assert not any(out["o_valid"] for out in seen[6:])
    assert [out["code"] for out in seen[6]["o"]] == [0, 0, 0]
