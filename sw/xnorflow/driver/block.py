# SPDX-License-Identifier: Apache-2.0
"""One block of images on a device whose program is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.registers import Command, Status
from xnorflow.driver.errors import DeviceTimeout
from xnorflow.driver.program import DeviceProgram
from xnorflow.driver.registers import RegisterFile
from xnorflow.driver.transport import RecordingTransport, Transport

__all__ = ["Block", "run_block"]

SETTLE_READS = 1000
"""Status reads, after a block's last result word, until the device must be done."""


@dataclass(frozen=True)
class Block:
    """Raw outcome of one block.

    Parameters
    ----------
    words : int32 array
        The result words.
    cycles, wait_cycles : int
        The device's counters.
    tap : structured array or None
        The record of what was written into the activation banks.
    """

    words: npt.NDArray[np.int32]
    cycles: int
    wait_cycles: int
    tap: npt.NDArray[Any] | None


def run_block(
    transport: Transport,
    program: DeviceProgram,
    images: npt.NDArray[np.uint8],
    *,
    record: bool = False,
    timeout: float | None = None,
) -> Block:
    """Run at most ``program.block`` images.

    Raises
    ------
    DeviceFault
        If the device reports an error.
    DeviceTimeout
        If words are missing, or the device does not become done; the status is in the message.
    """
    registers = RegisterFile(transport)
    count = len(images)
    recorder = transport if record and isinstance(transport, RecordingTransport) else None
    if recorder is not None:
        recorder.start_recording()
    registers.write("images", count)
    registers.command(Command.RUN)
    registers.check(f"starting a block of {count} images")
    try:
        words = transport.exchange(
            np.ascontiguousarray(images).reshape(-1),
            program.results_count(count),
            timeout,
            expected_cycles=program.block_cycles(count),
        )
    except DeviceTimeout as error:
        status = registers.check("running a block")
        raise DeviceTimeout(f"{error}; status: {_in_words(status)}") from error
    _wait_until_done(registers, transport.name)
    return Block(
        words=words,
        cycles=registers.read("cycles"),
        wait_cycles=registers.read("wait_cycles"),
        tap=recorder.take_record() if recorder is not None else None,
    )


def _wait_until_done(registers: RegisterFile, name: str) -> None:
    for _ in range(SETTLE_READS):
        status = registers.check("ending a block")
        if Status.DONE in status:
            return
    raise DeviceTimeout(
        f"{name}: all results came, but the device is not done after {SETTLE_READS} status "
        f"reads; status: {_in_words(status)}"
    )


def _in_words(status: Status) -> str:
    names = [bit.name.lower() for bit in Status if bit in status and bit.name]
    return ", ".join(names) or "idle"
