# SPDX-License-Identifier: Apache-2.0
"""A pseudo-terminal with a simulated board behind it: a serial port for any program."""

from __future__ import annotations

import contextlib
import os
import select
import tty
from collections.abc import Callable

from xnorflow.simulation.uart import SimulatedBoard

__all__ = ["Terminal"]

CHUNK_CYCLES = 2000
"""Cycles between two looks at the terminal: fifty bytes' time."""
BUSY_CYCLES = 20_000_000
"""Cycles that the board goes on after the last byte; then it sleeps until the next."""
IDLE_SECONDS = 0.1
READ_BYTES = 4096


class Terminal:
    """The serial port of a simulated board.

    Parameters
    ----------
    board : SimulatedBoard
        Closed with the terminal.

    Raises
    ------
    OSError
        If the system has no pseudo-terminals.
    """

    def __init__(self, board: SimulatedBoard) -> None:
        self.board = board
        # The other end stays open here, so that a host may come, go, and come again.
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._to_host = bytearray()
        self.bytes_in = self.bytes_out = 0

    def serve(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Let the board run while ``keep_going()``, asked about ten times a second, is true."""
        last_byte = self.board.cycle - BUSY_CYCLES
        while True:
            busy = self.board.cycle - last_byte < BUSY_CYCLES or self._to_host
            if not busy and not keep_going():
                return
            came, _, _ = select.select([self._ours], [], [], 0 if busy else IDLE_SECONDS)
            if came and self.board.waiting < READ_BYTES:
                data = os.read(self._ours, READ_BYTES)
                self.bytes_in += len(data)
                self.board.send(data)
                last_byte = self.board.cycle
                busy = True
            if busy:
                self._run()
                if self.board.cycle % (100 * CHUNK_CYCLES) < CHUNK_CYCLES and not keep_going():
                    return

    def _run(self) -> None:
        self.board.run(CHUNK_CYCLES)
        data = self.board.take()
        self.bytes_out += len(data)
        self._to_host += data
        with contextlib.suppress(BlockingIOError):  # nobody reads
            del self._to_host[: os.write(self._ours, self._to_host)]

    def close(self) -> None:
        """Remove the port; a second call does nothing."""
        if self._ours >= 0:
            os.close(self._ours)
            os.close(self._theirs)
            self._ours = self._theirs = -1
        self.board.close()
