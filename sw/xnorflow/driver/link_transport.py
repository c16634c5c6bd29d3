# SPDX-License-Identifier: Apache-2.0
"""A device behind a link as a transport of the driver."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from xnorflow.core.link import MAX_BODY, MAX_WORDS, Opcode, arguments
from xnorflow.core.registers import REGISTERS, Command
from xnorflow.driver.errors import DeviceFault, DeviceTimeout
from xnorflow.driver.link import Link
from xnorflow.driver.window import Pending

__all__ = ["LinkTransport"]

PATIENCE = 10.0
"""Seconds that a device may take without moving a byte, beyond what it computes."""
SLOWEST_CLOCK = 1e5
"""Cycles a second that are expected at least: a simulated device's."""
MOST_TAKES = 6
"""Requests for results under way while they come without a pause."""


class LinkTransport:
    """The driver's ``Transport`` on a ``Link``.

    Parameters
    ----------
    link : Link
        Closed with the transport.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._stale = False  # the device's buffers may hold what an abort left behind
        self._taken = 0  # result words of the session that have come
        self._session_of_taken: int | None = None

    @property
    def name(self) -> str:
        """The device in words."""
        return self.link.name

    @property
    def expected_build_hash(self) -> int | None:
        """None: a board may hold any design."""
        return None

    def read_register(self, index: int) -> int:
        """A 32-bit register."""
        with self.link.using():
            while True:  # a read whose answer was lost is asked again: it has no effect
                answer = self.link.ask(Opcode.READ, index)
                if answer is not None:
                    return answer.words[0]

    def write_register(self, index: int, value: int) -> None:
        """Write a 32-bit register, exactly once."""
        with self.link.using():
            self.link.ask(Opcode.WRITE, index, value)
        if index == REGISTERS["command"].index and value == Command.ABORT:
            self._stale = True

    def send_config(self, words: npt.NDArray[np.uint32]) -> None:
        """Send all words down the configuration stream."""
        data = np.ascontiguousarray(words, "<u4").tobytes()
        with self.link.using():
            self._freshen()
            _Exchange(self, Opcode.CONFIG, data, 0, PATIENCE).run()

    def exchange(
        self,
        pixels: npt.NDArray[np.uint8],
        n_results: int,
        timeout: float | None = None,
        *,
        expected_cycles: int | None = None,
    ) -> npt.NDArray[np.int32]:
        """Send one block's pixel bytes while taking its result words."""
        patience = PATIENCE + (expected_cycles or 0) / SLOWEST_CLOCK
        data = np.ascontiguousarray(pixels, np.uint8).tobytes()
        with self.link.using():
            self._freshen()
            exchange = _Exchange(self, Opcode.PIXELS, data, n_results, patience, timeout)
            return exchange.run()

    def _freshen(self) -> None:
        """Empty the buffers after an abort, and count results from 0 in a new session."""
        if self._stale:
            self.link.ask(Opcode.FLUSH)
        if self._stale or self._session_of_taken != self.link.session:
            self._taken = 0
        self._stale, self._session_of_taken = False, self.link.session

    def close(self) -> None:
        """Give the link up; a second call does nothing."""
        self.link.close()


class _Exchange:
    """Data on their way to the device, and results on theirs to the host, at once."""

    def __init__(
        self,
        transport: LinkTransport,
        opcode: Opcode,
        data: bytes,
        n_results: int,
        patience: float,
        timeout: float | None = None,
    ) -> None:
        self.transport = transport
        self.link = transport.link
        self.opcode = opcode
        self.data = data
        self.patience = patience
        self.words = np.zeros(n_results, np.uint32)
        self.sent = self.got = 0
        self.last: int | None = None
        self.under_way: deque[Pending] = deque()
        self.takes: deque[tuple[int, Pending]] = deque()  # with the word that each begins with
        self.streaming = False
        now = self.link.port.now()
        self.moved = now
        self.end = None if timeout is None else now + timeout

    def run(self) -> npt.NDArray[np.int32]:
        """Move everything; the results."""
        while self.sent < len(self.data) or self.under_way or self.got < len(self.words):
            self._send()
            self._ask()
            self.link.step()
            self._collect()
            self._check_time()
        return self.words.view(np.int32)

    def _send(self) -> None:
        while self.sent < len(self.data):
            part = self.data[self.sent : self.sent + MAX_BODY]
            if not self.link.ready(self.opcode, len(part)):
                return
            self.under_way.append(self.link.submit(self.opcode, part))
            self.sent += len(part)
            self.moved = self.link.port.now()

    def _ask(self) -> None:
        """Ask for the results that are not asked for: one request at a time until they flow."""
        at = self.got
        if self.takes:
            begin, pending = self.takes[-1]
            at = begin + pending.request.body[0]
        while (
            at < len(self.words)
            and len(self.takes) < (MOST_TAKES if self.streaming else 1)
            and self.link.ready(Opcode.TAKE)
        ):
            count = min(MAX_WORDS, len(self.words) - at)
            base = self.transport._taken
            numbers = ((base + self.got) % 65536, (base + at) % 65536)
            self.takes.append((at, self.link.submit(Opcode.TAKE, arguments(count, *numbers))))
            at += count

    def _collect(self) -> None:
        """What came: data that the device has, and words in their order."""
        while self.under_way and self.under_way[0].done:
            self.under_way.popleft()
            self.moved = self.link.port.now()
        while self.takes and self.takes[0][1].done:
            at, pending = self.takes.popleft()
            answer = pending.answer
            words = answer.words if answer is not None else ()
            self.streaming = len(words) == MAX_WORDS and at == self.got
            if at != self.got or answer is None or not words:
                continue  # lost, or behind a gap: asked again
            self.words[at : at + len(words)] = words
            self.got += len(words)
            self.moved = self.link.port.now()
            if answer.last and self.last is None:
                self.last = self.got - 1
            self._check_frame()
        if self.sent == len(self.data) and self.got == len(self.words) and not self.under_way:
            self.transport._taken = (self.transport._taken + self.got) % 65536

    def _check_frame(self) -> None:
        """The mark "last" belongs on the last word, and only there."""
        n = len(self.words)
        if self.last is not None and self.last != n - 1:
            raise DeviceFault(
                f"{self.link.name}: result word {self.last + 1} of {n} is marked as the last of "
                "its block"
            )
        if self.got == n and self.last is None:
            raise DeviceFault(
                f"{self.link.name}: result word {n} of {n} is not marked as the last of its block"
            )

    def _check_time(self) -> None:
        now = self.link.port.now()
        late = self.end is not None and now > self.end
        if not late and now - self.moved < self.patience:
            return
        what = "result words"
        if self.sent < len(self.data) or self.under_way:
            stream = "pixel" if self.opcode is Opcode.PIXELS else "configuration"
            what = f"room on the {stream} stream"
        raise DeviceTimeout(
            f"{self.link.name}: waited {now - self.moved:.1f} s for {what}: {self.sent} of "
            f"{len(self.data)} bytes sent, {self.got} of {len(self.words)} result words received"
        )


"""
"""
