# SPDX-License-Identifier: Apache-2.0
"""A host and a simulated device on a line that damages frames; every value is checked.

python -m tests.links.fuzz --frames 100000
python -m tests.links.fuzz --frames 20000 --link spi
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.table import Table
from tests.links.digest import (
    BLOCK,
    CLEAR,
    SCRATCH,
    WRITES,
    DigestModel,
    digest_spi,
    digest_uart,
)

from xnorflow.core.link import LinkLimits
from xnorflow.core.registers import Command
from xnorflow.driver.errors import DeviceFault, DeviceTimeout
from xnorflow.driver.link import Link
from xnorflow.driver.link_transport import LinkTransport
from xnorflow.driver.port import Port
from xnorflow.driver.spi import SpiPort
from xnorflow.simulation.spi import SimulatedSpi
from xnorflow.simulation.uart import SimulatedBoard, SimulatedLine

__all__ = ["KINDS", "Outcome", "fuzz"]

CLOCK_HZ = 5e4
"""Slow, so that few cycles pass while the host waits in vain."""
LIMITS = LinkLimits(data_depth=512, result_depth=64)
"""Small, so that credit runs out and results wait."""
KINDS = ("flip", "drop", "insert", "swap", "cut", "repeat", "move", "spike", "silence", "reset")


@dataclass
class Damage:
    """What happens to the bytes of each write and read.

    flip: a bit; drop, insert: a byte; swap: two neighbours; cut: everything from a byte on;
    repeat: the whole once more; move: the whole behind what comes next; silence: nothing passes
    for a while.
    """

    rng: random.Random
    rate: float
    counts: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    silent: int = 0
    kept: dict[bool, bytes] = field(default_factory=dict)

    def __call__(self, data: bytes, to_device: bool) -> bytes:
        self.frames += len(re.findall(rb"[^\0]\0", data)) if to_device else 0
        data, kept = data + self.kept.pop(to_device, b""), b""
        if self.silent:
            self.silent -= 1
            return b""
        # A write is a frame or more, a read often a byte alone.
        if self.rng.random() < min(self.rate, self.rate / 20 * len(data)):
            kind = self.rng.choice(KINDS[:7])
            data, kept = self.damage(data, kind)
        elif self.rng.random() < self.rate / 1000:
            kind = "silence"
            data, self.silent = b"", self.rng.randrange(1, 30)
        else:
            return data
        self.counts[kind] += 1
        if kept:
            self.kept[to_device] = kept
        return data

    def damage(self, data: bytes, kind: str) -> tuple[bytes, bytes]:
        """The bytes that pass now, and those that are kept for later."""
        at = self.rng.randrange(len(data)) if data else 0
        if kind == "flip" and data:
            flipped = data[at] ^ 1 << self.rng.randrange(8)
            return data[:at] + bytes((flipped,)) + data[at + 1 :], b""
        if kind == "drop":
            return data[:at] + data[at + 1 :], b""
        if kind == "insert":
            return data[:at] + self.rng.randbytes(1) + data[at:], b""
        if kind == "swap":
            return data[:at] + data[at : at + 2][::-1] + data[at + 2 :], b""
        if kind == "cut":
            return data[:at], b""
        if kind == "repeat":
            return data + data, b""
        return b"", data  # move


@dataclass
class Outcome:
    """Counts of a run."""

    operations: int = 0
    reported: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    damage: Damage | None = None
    link: Link | None = None
    seconds: float = 0.0


class _Session:
    """A host that knows what the device must answer."""

    def __init__(self, rng: random.Random, port: Port) -> None:
        self.rng = rng
        self.link = Link(port)
        self.transport = LinkTransport(self.link)
        self.model = DigestModel()
        self.begin()

    def begin(self) -> None:
        """A known state of the device, after anything."""
        self.transport.write_register(CLEAR, Command.ABORT)
        for index in SCRATCH:
            self.transport.write_register(index, 0)
        self.model = DigestModel()
        self.model.writes = self.transport.read_register(WRITES)

    def operate(self) -> str | None:
        """One operation; what was wrong with its answer, or None."""
        rng, transport, model = self.rng, self.transport, self.model
        kind = rng.choice(("write", "read", "count", "config", "pixels", "pixels"))
        index = rng.choice(SCRATCH)
        if kind == "write":
            value = rng.getrandbits(32) if rng.random() < 0.9 else 0
            transport.write_register(index, value)
            model.scratch[index], model.writes = value, model.writes + 1
            return None
        if kind == "read":
            got, wanted = transport.read_register(index), model.scratch[index]
        elif kind == "count":
            got, wanted = transport.read_register(WRITES), model.writes
        elif kind == "config":
            words = [
                rng.getrandbits(32)
                for _ in range(rng.randrange(1, 20 if rng.random() < 0.9 else 200))
            ]
            transport.send_config(np.array(words, np.uint32))
            model.config(words)
            return None
        else:
            n = 4 * rng.randrange(1, 40 if rng.random() < 0.9 else 500)
            data = rng.randbytes(n) if rng.random() < 0.7 else bytes(n)
            transport.write_register(BLOCK, n // 4)
            model.writes += 1
            pixels = np.frombuffer(data, np.uint8)
            if rng.random() < 0.3 and n < 200:  # first the images, then the results, as the driver
                transport.exchange(pixels, 0)
                pixels = pixels[:0]
            words = transport.exchange(pixels, n // 4).view(np.uint32)
            got, wanted = words.tolist(), model.pixels(data)
        return None if got == wanted else f"{kind}: {got} instead of {wanted}"


def fuzz(
    frames: int,
    *,
    seed: int,
    link: str = "uart",
    rate: float = 0.1,
    spikes: float = 0.0,
    resets: float = 0.003,
) -> Outcome:
    """Operations until the host has sent so many frames."""
    started = time.process_time()
    rng = random.Random(seed)
    damage = Damage(rng, rate)
    line: SimulatedLine | SimulatedSpi
    if link == "uart":
        board = SimulatedBoard(digest_uart(limits=LIMITS))
        line = port = SimulatedLine(board, clock_hz=CLOCK_HZ, damage=damage)
    else:
        line = SimulatedSpi(digest_spi(limits=LIMITS), clock_hz=CLOCK_HZ, damage=damage)
        port = SpiPort(line)
    session = _Session(rng, port)
    outcome = Outcome(damage=damage, link=session.link)
    if isinstance(line, SimulatedLine):
        board.set_spikes(seed, spikes)
    while damage.frames < frames:
        outcome.operations += 1
        if rng.random() < resets:
            line.reset_in = rng.randrange(20_000)  # cycles, in the middle of what comes next
            damage.counts["reset"] += 1
        try:
            error = session.operate()
        except (DeviceFault, DeviceTimeout) as reported:
            outcome.reported[type(reported).__name__] += 1
            error = None
            while True:
                try:
                    session.begin()
                    break
                except (DeviceFault, DeviceTimeout) as again:
                    outcome.reported[type(again).__name__ + " again"] += 1
        if error is not None:
            outcome.wrong.append(error)
            session.begin()
    line.close()
    outcome.seconds = time.process_time() - started
    return outcome


def table(outcome: Outcome) -> Table:
    """The counts for people."""
    assert outcome.damage is not None and outcome.link is not None
    counts, damage = outcome.link.counts, outcome.damage
    shown = Table("what", "count", title="Damaged frames")
    shown.add_row("frames to the device", f"{damage.frames:,}")
    for kind in KINDS:
        shown.add_row(f"damaged: {kind}", f"{damage.counts[kind]:,}")
    shown.add_row("damaged frames that the host saw", f"{counts.damaged:,}")
    shown.add_row("requests", f"{counts.requests:,}")
    shown.add_row("recoveries", f"{counts.recoveries:,}")
    shown.add_row("requests sent again", f"{counts.repeated:,}")
    shown.add_row("operations", f"{outcome.operations:,}")
    for kind, count in sorted(outcome.reported.items()):
        shown.add_row(f"reported: {kind}", f"{count:,}")
    shown.add_row("wrong results", f"{len(outcome.wrong):,}")
    shown.add_row("seconds of one core", f"{outcome.seconds:,.0f}")
    return shown


def main() -> None:
    """Several seeds, each with its own device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--spikes", type=float, default=0.0)
    parser.add_argument("--link", choices=("uart", "spi"), default="uart")
    options = parser.parse_args()
    outcome = fuzz(
        options.frames,
        seed=options.seed,
        link=options.link,
        rate=options.rate,
        spikes=options.spikes,
    )
    Console().print(table(outcome))
    for error in outcome.wrong[:5]:
        print(error[:300])


if __name__ == "__main__":
    main()
