# SPDX-License-Identifier: Apache-2.0
"""Requests under way on a link: what may be sent, and what an answer says of the others.

Go-back-N: up to ``WINDOW`` requests are under way. The device does only the one whose number it
expects, so whatever is lost, damaged, repeated or late, each has its effect exactly once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from xnorflow.core.link import (
    CHECK_BYTES,
    CREDIT_UNIT,
    SEQUENCES,
    Answer,
    LinkLimits,
    Opcode,
    Request,
    answer_bytes,
)

__all__ = ["WINDOW", "Pending", "Window"]

WINDOW = 64
"""Requests under way; less than half of the sequence numbers."""


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


class Window:
    """The requests of one session that have no answer yet, oldest first.

    Members
    -------
    limits : LinkLimits
        The device's.
    """

    def __init__(self) -> None:
        self.limits = LinkLimits()
        self.begin()

    def begin(self) -> None:
        """A new session: nothing is under way, and the device's buffers are empty."""
        self._pending: deque[Pending] = deque()
        self._next = 0
        self._credit = 0  # room behind all requests that were answered
        self._config: bool | None = None  # what the device's buffer may still hold

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def lines(self) -> list[bytes]:
        """The frames under way, to be sent once more."""
        return [pending.line for pending in self._pending]

    @property
    def line_bytes(self) -> int:
        """Bytes on the line, both ways, until all of them are answered."""
        return sum(len(p.line) + p.answer_size for p in self._pending)

    def ready(self, opcode: Opcode, n: int = 0) -> bool:
        """Whether a request, with ``n`` bytes of data, may be sent now."""
        if opcode.carries_data:
            room = self._credit - sum(p.data for p in self._pending)
            if n + CHECK_BYTES > room:
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

    def add(self, session: int, opcode: Opcode, body: bytes) -> Pending:
        """The next request; it is under way from now on."""
        request = Request(session, self._next, opcode, body)
        words = body[0] if opcode is Opcode.TAKE else int(opcode is Opcode.READ)
        pending = Pending(request, request.encode(), answer_bytes(words))
        self._next = (self._next + 1) % SEQUENCES
        self._pending.append(pending)
        if opcode.carries_data:
            self._config = opcode is Opcode.CONFIG
        return pending

    def place(self, answer: Answer) -> int | None:
        """How many requests are older than the one that this answers; None if there is none."""
        wanted = (answer.sequence, answer.opcode)
        asked = [(p.request.sequence, p.request.opcode) for p in self._pending]
        return asked.index(wanted) if wanted in asked else None

    def done_before(self, expected: int) -> int | None:
        """How many of the requests the device has done that expects this number; None if that
        number was never due."""
        done = (expected - self._next + len(self._pending)) % SEQUENCES
        return done if done <= len(self._pending) else None

    def finish(self, n: int, answer: Answer | None = None) -> None:
        """The oldest ``n`` requests were done; this is the answer to the last of them."""
        pending = None
        for _ in range(n):
            pending = self._pending.popleft()
            pending.done = True
        if pending is not None and answer is not None:
            pending.answer = answer
            self.room(answer)

    def room(self, answer: Answer) -> None:
        """Take what an answer to the latest request of all says of the device's room."""
        self._credit = answer.credit * CREDIT_UNIT
