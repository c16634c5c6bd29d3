# SPDX-License-Identifier: Apache-2.0
"""The frames between a host and a device on a UART or an SPI: what driver and gateware share.

A frame is COBS-coded (Cheshire and Baker 1999) and ended by a zero byte. Inside lie a head, a
body and a CRC-32 (ISO-HDLC: that of Ethernet and zlib), all little endian. The host asks, the
device answers; a device never speaks unasked, and keeps no time.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum

from cobs import cobs

__all__ = [
    "ANSWER_HEAD",
    "ARGUMENT_BYTES",
    "CHECK_BYTES",
    "CREDIT_UNIT",
    "DEFAULT_BAUD",
    "DEFAULT_SPI_HZ",
    "DELIMITER",
    "LINK_VERSION",
    "MAX_BODY",
    "MAX_FRAME",
    "MAX_WORDS",
    "REQUEST_HEAD",
    "Answer",
    "LinkLimits",
    "Opcode",
    "Request",
    "Status",
    "answer_bytes",
    "arguments",
]

LINK_VERSION = 1
"""Raised when frames change their meaning."""
DEFAULT_BAUD = 1_000_000
"""Bits a second on a UART unless said otherwise; 8 data bits, no parity, 1 stop bit."""
DEFAULT_SPI_HZ = 1_000_000
"""Frequency of an SPI's clock unless said otherwise; at most an eighth of the device's."""
DELIMITER = b"\0"
CHECK_BYTES = 4
REQUEST_HEAD = 3
"""Bytes before a request's body: session, sequence number, opcode."""
ANSWER_HEAD = 5
"""Bytes before an answer's words: session, sequence number, opcode and status, expected, credit."""
ARGUMENT_BYTES = 5
"""Body of every request that does not carry data."""
MAX_BODY = 240
"""Data bytes in a request: a frame is short enough that COBS needs one byte for all of it."""
MAX_WORDS = 15
"""Result words in an answer."""
MAX_FRAME = REQUEST_HEAD + MAX_BODY + CHECK_BYTES
CREDIT_UNIT = 16
"""Bytes of room that one step of an answer's credit stands for."""
SEQUENCES = 256
"""Sequence numbers count modulo this."""


class Opcode(IntEnum):
    """What a request asks for."""

    HELLO = 1
    """Open the session of the head: numbers begin at 0 and buffers empty. Again: nothing."""
    SYNC = 2
    """Say which number comes next; it has any number itself, and changes nothing."""
    READ = 3
    """A register: its index; 4 bytes unused."""
    WRITE = 4
    """A register: its index, its value."""
    CONFIG = 5
    """Words for the configuration stream."""
    PIXELS = 6
    """Bytes for the pixel stream."""
    TAKE = 7
    """Result words: how many at most, how many of the session arrived safely (modulo 2^16; these
    are forgotten), which one to begin with (modulo 2^16)."""
    FLUSH = 8
    """Empty the buffers of data and of results."""

    @property
    def carries_data(self) -> bool:
        """Whether the body is data for a stream."""
        return self in (Opcode.CONFIG, Opcode.PIXELS)

    @property
    def is_sequenced(self) -> bool:
        """Whether it is done only if its number is the expected one."""
        return self not in (Opcode.HELLO, Opcode.SYNC)


class Status(IntEnum):
    """What became of a request; all but DONE mean that it had no effect."""

    DONE = 0
    """It was done, now; the next number is expected."""
    UNEXPECTED = 1
    """Its number is not the expected one: it was done before, or one before it is missing."""
    FULL = 2
    """No room for its data, or the buffer still holds some for the other stream."""
    NO_SESSION = 3
    """The device has another session, or none: it was reset, or another host opened one."""
    MALFORMED = 4
    """An unknown opcode, a body of a wrong length, or half a configuration word."""


@dataclass(frozen=True)
class Request:
    """A frame from host to device.

    Parameters
    ----------
    session : int
        1 to 255.
    sequence : int
        0 to 255; an answer bears its request's.
    opcode : Opcode
    body : bytes
        ``ARGUMENT_BYTES`` of arguments, or up to ``MAX_BODY`` bytes of data.
    """

    session: int
    sequence: int
    opcode: Opcode
    body: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.session <= 255:
            raise ValueError(f"A session is a number from 1 to 255, not {self.session}")
        if self.opcode.carries_data:
            if not 1 <= len(self.body) <= MAX_BODY:
                raise ValueError(f"{self.opcode.name} takes 1 to {MAX_BODY} bytes, not "
                                 f"{len(self.body)}")  # fmt: skip
            if self.opcode is Opcode.CONFIG and len(self.body) % 4:
                raise ValueError(f"CONFIG takes whole 32-bit words, not {len(self.body)} bytes")
        elif len(self.body) != ARGUMENT_BYTES:
            raise ValueError(f"{self.opcode.name} takes {ARGUMENT_BYTES} bytes of arguments, not "
                             f"{len(self.body)}")  # fmt: skip

    def encode(self) -> bytes:
        """The bytes on the line, with the delimiter."""
        return _seal(bytes((self.session, self.sequence, self.opcode)) + self.body)


@dataclass(frozen=True)
class Answer:
    """A frame from device to host.

    Parameters
    ----------
    session, sequence, opcode
        Those of the request.
    status : Status
    expected : int
        The number that the next request must have.
    credit : int
        Room for data after this request, in steps of ``CREDIT_UNIT`` bytes, rounded down.
    words : tuple of int
        Unsigned 32-bit words: a register's value, results, or the limits (HELLO).
    last : bool
        The last of the words ends a block; no answer goes beyond such a word.
    """

    session: int
    sequence: int
    opcode: Opcode
    status: Status
    expected: int
    credit: int
    words: tuple[int, ...] = ()
    last: bool = False

    def encode(self) -> bytes:
        """The bytes on the line, with the delimiter."""
        kind = self.opcode | self.status << 4
        head = bytes((self.session, self.sequence, kind, self.expected, self.credit))
        words = b"".join(word.to_bytes(4, "little") for word in self.words)
        return _seal(head + words + bytes((self.last,)))

    @classmethod
    def decode(cls, line: bytes) -> Answer | None:
        """The answer in the bytes before a delimiter; None if they are damaged."""
        inside = _open(line)
        if inside is None:
            return None
        *words, mark = inside[ANSWER_HEAD:] or (2,)
        try:
            opcode, status = Opcode(inside[2] & 15), Status(inside[2] >> 4)
        except (ValueError, IndexError):
            return None
        if mark > 1 or len(words) % 4:
            return None
        packed = bytes(words)
        return cls(
            *(inside[0], inside[1], opcode, status, inside[3], inside[4]),
            words=tuple(
                int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4)
            ),
            last=bool(mark),
        )


@dataclass(frozen=True)
class LinkLimits:
    """What a device says of its link in the word that answers HELLO.

    Parameters
    ----------
    data_depth : int
        Bytes of the buffer for configuration and pixels; one place of it stays empty.
    result_depth : int
        Words of the buffer for results.
    send_depth : int
        Bytes of the buffer for answers on their way; beyond three quarters of it no request is
        taken.
    version : int

    Raises
    ------
    ValueError
        If a depth is no power of two in its range.
    """

    data_depth: int = 4096
    result_depth: int = 256
    send_depth: int = 512
    version: int = LINK_VERSION

    def __post_init__(self) -> None:
        ranges = {"data_depth": (512, 4096), "result_depth": (64, 4096), "send_depth": (512, 4096)}
        for name, (low, high) in ranges.items():
            depth = getattr(self, name)
            if depth & (depth - 1) or not low <= depth <= high:
                raise ValueError(f"{name} must be a power of two from {low} to {high}, not {depth}")

    @property
    def word(self) -> int:
        """The version in bits 7:0, then each depth's logarithm, a byte each."""
        depths = (self.data_depth, self.result_depth, self.send_depth)
        return self.version | sum(
            (depth.bit_length() - 1) << 8 * at for at, depth in enumerate(depths, 1)
        )

    @classmethod
    def from_word(cls, word: int) -> LinkLimits:
        """The limits in a word; ValueError if there are none such."""
        version, *depths = word.to_bytes(4, "little")
        data, results, send = (1 << depth for depth in depths)
        return cls(data, results, send, version)


def arguments(first: int = 0, *rest: int) -> bytes:
    """A body of arguments: a byte, then nothing, a 32-bit value or two 16-bit ones."""
    size = 4 // max(1, len(rest))
    return bytes((first,)) + b"".join(v.to_bytes(size, "little") for v in rest or (0,))


def answer_bytes(words: int) -> int:
    """Bytes on the line of an answer with so many words."""
    return ANSWER_HEAD + 4 * words + 1 + CHECK_BYTES + 2


def _seal(inside: bytes) -> bytes:
    check = zlib.crc32(inside).to_bytes(CHECK_BYTES, "little")
    return bytes(cobs.encode(inside + check)) + DELIMITER


def _open(line: bytes) -> bytes | None:
    try:
        inside = cobs.decode(line)
    except cobs.DecodeError:
        return None
    body, check = inside[:-CHECK_BYTES], inside[-CHECK_BYTES:]
    if len(body) < REQUEST_HEAD or zlib.crc32(body).to_bytes(CHECK_BYTES, "little") != check:
        return None
    return bytes(body)
