# SPDX-License-Identifier: Apache-2.0
"""Thousands of damaged frames: nothing wrong comes of them, and the link goes on."""

from __future__ import annotations

import pytest
from tests.links.fuzz import fuzz


@pytest.mark.parametrize(
    ("link", "frames", "spikes"),
    [
        ("uart", 1000, 0.0),
        ("spi", 500, 0.0),
        pytest.param("uart", 50_000, 0.0, marks=pytest.mark.slow),
        pytest.param("uart", 50_000, 2e-5, marks=pytest.mark.slow),
        pytest.param("spi", 20_000, 0.0, marks=pytest.mark.slow),
    ],
)
def test_no_damage_gives_a_wrong_result(link: str, frames: int, spikes: float) -> None:
    outcome = fuzz(frames, seed=11, link=link, spikes=spikes)
    assert outcome.wrong == []
    assert outcome.operations > frames / 30, "most operations come through"
    assert outcome.damage is not None and outcome.link is not None
    assert sum(outcome.damage.counts.values()) > frames / 50
    assert outcome.link.counts.recoveries > 0


def test_a_quiet_line_repeats_nothing() -> None:
    outcome = fuzz(300, seed=5, rate=0.0, resets=0.0)
    assert outcome.wrong == [] and not outcome.reported
    assert outcome.link is not None
    counts = outcome.link.counts
    assert (counts.repeated, counts.recoveries, counts.damaged, counts.sessions) == (0, 0, 0, 1)
