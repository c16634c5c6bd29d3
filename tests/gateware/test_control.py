# SPDX-License-Identifier: Apache-2.0
"""The main state machine: order of a block, counters, refusals, aborts at every cycle."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, trace

from xnorflow.core.registers import DeviceError, Status
from xnorflow.gateware.control import Control

FLUSH = 9
OUTPUTS = ("formatter_start", "receiving", "layer_start", "layer", "busy", "flush", "status",
           "error", "cycles", "wait_cycles")  # fmt: skip
PROGRAM = {"images": 2, "layers": 3, "block": 2, "bad_packet": 0}
QUIET = {"run": 0, "abort": 0, "waiting": 0, "formatter_done": 0, "layer_done": 0}


def block(
    input_cycles: int, layer_cycles: list[int], waits: set[int] | None = None
) -> list[dict[str, int]]:
    """Cycles of a whole block, from RUN to the last layer's end, as the units would answer."""
    cycles = [{**QUIET, **PROGRAM, "run": 1}, QUIET, *[QUIET] * (input_cycles - 1)]
    cycles.append({**QUIET, "formatter_done": 1})
    for index, length in enumerate(layer_cycles):
        fetch = [QUIET] if index else []
        # A layer that has not begun still says that the one before is done.
        cycles += [*fetch, {**QUIET, "layer_done": 1}, *[QUIET] * (length - 1)]
        cycles.append({**QUIET, "layer_done": 1})
    return [{**now, "waiting": int(at in (waits or ()))} for at, now in enumerate(cycles)]


def test_a_block_runs_in_order() -> None:
    stimulus = [QUIET, *block(7, [5, 1, 4]), *[QUIET] * SURPLUS_CYCLES]
    seen = trace(Control(flush_cycles=FLUSH), stimulus, *OUTPUTS)

    def when(name: str) -> list[int]:
        return [cycle for cycle, out in enumerate(seen) if out[name]]

    assert when("formatter_start") == [2]
    assert when("receiving") == list(range(2, 10))
    assert when("layer_start") == [10, 17, 20]
    assert when("busy") == list(range(2, 25))
    assert when("flush") == []
    for index, start in enumerate(when("layer_start")):
        # The row memory answers a cycle after its address.
        assert seen[start - 1]["layer"] == seen[start]["layer"] == index
    status = [Status(out["status"]) for out in seen]
    assert status[:2] == [Status(0)] * 2
    assert status[2:25] == [Status.BUSY] * 23
    assert status[25:] == [Status.DONE] * (len(stimulus) - 25)
    assert seen[-1]["cycles"] == 23 and seen[-1]["wait_cycles"] == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counters_split_a_block_into_work_and_waiting(seed: int) -> None:
    rng = np.random.default_rng([140, seed])
    stimulus, totals = [], []
    for _ in range(4):
        lengths = rng.integers(1, 20, 3).tolist()
        total = len(block(int(lengths[0]), lengths)) - 1
        waits = set(rng.permutation(total)[: total // 3].tolist())
        # The cycle of RUN itself belongs to no block.
        spent = len(waits - {0})
        totals.append((total - spent, spent))
        stimulus += [*block(int(lengths[0]), lengths, waits), {**QUIET, "waiting": 1}]
    seen = trace(Control(flush_cycles=FLUSH), stimulus, *OUTPUTS)
    ends = [at for at, out in enumerate(seen) if out["status"] == Status.DONE and not out["busy"]]
    counted = [(seen[at]["cycles"], seen[at]["wait_cycles"]) for at in ends]
    assert counted[::2] == totals
    assert counted[1::2] == totals[:3]  # RUN's own cycle shows the block before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"layers": 0}, DeviceError.NO_PROGRAM),
        ({"images": 0}, DeviceError.NO_PROGRAM),
        ({"images": 3}, DeviceError.NO_PROGRAM),
        ({"block": 0}, DeviceError.NO_PROGRAM),
        ({"bad_packet": 1}, DeviceError.BAD_PACKET),
    ],
)
def test_a_run_that_cannot_be_is_refused(change: dict[str, int], error: DeviceError) -> None:
    refused = {**QUIET, **PROGRAM, **change, "run": 1}
    stimulus = [refused, *[QUIET] * SURPLUS_CYCLES, *block(3, [2, 2, 2]), *[QUIET] * 3]
    seen = trace(Control(flush_cycles=FLUSH), stimulus, *OUTPUTS)
    for out in seen[1 : SURPLUS_CYCLES + 1]:
        assert (out["status"], out["error"], out["busy"]) == (Status.ERROR, error, 0)
    assert not any(out["formatter_start"] for out in seen[: SURPLUS_CYCLES + 2])
    assert (seen[-1]["status"], seen[-1]["error"]) == (Status.DONE, DeviceError.NONE)


def test_a_bad_packet_shows_at_once_and_its_end_too() -> None:
    stimulus = [{**QUIET, "bad_packet": int(2 <= cycle < 5)} for cycle in range(9)]
    seen = trace(Control(flush_cycles=FLUSH), stimulus, *OUTPUTS)
    bad = [out["error"] == DeviceError.BAD_PACKET for out in seen]
    assert bad == [2 <= cycle < 5 for cycle in range(9)]
    assert [out["status"] == Status.ERROR for out in seen] == bad


def test_run_during_a_block_changes_nothing() -> None:
    quiet = block(4, [3, 2, 5])
    busy = [quiet[0], *({**now, "run": 1} for now in quiet[1:])]
    plain, pressed = (
        trace(Control(flush_cycles=FLUSH), [*stimulus, *[QUIET] * 9], *OUTPUTS)
        for stimulus in (quiet, busy)
    )
    assert plain == pressed


@pytest.mark.parametrize("late", [0, 1, 2, 5])
def test_run_in_the_first_idle_cycle_fetches_the_first_row(late: int) -> None:
    """A block that follows at once: the first layer's row is there when the input starts."""
    one = block(4, [3, 2, 5])
    stimulus = [*one, *[QUIET] * late, *one, *[QUIET] * 3]
    seen = trace(Control(flush_cycles=FLUSH), stimulus, *OUTPUTS)
    starts = [at for at, out in enumerate(seen) if out["formatter_start"]]
    assert len(starts) == 2
    assert [seen[at - 1]["layer"] for at in starts] == [0, 0]
    assert seen[-1]["status"] == Status.DONE


def aborted(at: int) -> list[dict[str, int]]:
    """A block with ABORT in cycle ``at``; what the units still say afterwards; another block."""
    one = block(4, [3, 2, 5])
    after = [
        {**QUIET, "layer_done": cycle % 2, "formatter_done": 1, "run": int(cycle < FLUSH)}
        for cycle in range(SURPLUS_CYCLES)
    ]
    quiet = [QUIET] * SURPLUS_CYCLES
    return [*one[:at], {**one[at], "run": 0, "abort": 1}, *after, *one, *quiet]


@pytest.mark.parametrize("at", range(len(block(4, [3, 2, 5]))))
def test_abort_in_every_cycle(at: int) -> None:
    """Also in the one in which the block ends: an aborted block is never done."""
    seen = trace(Control(flush_cycles=FLUSH), aborted(at), *OUTPUTS)
    after = seen[at + 1 : at + 1 + SURPLUS_CYCLES]
    # RUN is not taken while the pipelines empty.
    assert [out["flush"] for out in after] == [1] * FLUSH + [0] * (SURPLUS_CYCLES - FLUSH)
    assert [out["busy"] for out in after] == [out["flush"] for out in after]
    assert [out["status"] for out in after] == [
        Status.BUSY if out["flush"] else Status(0) for out in after
    ]
    assert not any(out["formatter_start"] or out["layer_start"] for out in after)
    again = seen[at + 1 + SURPLUS_CYCLES :]
    assert [out["layer"] for out in again if out["layer_start"]] == [0, 1, 2]
    assert again[-1]["status"] == Status.DONE
    assert again[-1]["cycles"] == len(block(4, [3, 2, 5])) - 1


def test_abort_clears_a_refusal() -> None:
    refused = {**QUIET, **PROGRAM, "layers": 0, "run": 1}
    seen = trace(
        Control(flush_cycles=FLUSH),
        [refused, QUIET, {**QUIET, "abort": 1}, *[QUIET] * (FLUSH + 2)],
        *OUTPUTS,
    )
    assert seen[2]["status"] == Status.ERROR
    assert (seen[-1]["status"], seen[-1]["error"]) == (Status(0), DeviceError.NONE)
