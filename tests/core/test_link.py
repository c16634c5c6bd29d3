# SPDX-License-Identifier: Apache-2.0
"""The link's frames: bytes on the line, and what is refused."""

from __future__ import annotations

import zlib

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from xnorflow.core.link import (
    DELIMITER,
    MAX_BODY,
    MAX_FRAME,
    MAX_WORDS,
    Answer,
    LinkLimits,
    Opcode,
    Request,
    Status,
    answer_bytes,
    arguments,
)

ANSWERS = st.builds(
    Answer,
    *(st.integers(0, 255), st.integers(0, 255), st.sampled_from(Opcode), st.sampled_from(Status)),
    *(st.integers(0, 255), st.integers(0, 255)),
    words=st.lists(st.integers(0, 2**32 - 1), max_size=MAX_WORDS).map(tuple),
    last=st.booleans(),
)


def test_a_request_on_the_line() -> None:
    """Against the packages that define COBS and the CRC, byte by byte."""
    line = Request(7, 200, Opcode.WRITE, arguments(13, 0x12)).encode()
    inside = bytes((7, 200, 4, 13, 0x12, 0, 0, 0))
    assert line == cobs.encode(inside + zlib.crc32(inside).to_bytes(4, "little")) + DELIMITER
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the value by which CRC-32/ISO-HDLC is known


def test_the_longest_request_needs_one_code_byte() -> None:
    line = Request(1, 0, Opcode.PIXELS, b"\xff" * MAX_BODY).encode()
    assert len(line) == MAX_FRAME + 2 and MAX_FRAME < 254


@given(ANSWERS)
def test_an_answer_comes_back(answer: Answer) -> None:
    line = answer.encode()
    assert line.endswith(DELIMITER) and line.count(DELIMITER) == 1
    assert len(line) == answer_bytes(len(answer.words))
    assert Answer.decode(line[:-1]) == answer


@given(ANSWERS, st.data())
def test_a_damaged_answer_is_none(answer: Answer, data: st.DataObject) -> None:
    line = bytearray(answer.encode()[:-1])
    at = data.draw(st.integers(0, len(line) - 1))
    kind = data.draw(st.sampled_from(("flip", "drop", "cut")))
    if kind == "flip":
        line[at] ^= data.draw(st.integers(1, 255))
    elif kind == "drop":
        del line[at]
    else:
        del line[at:]
    if bytes(line) != answer.encode()[:-1]:
        assert Answer.decode(bytes(line)) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_none(line: bytes) -> None:
    Answer.decode(line)


@pytest.mark.parametrize("inside", [bytes((1, 2, 3)), bytes((1, 2, 15, 0, 0, 0)), bytes(7)])
def test_what_no_device_says_is_none(inside: bytes) -> None:
    """A right CRC, but too short, an unknown opcode, a piece of a word."""
    line = cobs.encode(inside + zlib.crc32(inside).to_bytes(4, "little"))
    assert Answer.decode(line) is None


def test_arguments() -> None:
    assert arguments() == bytes(5)
    assert arguments(3, 0x01020304) == bytes((3, 4, 3, 2, 1))
    assert arguments(15, 0x0102, 0x0304) == bytes((15, 2, 1, 4, 3))


@pytest.mark.parametrize(
    ("session", "opcode", "body", "message"),
    [
        (0, Opcode.SYNC, bytes(5), "from 1 to 255, not 0"),
        (1, Opcode.READ, bytes(4), "READ takes 5 bytes of arguments, not 4"),
        (1, Opcode.PIXELS, b"", "PIXELS takes 1 to 240 bytes, not 0"),
        (1, Opcode.PIXELS, bytes(241), "not 241"),
        (1, Opcode.CONFIG, bytes(6), "whole 32-bit words, not 6 bytes"),
    ],
)
def test_a_request_that_cannot_be(session: int, opcode: Opcode, body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Request(session, 0, opcode, body)


def test_limits() -> None:
    limits = LinkLimits(data_depth=1024, result_depth=128, send_depth=2048)
    assert LinkLimits.from_word(limits.word) == limits
    with pytest.raises(ValueError, match="data_depth must be a power of two from 512 to 4096"):
        LinkLimits(data_depth=1000)
