# SPDX-License-Identifier: Apache-2.0
"""The device's end of the link, frame by frame, through the pins of its UART."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from cobs import cobs
from tests.links.digest import BLOCK, WRITES, DigestModel, digest_uart

from xnorflow.core.link import CREDIT_UNIT, Answer, LinkLimits, Opcode, Request, Status, arguments
from xnorflow.links.engine import LinkEngine
from xnorflow.simulation.uart import DIVISOR, SimulatedBoard

LIMITS = LinkLimits(data_depth=512, result_depth=64)
SURPLUS_CYCLES = 2000


class Host:
    """Sends what it is told, right or wrong."""

    def __init__(self) -> None:
        self.board = SimulatedBoard(digest_uart(limits=LIMITS))

    def raw(self, line: bytes) -> list[Answer | None]:
        """All answers to these bytes; None for a frame that is none."""
        self.board.send(line)
        while self.board.waiting:
            self.board.run(10 * DIVISOR)
        self.board.run(LinkEngine.answer_cycles + 80 * 10 * DIVISOR + SURPLUS_CYCLES)
        *frames, rest = self.board.take().split(b"\0")
        assert not rest
        return [Answer.decode(frame) for frame in frames]

    def send(
        self, sequence: int, opcode: Opcode, body: bytes = bytes(5), session: int = 9
    ) -> Answer:
        """The one answer to one request."""
        (answer,) = self.raw(Request(session, sequence, opcode, body).encode())
        assert answer is not None
        assert (answer.session, answer.sequence, answer.opcode) == (session, sequence, opcode)
        return answer

    def writes(self, sequence: int) -> int:
        answer = self.send(sequence, Opcode.READ, arguments(WRITES))
        assert answer.status is Status.DONE
        return answer.words[0]


@pytest.fixture
def host() -> Iterator[Host]:
    """A host whose session 9 is open, and nothing asked."""
    host = Host()
    answer = host.send(77, Opcode.HELLO)
    assert (answer.status, answer.expected) == (Status.DONE, 0)
    assert LinkLimits.from_word(answer.words[0]) == LIMITS
    assert answer.credit == (LIMITS.data_depth - 1) // CREDIT_UNIT
    yield host
    host.board.close()


def test_nothing_is_done_without_a_session() -> None:
    host = Host()
    answer = host.send(0, Opcode.WRITE, arguments(1, 5), session=3)
    assert (answer.status, answer.words) == (Status.NO_SESSION, ())
    host.send(0, Opcode.HELLO)
    assert host.send(0, Opcode.SYNC, session=3).status is Status.NO_SESSION
    assert host.writes(0) == 0


def test_a_repeated_request_is_answered_again_and_not_done_again(host: Host) -> None:
    line = Request(9, 0, Opcode.WRITE, arguments(2, 0xCAFE0000)).encode()
    first, second = host.raw(line + line)
    assert first is not None and second is not None
    assert (first.status, first.expected) == (Status.DONE, 1)
    assert (second.status, second.expected) == (Status.UNEXPECTED, 1)
    assert host.writes(1) == 1
    assert host.send(2, Opcode.READ, arguments(2)).words == (0xCAFE0000,)


def test_a_request_that_comes_too_early_is_not_done(host: Host) -> None:
    assert host.send(1, Opcode.WRITE, arguments(2, 1)).status is Status.UNEXPECTED
    assert host.writes(0) == 0


def test_hello_again_changes_nothing_and_a_new_one_forgets_all(host: Host) -> None:
    assert host.writes(0) == 0
    assert host.send(5, Opcode.HELLO).expected == 1
    assert host.send(200, Opcode.SYNC).expected == 1
    assert host.send(1, Opcode.HELLO, session=10).expected == 0
    assert host.send(1, Opcode.SYNC).status is Status.NO_SESSION


def test_sequence_numbers_wrap(host: Host) -> None:
    for sequence in range(300):
        answer = host.send(sequence % 256, Opcode.WRITE, arguments(0, sequence))
        assert answer.status is Status.DONE
    assert host.writes(300 % 256) == 300


def test_results_stay_until_they_are_confirmed(host: Host) -> None:
    """Taken, lost, taken again; then forgotten; never more than there are, nor beyond a block."""
    data = bytes(range(40))
    wanted = tuple(DigestModel().pixels(data))
    host.send(0, Opcode.WRITE, arguments(BLOCK, 7))
    host.send(1, Opcode.PIXELS, data)
    for sequence in (2, 3):
        answer = host.send(sequence, Opcode.TAKE, arguments(15, 0, 0))
        assert (answer.words, answer.last) == (wanted[:7], True)
    answer = host.send(4, Opcode.TAKE, arguments(2, 3, 5))
    assert (answer.words, answer.last) == (wanted[5:7], True)
    assert host.send(5, Opcode.TAKE, arguments(15, 7, 7)).words == wanted[7:]
    for sequence, place in ((6, 10), (7, 11), (8, 10 + 15)):
        assert host.send(sequence, Opcode.TAKE, arguments(15, 10, place)).words == ()


def test_results_wait_for_room_and_none_is_lost(host: Host) -> None:
    """120 results into a buffer of 64."""
    data = bytes(byte * 7 % 256 for byte in range(480))
    wanted, got = DigestModel().pixels(data), []
    host.send(0, Opcode.WRITE, arguments(BLOCK, 120))
    host.send(1, Opcode.PIXELS, data[:240])
    host.send(2, Opcode.PIXELS, data[240:])
    for sequence in range(3, 40):
        answer = host.send(sequence, Opcode.TAKE, arguments(15, len(got), len(got)))
        got += answer.words
    assert got == wanted


def test_data_without_room_are_refused_whole(host: Host) -> None:
    """Pixels wait behind results that nobody takes; what fits comes later, unharmed."""
    data = bytes(range(240))
    sent, answer = b"", None
    host.send(0, Opcode.WRITE, arguments(BLOCK, 1000))
    for sequence in range(1, 10):
        answer = host.send(sequence, Opcode.PIXELS, data)
        if answer.status is not Status.DONE:
            break
        sent += data
    assert answer is not None and answer.status is Status.FULL
    assert answer.credit * CREDIT_UNIT < len(data) + 4
    refused = host.send(sequence, Opcode.CONFIG, bytes(4))  # room, but other bytes are inside
    assert refused.status is Status.FULL
    got: list[int] = []
    while len(got) < len(sent) // 4:
        got += host.send(sequence, Opcode.TAKE, arguments(15, len(got), len(got))).words
        sequence += 1
    assert got == DigestModel().pixels(sent)


def test_flush_forgets_data_and_results(host: Host) -> None:
    host.send(0, Opcode.PIXELS, bytes(range(8)))
    assert host.send(1, Opcode.FLUSH).status is Status.DONE
    assert host.send(2, Opcode.TAKE, arguments(15, 0, 0)).words == ()
    host.send(3, Opcode.PIXELS, bytes(4))
    assert len(host.send(4, Opcode.TAKE, arguments(15, 0, 0)).words) == 1


def seal(inside: bytes) -> bytes:
    return cobs.encode(inside + zlib.crc32(inside).to_bytes(4, "little")) + b"\0"


@pytest.mark.parametrize(
    "inside",
    [
        bytes((9, 0, 4, 1, 2)),  # a short WRITE
        bytes((9, 0, 4)) + bytes(6),  # a long one
        bytes((9, 0, 14)) + bytes(5),  # an unknown opcode
        bytes((9, 0, 0x14)) + bytes(5),
        bytes((9, 0, 5)) + bytes(6),  # half a configuration word
        bytes((9, 0, 2)) + bytes(4),  # a short SYNC
    ],
)
def test_a_sound_frame_without_sense_is_refused(host: Host, inside: bytes) -> None:
    (answer,) = host.raw(seal(inside))
    if answer is not None:  # what says no known opcode, no answer can repeat
        assert answer.status is Status.MALFORMED and answer.expected == 0
    assert host.writes(0) == 0


@pytest.mark.parametrize("inside", [b"", bytes(2), bytes((9, 0))])
def test_a_sound_frame_too_short_for_a_head_is_no_frame(host: Host, inside: bytes) -> None:
    assert host.raw(seal(inside)) == []
    assert host.writes(0) == 0


def test_damage_at_every_byte(host: Host) -> None:
    """Each byte wrong, missing, doubled, and the frame cut there: no effect, and no answer."""
    line = Request(9, 0, Opcode.WRITE, arguments(1, 0x00FF1200)).encode()
    damaged = []
    for at in range(len(line) - 1):
        damaged += [
            line[:at] + bytes((line[at] ^ 0x10,)) + line[at + 1 :],
            line[:at] + line[at + 1 :],
            line[: at + 1] + line[at:],
            line[:at] + b"\0",
        ]
    damaged = [frame for frame in damaged if frame != line]
    assert host.raw(b"".join(damaged)) == []
    assert host.writes(0) == 0


def test_a_reset_in_the_middle_of_a_frame(host: Host) -> None:
    line = Request(9, 0, Opcode.WRITE, arguments(1, 5)).encode()
    host.board.send(line)
    host.board.run(7 * 10 * DIVISOR)
    host.board.reset()
    host.board.run(3 * len(line) * 10 * DIVISOR)
    host.board.take()
    assert host.send(0, Opcode.READ, arguments(1)).status is Status.NO_SESSION
    host.send(0, Opcode.HELLO)
    assert host.writes(0) == 0


def test_requests_back_to_back_are_all_answered(host: Host) -> None:
    """As close as the line can carry them; answers of one word."""
    lines = [Request(9, n, Opcode.READ, arguments(WRITES)).encode() for n in range(20)]
    answers = host.raw(b"".join(lines))
    assert [answer.status for answer in answers if answer] == [Status.DONE] * 20
