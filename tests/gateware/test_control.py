# SPDX-License-Identifier: Apache-2.0
"""The main state machine: rows and parts in order, the queue of runs, counters, aborts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.gateware.helpers import SURPLUS_CYCLES, geometry_of, trace

from xnorflow.core.registers import DeviceError, Status
from xnorflow.gateware.control import Control

FLUSH, FETCH = 9, 5
OUTPUTS = ("rewind", "fetch", "take", "input_start", "input_images", "input_room", "row_start",
           "units", "part", "final", "row_index", "busy", "flush", "status", "error", "blocks",
           "cycles", "wait_cycles")  # fmt: skip


def row(first: int, count: int, **flags: int) -> dict[str, int]:
    """The fields of a program row that control looks at."""
    names = ("from_input", "frees_input", "ends")
    return {"unit_first": first, "unit_last": count - 1} | {n: flags.get(n, 0) for n in names}


@dataclass
class Program:
    """Rows, and how many units of input lie in the banks at once."""

    rows: list[dict[str, int]]
    block: int
    chunk: int
    double: bool

    def runs(self, units: int) -> list[tuple[int, int, int]]:
        """Row, its units, and whether its read-outs end a block of so many units."""
        found = []
        for index, now in enumerate(self.rows):
            count = min(now["unit_last"] + 1, units - now["unit_first"])
            if count > 0:
                ends = now["ends"] and now["unit_first"] + count == units
                found.append((index, count, int(ends)))
        return found


def program(block: int, chunk: int, double: bool, pixels: int = 1) -> Program:
    """A front that runs part by part, two rows a part, and two rows for the whole block."""
    units = -(-block // pixels)
    rows = []
    for first in range(0, units, chunk):
        count = min(chunk, units - first)
        rows.append(row(first, count, from_input=1))
        rows.append(row(first, count, from_input=1, frees_input=1))
    rows += [row(0, 2, ends=1), *([row(2, units - 2, ends=1)] if units > 2 else [])]
    return Program(rows, block, chunk, double)


@dataclass
class Device:
    """Everything around control: program store, formatter, rows that take their time."""

    geometry: Any
    program: Program
    rng: np.random.Generator
    slow_input: float = 0.5
    stall: float = 0.2
    fetched: int = -1
    cycle: int = 0
    left: int = 0  # cycles until the row is fetched
    taken: int = 0
    first_known: bool = False
    receiving: list[int] = field(default_factory=list)  # parts' units to come
    filling: int = 0  # cycles until the part is full
    full_before: int = 0
    started: int = -1  # cycle before
    running: int = 0
    held: int = 0  # parts that are complete and not freed
    starts: list[tuple[int, int, int, int]] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    work: int = 0  # cycles that count
    waits: int = 0

    def reset(self) -> None:
        """What the flush does: the store keeps its program and rows."""
        self.receiving, self.filling, self.started, self.running, self.held = [], 0, -1, 0, 0
        self.starts, self.received = [], []

    def inputs(self, seen: dict[str, Any]) -> dict[str, Any]:
        """Answers to what was seen in the cycle before."""
        self.cycle += 1
        now: dict[str, Any] = {"rows": len(self.program.rows), "block": self.program.block}
        # The program store.
        if seen["rewind"]:
            self.fetched = -1
        if seen["fetch"]:
            self.fetched += 1
            self.left = FETCH - 1
        elif self.left:
            self.left -= 1
            self.first_known |= not self.left
        if seen["take"]:
            assert not self.left
            self.taken = self.fetched
        now["row"] = self.program.rows[self.taken]
        # The formatter.
        full = 0
        if self.started == self.cycle - 1:
            images = seen["input_images"]
            self.received.append(images)
            units = -(-images // self.geometry.pixels)
            chunk = self.program.chunk
            self.receiving = [min(chunk, units - first) for first in range(0, units, chunk)]
        if seen["input_start"]:
            assert not self.receiving and self.first_known
            self.started = self.cycle
        elif self.receiving and self.filling:
            self.filling -= 1
            if not self.filling:
                self.receiving.pop(0)
                self.held += 1
                assert self.held <= 1 + self.program.double, "a part is overwritten"
                full = 1
        elif self.full_before:  # room counts from the cycle after ``full`` on
            pass
        elif self.receiving and seen["input_room"] and self.rng.random() > self.slow_input:
            self.filling = int(self.rng.integers(1, 12))
        now["input_full"] = self.full_before = full
        now["input_idle"] = int(not self.receiving and self.started < self.cycle)
        now["input_ready"] = int(self.first_known)
        now["input_double"] = int(self.program.double)
        # The row.
        if seen["row_start"]:
            fields = self.program.rows[seen["row_index"]]
            assert not fields["from_input"] or self.held, "the part is not complete"
            index = seen["row_index"]
            self.starts.append((index, seen["units"], seen["final"], seen["part"]))
            self.running = int(self.rng.integers(1, 15))
        elif self.running:
            self.running -= 1
            if not self.running and self.program.rows[seen["row_index"]]["frees_input"]:
                self.held -= 1
        now["row_done"] = int(not self.running)
        now["waiting"] = int(self.running > 0 and self.rng.random() < self.stall)
        return now


QUIET = {"run": 0, "abort": 0, "images": 0xFFFF, "bad_packet": 0}


def runs_of(
    device: Device, blocks: list[int], *, limit: int = 4000
) -> Generator[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Ask for blocks as soon as none waits; returns what was seen when all had ended."""
    seen = yield {**QUIET, "rows": len(device.program.rows), "block": device.program.block}
    asked = 0
    history = [seen]
    for _ in range(limit):
        now = {**QUIET, **device.inputs(seen)}
        status = Status(seen["status"])
        if asked < len(blocks) and Status.QUEUED not in status and device.rng.random() < 0.4:
            images = {"images": blocks[asked]}
            asked += 1
            history.append((yield {**now, **images}))
            history.append((yield {**QUIET, **device.inputs(history[-1]), **images, "run": 1}))
            seen = yield {**QUIET, **device.inputs(history[-1])}  # now it shows
            history.append(seen)
            continue
        seen = yield now
        history.append(seen)
        if asked == len(blocks) and not seen["busy"]:
            history.append((yield QUIET))  # now the counters show the last one
            return history
    raise AssertionError("the blocks do not end")


CASES = {
    "one part": (program(5, 5, False), "2x1x2x8"),
    "one part, two of them": (program(5, 5, True), "2x1x2x8"),
    "parts, one at a time": (program(5, 2, False), "2x1x2x8"),
    "parts, two at a time": (program(6, 2, True), "2x1x2x8"),
    "images side by side": (program(9, 2, True, pixels=2), "2x1x2x8,pixels=2"),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_blocks_run_row_by_row(name: str, seed: int) -> None:
    """Whole blocks and smaller ones, queued: rows, units, parts, counters."""
    case, shape = CASES[name]
    geometry = geometry_of(shape, layer_depth=16)
    rng = np.random.default_rng([140, seed])
    device = Device(geometry, case, rng, slow_input=rng.choice([0.0, 0.9]), stall=0.2)
    blocks = [case.block, 1, *rng.integers(1, case.block + 1, 4).tolist()]

    histories: list[list[dict[str, Any]]] = []

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        histories.append((yield from runs_of(device, blocks)))
        for _ in range(SURPLUS_CYCLES):
            yield {**QUIET, "row_done": 1}

    dut = Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH)
    seen = trace(dut, stimulus(), *OUTPUTS)
    assert device.received == blocks
    units = [-(-images // geometry.pixels) for images in blocks]
    assert [start[:3] for start in device.starts] == [
        run for count in units for run in case.runs(count)
    ]
    # Parts take turns from block to block.
    part = 0
    for index, _, _, used in device.starts:
        fields = case.rows[index]
        if fields["from_input"]:
            assert used == part
        part ^= fields["frees_input"] & case.double
    # Of a row that runs: take, check, start, and until it is done; one that is skipped waits for
    # the next one.
    assert seen[-1]["status"] == Status.DONE
    assert seen[-1]["blocks"] == len(blocks)
    assert not any(out["busy"] or out["row_start"] or out["take"] for out in seen[-SURPLUS_CYCLES:])
    takes = [cycle for cycle, out in enumerate(seen) if out["take"]]
    starts = {cycle for cycle, out in enumerate(seen) if out["row_start"]}
    assert len(takes) == len(blocks) * len(case.rows)
    total = 0
    for number, cycle in enumerate(takes):
        skipped = not any(cycle < s < [*takes, len(seen)][number + 1] for s in starts)
        if skipped:
            total += FETCH + 4
        else:
            start = min(s for s in starts if s > cycle)
            waited = start - (cycle + 4)
            assert waited >= 0
            fields = case.rows[number % len(case.rows)]
            assert not waited or fields["from_input"]
            total += 6
            device.waits += waited
    assert seen[-1]["cycles"] - total >= 0
    assert seen[-1]["wait_cycles"] >= device.waits


def test_counters_split_a_row_into_work_and_waiting() -> None:
    """One row of ten cycles, of which three wait for room; the input came before."""
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    case = Program([row(0, 1, ends=1)], 1, 1, False)
    base = {**QUIET, "rows": 1, "block": 1, "row": case.rows[0], "input_idle": 1,
            "input_ready": 1, "row_done": 0, "waiting": 0}  # fmt: skip
    begin = {**base, "run": 1, "images": 1}
    for waits in ((), (3, 4, 9), range(10)):
        stimulus = [*[base] * (FETCH + 3), {**base, "images": 1}, begin, *[base] * 6]
        start = len(stimulus) - 1
        stimulus += [{**base, "waiting": int(at in waits), "row_done": int(at == 9)}
                     for at in range(10)]  # fmt: skip
        stimulus += [{**base, "row_done": 1, "waiting": 1}] * 9
        dut = Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH)
        seen = trace(dut, stimulus, *OUTPUTS)
        assert [cycle for cycle, out in enumerate(seen) if out["row_start"]] == [start]
        assert seen[-1]["wait_cycles"] == len(waits)
        assert seen[-1]["cycles"] == 6 + 10 - len(waits)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rows": 0}, DeviceError.NO_PROGRAM),
        ({"images": 0}, DeviceError.NO_PROGRAM),
        ({"images": 6}, DeviceError.NO_PROGRAM),
        ({"block": 0}, DeviceError.NO_PROGRAM),
        ({"bad_packet": 1}, DeviceError.BAD_PACKET),
    ],
)
def test_a_run_that_cannot_be_is_refused(change: dict[str, int], error: DeviceError) -> None:
    """Until a run that can be is asked for."""
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    case = program(5, 5, False)
    device = Device(geometry, case, np.random.default_rng(1))
    idle = {"row": case.rows[0], "input_idle": 1}
    refused = {**QUIET, **idle, "rows": 4, "block": 5, "images": 5, **change, "run": 1}

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        yield {**refused, "run": 0}
        yield refused
        for _ in range(SURPLUS_CYCLES):
            yield {**refused, "run": 0}
        yield from runs_of(device, [3])

    seen = trace(Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH), stimulus(), *OUTPUTS)
    for out in seen[2 : SURPLUS_CYCLES + 2]:
        assert (out["status"], out["error"], out["busy"]) == (Status.ERROR, error, 0)
    assert not any(out["take"] or out["input_start"] for out in seen[: SURPLUS_CYCLES + 3])
    assert (seen[-1]["status"], seen[-1]["error"]) == (Status.DONE, DeviceError.NONE)


def test_a_refused_run_leaves_the_block_before_alone() -> None:
    """And the error ends with the next run that can be."""
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    case = program(5, 2, True)
    device = Device(geometry, case, np.random.default_rng(3))

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        running = runs_of(device, [5, 4])
        seen = yield next(running)
        asked = 0
        images: list[int] = []
        while True:
            try:
                now = running.send(seen)
            except StopIteration:
                return
            images = [*images, now["images"]][-2:]
            far_too_many = images == [QUIET["images"]] * 2
            if far_too_many and seen["status"] == Status.BUSY and asked < 3:
                asked += 1
                now = {**now, "run": 1}
            seen = yield now

    seen = trace(Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH), stimulus(), *OUTPUTS)
    assert any(out["status"] == Status.BUSY | Status.ERROR for out in seen)
    assert device.received == [5, 4]
    assert seen[-1]["blocks"] == 2


def test_a_run_beyond_the_queue_changes_nothing() -> None:
    """RUN with other images in every cycle in which a block waits: the waiting one stays."""
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    case = program(5, 2, True)
    device = Device(geometry, case, np.random.default_rng(4))

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        running = runs_of(device, [5, 4, 3])
        seen = yield next(running)
        while True:
            try:
                now = running.send(seen)
            except StopIteration:
                return
            if Status.QUEUED in Status(seen["status"]) and seen["row_index"] < 2:
                now = {**now, "run": 1, "images": 1}
            seen = yield now

    seen = trace(Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH), stimulus(), *OUTPUTS)
    assert device.received[0] == 5
    assert seen[-1]["blocks"] == len(device.received)


def test_a_bad_packet_shows_at_once_and_its_end_too() -> None:
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    base = {**QUIET, "input_idle": 1}
    stimulus = [{**base, "bad_packet": int(2 <= cycle < 5)} for cycle in range(9)]
    seen = trace(Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH), stimulus, *OUTPUTS)
    bad = [out["error"] == DeviceError.BAD_PACKET for out in seen]
    assert bad == [2 <= cycle < 5 for cycle in range(9)]
    assert [out["status"] == Status.ERROR for out in seen] == bad


@pytest.mark.parametrize("start", range(4))
def test_abort_in_every_cycle(start: int) -> None:
    """Also in the one in which a block ends or is asked for: then all is as after a reset.

    What was aborted counts nowhere, and a whole run afterwards is a first one.
    """
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    case = program(3, 2, True)
    expected = case.runs(3) + case.runs(2)

    def stimulus() -> Generator[dict[str, Any], dict[str, Any], None]:
        for at in range(start, 110, 4):
            device = Device(geometry, case, np.random.default_rng(5))
            running = runs_of(device, [3, 2])
            seen = yield next(running)
            for _ in range(at):
                try:
                    seen = yield running.send(seen)
                except StopIteration:
                    break
            counted = seen["cycles"], seen["wait_cycles"]
            now = device.inputs(seen)
            seen = yield {**QUIET, **now, "abort": 1}
            ended = (seen["cycles"], seen["wait_cycles"]) != counted  # in the cycle before
            device.reset()
            quiet = {**QUIET, "rows": len(case.rows), "block": case.block, "row_done": 1,
                     "input_idle": 1, "input_full": 0, "waiting": 0}  # fmt: skip
            for step in range(FLUSH + 20):
                # RUN is not taken while the pipelines empty; late words of units mean nothing.
                late = {"row_done": step % 2, "input_full": int(step < FLUSH - 1)}
                run = {"run": int(step < FLUSH), "images": 3}
                seen = yield {**quiet, **(late if step < FLUSH else {}), **run}
                assert not seen["take"] and not seen["row_start"] and not seen["input_start"]
                assert seen["flush"] == seen["busy"] == int(step < FLUSH), f"{at}, step {step}"
                status = Status.BUSY if step < FLUSH else Status(0)
                assert (seen["status"], seen["blocks"]) == (status, 0), f"cut at {at}"
                if not ended:
                    assert (seen["cycles"], seen["wait_cycles"]) == counted, f"cut at {at}"
            again = Device(geometry, case, np.random.default_rng(6))
            yield from runs_of(again, [3, 2])
            assert [found[:3] for found in again.starts] == expected, f"cut at {at}"
            assert again.starts[0][3] == 0, f"cut at {at}"  # the first part

    trace(Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH), stimulus(), *OUTPUTS)


def test_abort_clears_a_refusal() -> None:
    geometry = geometry_of("2x1x2x8", layer_depth=16)
    refused = {**QUIET, "rows": 0, "images": 1, "block": 1, "run": 1, "input_idle": 1}
    seen = trace(
        Control(geometry, flush_cycles=FLUSH, fetch_cycles=FETCH),
        [refused, {**refused, "run": 0}, {**refused, "run": 0, "abort": 1},
         *[{**refused, "run": 0, "abort": 0}] * (FLUSH + 2)],
        *OUTPUTS,
    )  # fmt: skip
    assert seen[1]["status"] == Status.ERROR
    assert (seen[-1]["status"], seen[-1]["error"]) == (Status(0), DeviceError.NONE)
