# SPDX-License-Identifier: Apache-2.0
"""The queue: nothing lost, nothing twice, in order, at the promised latency."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace

from xnorflow.gateware.queue import Queue

OUTPUTS = ("items.valid", "items.payload", "taken")


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("gap", [0.0, 0.6])
@pytest.mark.parametrize("depth", [2, 16])
def test_items_come_in_order(depth: int, gap: float, stall: float) -> None:
    """Its user counts by ``taken``; the taker stalls; an offered item stays until it is taken."""
    rng = np.random.default_rng([150, depth, int(10 * gap), int(10 * stall)])
    sent = rng.integers(1 << 12, size=200).tolist()
    pushed: list[int] = []  # cycle of each push
    received: list[tuple[int, int]] = []
    states: list[dict[str, Any]] = []

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        seen: dict[str, Any] = {"taken": 0}
        inside = cycle = 0
        while len(received) < len(sent):
            assert cycle < 10_000, "items do not come"
            inside -= seen["taken"]
            push = len(pushed) < len(sent) and inside < depth and rng.random() >= gap
            item = sent[len(pushed)] if push else 0xABC
            ready = int(rng.random() >= stall)
            seen = yield {"push": int(push), "item": item, "items.ready": ready}
            states.append({**seen, "ready": ready})
            if push:
                pushed.append(cycle)
                inside += 1
            if seen["items.valid"] and ready:
                received.append((cycle, seen["items.payload"]))
            cycle += 1
        for _ in range(SURPLUS_CYCLES):
            seen = yield {"push": 0, "items.ready": 1}
            assert not seen["items.valid"]

    trace(Queue(12, depth=depth), stimulus(), *OUTPUTS)
    assert [item for _, item in received] == sent
    latencies = [at - begin for (at, _), begin in zip(received, pushed, strict=True)]
    assert min(latencies) >= Queue.latency_cycles
    if not stall:
        assert set(latencies) == {Queue.latency_cycles}
    for before, now in pairwise(states):
        if before["items.valid"] and not before["ready"]:
            assert (now["items.valid"], now["items.payload"]) == (1, before["items.payload"])
