# SPDX-License-Identifier: Apache-2.0
"""Blocks of images on a device whose program is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xnorflow.core.registers import Command, Status
from xnorflow.driver.errors import DeviceTimeout
from xnorflow.driver.program import DeviceProgram
from xnorflow.driver.registers import RegisterFile
from xnorflow.driver.transport import RecordingTransport, Transport

__all__ = ["Outcome", "Progress", "run_blocks"]

SETTLE_READS = 1000
"""Status reads, after a block's last result word, until the device must be done."""

COUNTER_BITS = 32
NO_PIXELS = np.zeros(0, np.uint8)

Progress = Callable[[int, int], None]
"""Called as ``progress(images done, images in all)`` after every block."""


@dataclass(frozen=True)
class Outcome:
    """What some blocks gave.

    Parameters
    ----------
    accumulators : int64 array (images, height, width, channels)
        Of the last layer.
    cycles, wait_cycles : int
        The device's counters.
    blocks : int
    seconds : float
        Time on the host's clock.
    codes : dict of str to uint8 array, or None
        Every layer's codes, if recorded.
    """

    accumulators: npt.NDArray[np.int64]
    cycles: int
    wait_cycles: int
    blocks: int
    seconds: float
    codes: dict[str, npt.NDArray[np.uint8]] | None = None


class _Run:
    """One run's blocks: while one computes, the next one's images are on their way."""

    def __init__(self, transport: Transport, program: DeviceProgram, timeout: float | None) -> None:
        self.transport = transport
        self.program = program
        self.timeout = timeout
        self.registers = RegisterFile(transport)

    def begin(self, count: int) -> None:
        """Ask for a block, as soon as none waits."""
        self.wait_for(Status.QUEUED, False, "starting a block", check=False)
        self.registers.write("images", count)
        self.registers.command(Command.RUN)
        self.registers.check(f"starting a block of {count} images")

    def exchange(self, images: npt.NDArray[np.uint8], before: int) -> npt.NDArray[np.int64]:
        """Send a block's images; take the results of the block before it, of ``before`` images."""
        program = self.program
        cycles = sum(program.block_cycles(n) for n in (len(images), before) if n)
        pixels = np.ascontiguousarray(images).reshape(-1)
        try:
            words = self.transport.exchange(
                pixels,
                program.results_count(before) if before else 0,
                self.timeout,
                expected_cycles=cycles,
            )
        except DeviceTimeout as error:
            status = self.registers.check("running a block")
            raise DeviceTimeout(f"{error}; status: {_in_words(status)}") from error
        if not before:
            return np.zeros((0, 0, 0, 0), np.int64)
        return program.unpack_results(words, before)

    def wait_for(self, bit: Status, value: bool, doing: str, *, check: bool = True) -> None:
        """Read the status until ``bit`` is ``value``; with ``check``, an error ends it."""
        for _ in range(SETTLE_READS):
            status = self.registers.check(doing) if check else self.registers.status()
            if (bit in status) is value:
                return
        raise DeviceTimeout(
            f"{self.transport.name}: {doing}: the device is not ready after {SETTLE_READS} status "
            f"reads; status: {_in_words(status)}"
        )

    def counters(self) -> tuple[int, int]:
        """Cycles and waiting cycles of all blocks so far, modulo 2^32."""
        return self.registers.read("cycles"), self.registers.read("wait_cycles")


def run_blocks(
    transport: Transport,
    program: DeviceProgram,
    images: npt.NDArray[np.uint8],
    *,
    record: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run any number of images, at least one.

    A block's images are sent while the block before it computes; with ``record``, each block
    runs alone.

    Raises
    ------
    DeviceFault
        If the device reports an error.
    DeviceTimeout
        If words are missing, or the device does not become done; the status is in the message.
    """
    run = _Run(transport, program, timeout)
    parts = [images[at : at + program.block] for at in range(0, len(images), program.block)]
    codes: list[dict[str, npt.NDArray[np.uint8]]] = []
    accumulators: list[npt.NDArray[np.int64]] = []

    def finished(block: npt.NDArray[np.int64]) -> None:
        accumulators.append(block)
        if progress is not None:
            progress(sum(len(part) for part in accumulators), len(images))

    start = time.perf_counter()
    before = run.counters()
    if record and isinstance(transport, RecordingTransport):
        for part in parts:
            transport.start_recording()
            try:
                run.begin(len(part))
                run.exchange(part, 0)
                block = run.exchange(NO_PIXELS, len(part))
                run.wait_for(Status.BUSY, False, "ending a block")
            finally:
                tap = transport.take_record()
            codes.append(program.layer_codes(tap, len(part)))
            finished(block)
    else:
        for index, part in enumerate(parts):
            run.begin(len(part))
            previous = len(parts[index - 1]) if index else 0
            block = run.exchange(part, previous)
            if previous:
                finished(block)
        finished(run.exchange(NO_PIXELS, len(parts[-1])))
        run.wait_for(Status.BUSY, False, "ending a block")
    cycles, wait_cycles = (
        (new - old) % (1 << COUNTER_BITS) for new, old in zip(run.counters(), before, strict=True)
    )
    return Outcome(
        accumulators=np.concatenate(accumulators),
        cycles=cycles,
        wait_cycles=wait_cycles,
        blocks=len(parts),
        seconds=time.perf_counter() - start,
        codes={name: np.concatenate([part[name] for part in codes]) for name in codes[0]}
        if codes
        else None,
    )


def _in_words(status: Status) -> str:
    names = [bit.name.lower() for bit in Status if bit in status and bit.name]
    return ", ".join(names) or "idle"
