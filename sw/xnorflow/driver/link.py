# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link: requests answered in order, and repeated where the line lost one.

When an answer is missing or says that a request was refused, the host asks which number comes next
(SYNC), and sends what the device has not done once more (``driver/window.py``).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xnorflow.core.link import (
    DELIMITER,
    LINK_VERSION,
    SEQUENCES,
    Answer,
    LinkLimits,
    Opcode,
    Request,
    Status,
    arguments,
)
from xnorflow.driver.errors import DeviceFault, DeviceMismatch, DeviceTimeout
from xnorflow.driver.port import Port
from xnorflow.driver.window import Pending, Window

__all__ = ["Link", "LinkCounts"]

TRIES = 12
"""Questions without an answer, or repetitions in vain, after which the link is given up."""
FIRST_PATIENCE = 0.1
"""Seconds without an answer, beyond the time that the bytes take, before the host asks again."""
MOST_PATIENCE = 1.6
"""It doubles from try to try up to this."""


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
        self.session: int | None = None
        self._window = Window()
        self._last_session = secrets.randbelow(255)
        self._nonce = 0
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
        return self._window.ready(opcode, n)

    def submit(self, opcode: Opcode, body: bytes) -> Pending:
        """Send a request as soon as it may be; it is done after some ``step``."""
        while not self.ready(opcode, len(body)):
            self.step()
        assert self.session is not None  # for mypy: inside using()
        if not self._window:
            self._heard = self.port.now()
        pending = self._window.add(self.session, opcode, body)
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
        if not self._window:
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
        extra = min(FIRST_PATIENCE * float(2**tries), MOST_PATIENCE)
        return 2 * self._window.line_bytes * self.port.byte_seconds + extra

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
        place = self._window.place(answer)
        if place is None:
            return None
        if answer.status is Status.DONE:
            self._finish(place + 1, answer)
        elif answer.status is Status.MALFORMED:
            raise DeviceFault(
                f"{self.name}: the device does not understand {answer.opcode.name}; build it and "
                "install xnorflow from the same release"
            )
        else:
            self._refused = True
        return None

    def _finish(self, n: int, answer: Answer | None = None) -> None:
        self._window.finish(n, answer)
        if n:
            self._heard = self.port.now()
            self._tries = 0

    def _recover(self) -> None:
        """Find out where the device stands; send what it has not done once more."""
        self.counts.recoveries += 1
        expected = self._question(Opcode.SYNC).expected
        done = self._window.done_before(expected)
        if done is None:
            raise DeviceFault(
                f"{self.name}: the device expects request {expected}, which was never due; "
                "reset it and load the program again"
            )
        self._finish(done)
        for line in self._window.lines:
            self.counts.repeated += 1
            self.port.write(line)
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
                    self._window.room(answer)
                    self._refused = False
                    return answer
        raise self._dead()

    def _open(self) -> None:
        """Begin a session; the device's buffers are empty then."""
        self._window.begin()
        self._tries = 0
        for _ in range(3):  # the device may happen to be in a session of this number
            self._last_session = self._last_session % 255 + 1
            self.session = self._last_session
            answer = self._question(Opcode.HELLO)
            if answer.expected == 0:
                break
        try:
            limits = LinkLimits.from_word(answer.words[0])
        except (ValueError, IndexError):
            limits = LinkLimits(version=0)
        if limits.version != LINK_VERSION:
            raise DeviceMismatch(
                f"{self.name}: the device's link has version {limits.version}, this driver "
                f"speaks {LINK_VERSION}; build the device and install xnorflow from the same "
                "release"
            )
        self._window.limits = limits
        self.counts.sessions += 1

    def _dead(self) -> DeviceTimeout:
        if self._silent:
            return DeviceTimeout(
                f"{self.name}: no device answers; check that the bitstream is loaded, "
                f"{self.port.advice}"
            )
        counts = self.counts
        return DeviceTimeout(
            f"{self.name}: the link is too noisy, or its speed is wrong: {counts.answers} good "
            f"and {counts.damaged} damaged frames came, {counts.repeated} of {counts.requests} "
            f"requests were repeated; check cable and ground, {self.port.advice}"
        )

    def close(self) -> None:
        """Give the port up; a second call does nothing."""
        self.session = None
        self.port.close()
