# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link: requests answered in order, and repeated where the line lost one.

Go-back-N: up to ``WINDOW`` requests are under way. The device does only the one whose number it
expects, so whatever is lost, damaged, repeated or late, each has its effect exactly once. When an
answer is missing or says that a request was refused, the host asks which number comes next
(SYNC), and sends what the device has not done once more.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from xnorflow.core.link import (
    CHECK_BYTES,
    CREDIT_UNIT,
    DELIMITER,
    LINK_VERSION,
    SEQUENCES,
    Answer,
    LinkLimits,
    Opcode,
    Request,
    Status,
    answer_bytes,
    arguments,
)
from xnorflow.driver.errors import DeviceFault, DeviceMismatch, DeviceTimeout

__all__ = ["Link", "LinkCounts", "Pending", "Port"]

WINDOW = 64
"""Requests under way; less than half of the sequence numbers."""
TRIES = 12
"""Questions without an answer, or repetitions in vain, after which the link is given up."""
FIRST_PATIENCE = 0.1
"""Seconds without an answer, beyond the time that the bytes take, before the host asks again."""
MOST_PATIENCE = 1.6
"""It doubles from try to try up to this."""


class Port(Protocol):
    """A line that carries bytes both ways, and may lose or damage them."""

    @property
    def name(self) -> str:
        """The line in words."""
        ...

    @property
    def byte_seconds(self) -> float:
        """Time of a byte on the line."""
        ...

    def now(self) -> float:
        """Seconds on the clock that timeouts are counted by."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def read(self, timeout: float) -> bytes:
        """What has come; waits up to ``timeout`` seconds for the first byte."""
        ...

    def close(self) -> None:
        """Give the line up; a second call does nothing."""
        ...


@dataclass
class LinkCounts:
    """What happened on a link.

    Parameters
    ----------
    requests : int
        Frames sent for the first time, SYNC and HELLO not counted.
    repeated : int
        Frames sent again.
    answers : int
        Good frames that came.
    damaged : int
        Frames that came damaged.
    recoveries : int
        Times that the host had to ask where the device stands.
    sessions : int
        Sessions opened.
    """

    requests: int = 0
    repeated: int = 0
    answers: int = 0
    damaged: int = 0
    recoveries: int = 0
    sessions: int = 0


@dataclass(eq=False)
class Pending:
    """A request under way.

    ``answer`` is None while it waits; ``done`` without an answer means that the device did it but
    its answer was lost.
    """

    request: Request
    line: bytes
    answer_size: int
    answer: Answer | None = None
    done: bool = False

    @property
    def data(self) -> int:
        """Bytes that it brings into the device's buffer."""
        return len(self.request.body) if self.request.opcode.carries_data else 0


class Link:
    """One session with one device, opened at the first use and again after every error.

    Parameters
    ----------
    port : Port
        Closed with the link.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.counts = LinkCounts()
        self.limits = LinkLimits()
        self.session: int | None = None
        self._last_session = secrets.randbelow(255)
        self._nonce = 0
        self._next = 0
        self._pending: deque[Pending] = deque()
        self._credit = 0  # room behind all requests that were answered
        self._config: bool | None = None  # what the device's buffer may still hold
        self._line = bytearray()  # of a frame that has not ended
        self._heard = 0.0
        self._tries = 0
        self._refused = False
        self._asked: tuple[Opcode, int] | None = None  # the SYNC or HELLO under way
        self._silent = True  # nothing has ever come

    @property
    def name(self) -> str:
        """The line in words."""
        return self.port.name

    @contextmanager
    def using(self) -> Iterator[None]:
        """Around every use: opens a session; an error, also Ctrl-C, ends it.

        What was under way then has been done or not; the next session begins with empty buffers.
        """
        try:
            if self.session is None:
                self._open()
            yield
        except BaseException:
            self.session = None
            raise

    def ask(self, opcode: Opcode, *values: int) -> Answer | None:
        """One request of arguments and its answer; None if it was done and the answer lost."""
        pending = self.submit(opcode, arguments(*values))
        while not pending.done:
            self.step()
        return pending.answer

    def ready(self, opcode: Opcode, n: int = 0) -> bool:
        """Whether a request, with ``n`` bytes of data, may be sent now."""
        if opcode.carries_data:
            wanted = self._credit - sum(p.data for p in self._pending)
            if n + CHECK_BYTES > wanted:
                return False
            config = opcode is Opcode.CONFIG
            if self._config is not None and self._config is not config and not self._drained:
                return False
        answers = sum(p.answer_size for p in self._pending)
        return len(self._pending) < WINDOW and answers < self.limits.send_depth * 3 // 4

    @property
    def _drained(self) -> bool:
        most = (self.limits.data_depth - 1) // CREDIT_UNIT * CREDIT_UNIT
        return not any(p.data for p in self._pending) and self._credit == most

    def submit(self, opcode: Opcode, body: bytes) -> Pending:
        """Send a request as soon as it may be; it is done after some ``step``."""
        while not self.ready(opcode, len(body)):
            self.step()
        assert self.session is not None  # for mypy: inside using()
        request = Request(self.session, self._next, opcode, body)
        words = body[0] if opcode is Opcode.TAKE else int(opcode is Opcode.READ)
        pending = Pending(request, request.encode(), answer_bytes(words))
        if not self._pending:
            self._heard = self.port.now()
        self._next = (self._next + 1) % SEQUENCES
        self._pending.append(pending)
        if opcode.carries_data:
            self._config = opcode is Opcode.CONFIG
        self.counts.requests += 1
        self.port.write(pending.line)
        return pending

    def step(self) -> None:
        """Take what has come, and recover where nothing does.

        Raises
        ------
        DeviceFault
            If the device lost the session, or understood a request otherwise than it was meant.
        DeviceTimeout
            If it does not answer.
        """
        if not self._pending:
            self._question(Opcode.SYNC)  # the caller waits for room
            return
        wait = self._heard + self._patience(0) - self.port.now()
        if not self._refused and wait > 0:
            self._receive(wait)
        elif self._tries < TRIES:
            self._tries += 1
            self._recover()
        else:
            raise self._dead()

    def _patience(self, tries: int) -> float:
        size = sum(len(p.line) + p.answer_size for p in self._pending)
        extra = min(FIRST_PATIENCE * float(2**tries), MOST_PATIENCE)
        return 2 * size * self.port.byte_seconds + extra

    def _receive(self, timeout: float) -> Answer | None:
        """Take what comes within a time; the answer to SYNC or HELLO, if it is there."""
        data = self.port.read(timeout)
        self._silent = self._silent and not data
        found = None
        *frames, rest = data.split(DELIMITER)
        for frame in frames:
            self._line += frame
            if self._line:
                answer = Answer.decode(bytes(self._line))
                self._line.clear()
                if answer is None:
                    self.counts.damaged += 1
                else:
                    self.counts.answers += 1
                    found = self._accept(answer) or found
        self._line += rest
        return found

    def _accept(self, answer: Answer) -> Answer | None:
        if answer.session != self.session:
            return None
        if answer.status is Status.NO_SESSION:
            raise DeviceFault(
                f"{self.name}: the device has lost its session: it was reset, or another program "
                "uses it; what it held is gone, load the program again"
            )
        if not answer.opcode.is_sequenced:
            return answer if (answer.opcode, answer.sequence) == self._asked else None
        wanted = (answer.sequence, answer.opcode)
        asked = [(p.request.sequence, p.request.opcode) for p in self._pending]
        if wanted not in asked:
            return None
        if answer.status is Status.DONE:
            self._finish(asked.index(wanted) + 1, answer)
        elif answer.status is Status.MALFORMED:
            raise DeviceFault(
                f"{self.name}: the device does not understand {answer.opcode.name}; build it and "
                "install xnorflow from the same release"
            )
        else:
            self._refused = True
        return None

    def _finish(self, n: int, answer: Answer | None = None) -> None:
        """The oldest ``n`` requests were done; this is the answer to the last of them."""
        pending = None
        for _ in range(n):
            pending = self._pending.popleft()
            pending.done = True
        if pending is not None and answer is not None:
            pending.answer = answer
            self._credit = answer.credit * CREDIT_UNIT
        if n:
            self._heard = self.port.now()
            self._tries = 0

    def _recover(self) -> None:
        """Find out where the device stands; send what it has not done once more."""
        self.counts.recoveries += 1
        expected = self._question(Opcode.SYNC).expected
        done = (expected - self._next) % SEQUENCES + len(self._pending)
        if self._pending:
            done = (expected - self._pending[0].request.sequence) % SEQUENCES
        if done > len(self._pending):
            raise DeviceFault(
                f"{self.name}: the device expects request {expected}, which was never due; "
                "reset it and load the program again"
            )
        self._finish(done)
        for pending in self._pending:
            self.counts.repeated += 1
            self.port.write(pending.line)
        self._heard = self.port.now()

    def _question(self, opcode: Opcode) -> Answer:
        """SYNC or HELLO, until it is answered; what was sent before is answered by then or lost."""
        assert self.session is not None  # for mypy: inside using()
        for attempt in range(TRIES):
            self._nonce = (self._nonce + 1) % SEQUENCES
            self._asked = (opcode, self._nonce)
            request = Request(self.session, self._nonce, opcode, arguments())
            self.port.write(DELIMITER + request.encode())
            end = self.port.now() + self._patience(attempt)
            while (left := end - self.port.now()) > 0:
                answer = self._receive(left)
                if answer is not None:
                    self._credit = answer.credit * CREDIT_UNIT
                    self._refused = False
                    return answer
        raise self._dead()

    def _open(self) -> None:
        """Begin a session; the device's buffers are empty then."""
        self._pending.clear()
        self._tries, self._next, self._config = 0, 0, None
        for _ in range(3):  # the device may happen to be in a session of this number
            self._last_session = self._last_session % 255 + 1
            self.session = self._last_session
            answer = self._question(Opcode.HELLO)
            if answer.expected == 0:
                break
        try:
            self.limits = LinkLimits.from_word(answer.words[0])
        except (ValueError, IndexError):
            self.limits = LinkLimits(version=0)
        if self.limits.version != LINK_VERSION:
            raise DeviceMismatch(
                f"{self.name}: the device's link has version {self.limits.version}, this driver "
                f"speaks {LINK_VERSION}; build the device and install xnorflow from the same "
                "release"
            )
        self.counts.sessions += 1

    def _dead(self) -> DeviceTimeout:
        if self._silent:
            return DeviceTimeout(
                f"{self.name}: no device answers; check that the bitstream is loaded, that this "
                "is the right port, that its baud rate is the device's, and that rx and tx are "
                "not swapped"
            )
        counts = self.counts
        return DeviceTimeout(
            f"{self.name}: the link is too noisy, or its baud rate is wrong: {counts.answers} good "
            f"and {counts.damaged} damaged frames came, {counts.repeated} of {counts.requests} "
            "requests were repeated; check cable, ground and baud rate"
        )

    def close(self) -> None:
        """Give the port up; a second call does nothing."""
        self.session = None
        self.port.close()
