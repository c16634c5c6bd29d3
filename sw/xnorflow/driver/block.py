# SPDX-License-Identifier: Apache-2.0
"""One block of images on a device whose program is loaded."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

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
    """Outcome of one block.

    Parameters
    ----------
    accumulators : int64 array (images, height, width, channels)
        Of the last layer.
    cycles, wait_cycles : int
        The device's counters.
    seconds : float
        Time on the host's clock.
    codes : dict of str to uint8 array, or None
        Every layer's codes, if recorded.
    """

    accumulators: npt.NDArray[np.int64]
    cycles: int
    wait_cycles: int
    seconds: float
    codes: dict[str, npt.NDArray[np.uint8]] | None = None


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
    if not record or not isinstance(transport, RecordingTransport):
        return _run(transport, program, images, timeout)
    transport.start_recording()
    try:
        block = _run(transport, program, images, timeout)
    finally:
        tap = transport.take_record()
    return replace(block, codes=program.layer_codes(tap, len(images)))


def _run(
    transport: Transport,
    program: DeviceProgram,
    images: npt.NDArray[np.uint8],
    timeout: float | None,
) -> Block:
    registers = RegisterFile(transport)
    count = len(images)
    start = time.perf_counter()
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
    cycles, wait_cycles = registers.read("cycles"), registers.read("wait_cycles")
    seconds = time.perf_counter() - start
    return Block(program.unpack_results(words, count), cycles, wait_cycles, seconds)


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
