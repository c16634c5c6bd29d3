# SPDX-License-Identifier: Apache-2.0
"""docs/links.md, made from the objects that driver and gateware use.

python -m xnorflow.core.link_document > docs/links.md
"""

from __future__ import annotations

from xnorflow.core.link import (
    CREDIT_UNIT,
    DEFAULT_BAUD,
    DEFAULT_SPI_HZ,
    LINK_VERSION,
    MAX_BODY,
    MAX_WORDS,
    LinkLimits,
    Opcode,
    Request,
    Status,
    answer_bytes,
    arguments,
)

__all__ = ["link_document"]

_OPCODES = {
    Opcode.HELLO: (
        "5 unused",
        "opens the session of its head: numbers begin at 0, buffers empty. Its own session again: nothing",
    ),
    Opcode.SYNC: ("5 unused", "nothing; the answer says which number comes next"),
    Opcode.READ: ("index, 4 unused", "answers with a register's value"),
    Opcode.WRITE: ("index, value (4)", "writes a register"),
    Opcode.CONFIG: (f"4 to {MAX_BODY} bytes, whole words", "words for the stream `config`"),
    Opcode.PIXELS: (f"1 to {MAX_BODY} bytes", "bytes for the stream `pixels`"),
    Opcode.TAKE: (
        "count, confirmed (2), at (2)",
        "forgets the results before `confirmed`, answers with up to `count` from `at` on; both count the session's results modulo 2^16",
    ),
    Opcode.FLUSH: (
        "5 unused",
        "empties the buffers of data and of results, and counts results from 0",
    ),
}
_STATUS = {
    Status.DONE: "it was done, now; for HELLO and SYNC: understood",
    Status.UNEXPECTED: "its number is not the expected one: it was done before, or one before it is missing",
    Status.FULL: "no room for its data, or the buffer still holds data for the other stream",
    Status.NO_SESSION: "the device has another session or none: it was reset, or has another host",
    Status.MALFORMED: "unknown opcode, wrong length, or half a configuration word",
}


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _table(*rows: tuple[object, ...]) -> str:
    head, *body = rows
    return "\n".join([_row(*head), "|" + "---|" * len(head), *(_row(*row) for row in body)])


def link_document() -> str:
    """The text of docs/links.md."""
    limits = LinkLimits()
    full = len(Request(1, 0, Opcode.PIXELS, bytes(MAX_BODY)).encode())
    control = len(Request(1, 0, Opcode.SYNC, arguments()).encode())
    requests = _table(
        ("request", "opcode", "body", "what it does"),
        *((f"`{o.name}`", o.value, *_OPCODES[o]) for o in Opcode),
    )
    statuses = _table(
        ("status", "value", "what became of the request; all but DONE: no effect"),
        *((f"`{s.name}`", s.value, _STATUS[s]) for s in Status),
    )
    return f"""# UART and SPI links

This file is made from the code: `python -m xnorflow.core.link_document > docs/links.md`. Format and constants are in
`core/link.py`, the host's end in `driver/link.py`, the device's in `hw/xnorflow/links`.

A link carries the registers and streams of [device.md](device.md) over a line that may lose, damage, repeat or delay bytes. What
arrives is right, or the driver says that it is not: {answer_bytes(0) - 1} bytes or more, a CRC-32 and a sequence number stand
for every value. A CRC-32 takes one of 2^32 damaged frames for a sound one; that is the bound, not zero.

## Frames

COBS, then a zero byte. Inside: a head, a body, and the CRC-32 of both (ISO-HDLC: polynomial 04C11DB7 reflected, as in Ethernet
and zlib), all numbers little endian. A frame that is cut, merged with another or has a wrong CRC is dropped without a word.
Link version {LINK_VERSION}.

| frame | head | body |
|---|---|---|
| request | session, number, opcode: a byte each | see below |
| answer | session and number of the request; opcode in bits 3:0 and status in 7:4; the expected number; credit | words of 4 bytes; a byte that is 1 if the last word ends a block |

{requests}

{statuses}

## Once, in order, or not at all

The host numbers its requests modulo 256 and may send on while answers are missing (go-back-N). The device does a request only if
its CRC is right, its session is open and its number is the expected one; it then expects the next. So a repeated request is
answered again and not done again, and nothing is done out of order. HELLO and SYNC have no number of their own: the host puts a
fresh one in, to tell answers apart.

- **An answer is missing, or says UNEXPECTED or FULL**: the host asks SYNC until it is answered, takes what lies before the expected
  number as done, and sends the rest again. A READ or TAKE whose answer was lost is asked anew: neither has an effect that matters.
- **Results** stay in the device's ring until a later TAKE confirms them, so a lost answer loses none. A TAKE for results that have not come
  is answered without words; no answer goes beyond the end of a block.
- **Room**: `credit` is the room for data behind this request in steps of {CREDIT_UNIT} bytes. The host keeps its data under way below that,
  less the 4 bytes of a CRC. A device's stream may stall as long as it likes: data wait in the buffer, requests never wait.
- **Answers** wait in a queue; a request that comes while more than three quarters of it are taken is dropped. The host counts.
- **A reset device** has no session, and says so; the driver raises `DeviceFault`, and its next use opens a new one. **A host that
  starts again** opens another session, which empties the buffers. A driver's error or Ctrl-C ends its session too.
- The device keeps no time and never speaks unasked; all patience is the host's. It doubles from try to try; then the driver
  says that nobody answers, or that the line is too noisy.

## What the device has

| buffer | default | range | for |
|---|---|---|---|
| `data_depth` | {limits.data_depth} bytes | 512 to 4096 | configuration and pixels |
| `result_depth` | {limits.result_depth} words | 64 to 4096 | results until they are confirmed |
| `send_depth` | {limits.send_depth} bytes | 512 to 4096 | answers on their way |

HELLO's answer says them in one word: version in bits 7:0, then the logarithm of each, a byte each. A `data_depth` of
bytes a second times the seconds of a round trip keeps the line busy: 12 Mbaud and 3.4 ms need {limits.data_depth}.

An answer of n words has {answer_bytes(0)} + 4n bytes on the line, n at most {MAX_WORDS}; a request of arguments {control}, of data
its bytes and {full - MAX_BODY}: {MAX_BODY / full:.1%} of the line are data.

## UART

8 data bits, no parity, one stop bit, {DEFAULT_BAUD:,} baud unless the device's name says otherwise (`uart:PATH?baud=N`). The pin is synchronised;
a bit is the majority of three cycles about its middle; a byte without a stop bit spoils its frame. The baud rate is the clock over
a whole `divisor` of at least 4, within 2 % of the host's. Ports of FTDI chips are set to low latency, where the system allows
it; else every answer takes up to 16 ms.

## SPI

Mode 0 (or 3: data are taken at the rising edge of `sck` in both), highest bit first, `sck` at most an eighth of the clock. Whoever
has nothing to say sends zeros, which are empty frames; the master clocks zeros to fetch answers. `cs_n` may rise between any two
bytes, for any time; within a byte it spoils the frame, as damage does. `miso` is driven all the time.

`xnorflow run ARTIFACT --device spi:/dev/spidev0.0?hz=N` drives an SPI bus of Linux, at {DEFAULT_SPI_HZ:,} Hz unless `hz` says otherwise;
mosi, miso, sck, ground and the chip select are all that is connected. The benches' master is this project's own: cocotbext-spi
0.5.0 needs `cocotb.clock.BaseClock`, which cocotb 2 no longer has.

## Without a host

A board that has a network from the start (`xnorflow build --net`) takes plain bytes on its UART until a session is opened: no frames,
an image after another, each answered with a line of text ([bring-up.md](bring-up.md)). Both sides read all bytes: to the link
an image is a frame with a wrong CRC, which it drops, and the HELLO of a host is the beginning of an image, which its session discards.
From then on the pins are the link's. After a reset they are plain again, unless the host has sent configuration: then another network
may lie in the memories, and they stay the link's.

## Without hardware

`xnorflow serve-uart --geometry G` simulates the whole board, UART pins included, behind a pseudo-terminal, and prints the port's
name for `xnorflow run ARTIFACT --device uart:PORT`.

`python -m tests.links.fuzz --frames 100000` damages the bytes between the driver and the simulated gateware, on its UART's pins, in
ten ways, and checks every value; `--link spi` does it on SPI. A run of that command, with seed 1:

| what | count |
|---|--:|
| frames to the device, their answers not counted | 100,004 |
| a bit flipped, a byte dropped, a byte inserted | 3,209, 3,208, 3,143 |
| two bytes swapped, cut from a byte on, repeated, moved behind the next | 3,165, 3,106, 3,171, 3,206 |
| silence for up to 30 reads or writes, reset of the device | 275, 71 |
| requests; sent again; recoveries by SYNC | 76,216; 10,101; 11,027 |
| operations (registers, configuration, images and results) | 20,856 |
| reported as an error: session lost, nobody answers | 71, 55 |
| **wrong results** | **0** |

The same with `--frames 20000 --link spi`: 20,033 frames to the device, 9,459 pieces of damage, 1,803 recoveries, 17 reported
errors, 0 wrong results in 4,502 operations; 50 seconds.

After each error the same driver opens a session and goes on. 274 seconds of a core that was shared by several programs; three
quarters of them simulate the line's clock cycles, 40 a byte.
"""


if __name__ == "__main__":
    print(link_document(), end="")
