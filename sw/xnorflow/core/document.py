# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/device.md, made from the objects that gateware and driver use.

python -m xnorflow.core.document > docs/device.md
"""

from __future__ import annotations

from collections.abc import Sequence

from xnorflow.core.geometry import Geometry
from xnorflow.core.hostmap import BUS_MAP, BusStreams
from xnorflow.core.program import Target, item_bits, row_fields
from xnorflow.core.registers import REGISTERS, Command, DeviceError, Status

__all__ = ["device_document"]

_EXAMPLE = "3x3x8x32"

_HEAD = """# The device, as a host sees it

This file is made from the code: `python -m xnorflow.core.document > docs/device.md`.

## Streams

Every stream has `payload`, `valid` and `ready`; a word moves in a cycle in which both are 1. A sender keeps its
payload while it waits, and nobody waits for `ready` before it says `valid`.

| stream | direction | word | what |
|---|---|---|---|
| `config` | in | 32 bits | packets of program, weights and thresholds; taken while no block runs |
| `pixels` | in | 8 bits | bytes of images: image, row, position, channel; taken while there is room for them |
| `results` | out | 32 bits and `last` (bit 32) | accumulators of the last layer |

Images are computed `pixels` at a time, side by side: a *unit*. Where a block's last unit lacks images, words come for them too,
and mean nothing. Results come program row by program row, in it channel tile by channel tile, then unit, map row, position,
image of the unit, channel. `last` ends the block.

## A block

Write `images`, then `command` = 1. Send the images' bytes, take the results, and `status` says done. While a block runs, the
next one may be asked for in the same way, as soon as `queued` is 0: its images are then taken under the running block's
compute, as soon as a part of the input is free. A run that is asked for while `queued` is 1 is ignored. `images` may be written
at any time; it counts when `command` is.

`cycles` and `wait_cycles` go up with every block that ends: `cycles` without those that waited for the host, which are in
`wait_cycles`. `command` = 2 stops whatever runs and empties the device; its program stays, unless a packet was cut.

The `tap_*` ports show what program row `tap_row` writes into the activation banks. They serve tests; leave them open in a
design.
"""


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def device_document() -> str:
    """The text of docs/device.md."""
    geometry = Geometry.parse(_EXAMPLE)
    registers = [(f"`{r.name}`", r.index, r.access, r.description) for r in REGISTERS.values()]
    targets = [(f"`{target.name}`", target.value, item_bits(geometry, target)) for target in Target]
    fields = [(f"`{f.name}`", f.width, f.description) for f in row_fields(geometry)]
    ranges = [
        (f"`{r.name}`", f"0x{r.offset:03X}", f"{r.size:,}", r.access, ", ".join(r.buses),
         r.description)
        for r in BUS_MAP.values()
    ]  # fmt: skip
    states = [(f"`{type(bit).__name__}.{bit.name}`", bit.value) for bit in BusStreams]
    codes = [
        (f"`{kind.__name__}.{item.name}`", item.value)
        for kind in (Command, Status, DeviceError)
        for item in kind
    ]
    return "\n".join(
        (
            _HEAD,
            "## Registers\n\n32 bits each; a byte address is 4 * index. Read data comes in the cycle "
            "after the address.\n",
            _table(("register", "index", "access", "what"), registers),
            _table(("name", "value"), codes),
            "## Addresses on a bus\n\nAXI4-Lite and Wishbone have the registers above from address 0 "
            "on, and beside them (docs/buses.md says how they are\nused; every address of a window "
            "means the same):\n",
            _table(("range", "address", "bytes", "access", "buses", "what"), ranges),
            _table(("name", "value"), states),
            "## Configuration packets\n\nTwo header words, then `count` items of one or more words, "
            "low word first. Word 0: target in bits 31:28, column\nin 27:20, count in 19:0. Word 1: "
            "address of the first item. A packet with an unknown target, column or address sets\n"
            "`status` error and the rest is dropped until `command` = 2.\n",
            _table(("target", "value", f"bits of an item ({_EXAMPLE})"), targets),
            "- `WEIGHT`: words of a column's bank. A pass takes `word_width / weight_beat` words of "
            "`weight_beat` bits for each row,\n  row 0 lowest; row r's beats lie r words later than "
            "row 0's. A record holds a channel's thresholds less 1, lowest first,\n  "
            "`accumulator_width` bits each, and above them its pooling direction (1: minimum); it "
            "ends with its last word's\n  highest bit. A layer of m < max_lanes lanes has its "
            "thresholds 2^(max_lanes - m) places apart.\n"
            "- `CONTROL`: item 0 is the number of rows, item 1 the most images in a block.\n"
            "- `SCALE`: lane scales s_l * t_j, weight plane by weight plane.\n"
            "- `LAYER`: rows, each of as many items as hold it, lowest bits first.\n",
            f"## Program row\n\nOne run of a layer, over some units of the block and some lines of "
            f"its map. Fields from the lowest bit on, with their\nwidths for {_EXAMPLE}. `*_last` is "
            "a count less one. A *slot* is `taps` consecutive positions of a line, a *line group*\n"
            "`streams` consecutive lines: they lie at the same address of different banks. Addresses "
            "wrap.\n",
            _table(("field", "bits", "what"), fields),
        )
    )


if __name__ == "__main__":
    print(device_document(), end="")
