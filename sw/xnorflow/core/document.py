# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/device.md, made from the objects that gateware and driver use.

python -m xnorflow.core.document > docs/device.md
"""

from __future__ import annotations

from collections.abc import Sequence

from xnorflow.core.geometry import Geometry
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
| `pixels` | in | 8 bits | bytes of images: image, row, position, channel; taken while a block receives |
| `results` | out | 32 bits and `last` (bit 32) | accumulators of the last layer |

Results come group of images by group, tile of channels by tile, then image, row, position, channel; a group is as many
images as a column's accumulators hold. `last` ends the block.

## A block

Write `images`, then `command` = 1. Send the images' bytes, take the results, and `status` says done. `cycles` then holds the
block's cycles without those that waited for the host, which are in `wait_cycles`. `command` = 2 stops whatever runs and
empties the device; its program stays, unless a packet was cut.

The `tap_*` ports show what is written into the activation banks: `tap_layer` 0 is the input, i + 1 layer i's codes. They
serve tests; leave them open in a design.
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
            "## Configuration packets\n\nTwo header words, then `count` items of one or more words, "
            "low word first. Word 0: target in bits 31:28, column\nin 27:20, count in 19:0. Word 1: "
            "address of the first item. A packet with an unknown target, column or address sets\n"
            "`status` error and the rest is dropped until `command` = 2.\n",
            _table(("target", "value", f"bits of an item ({_EXAMPLE})"), targets),
            "- `WEIGHT`: `weight_beat` bits for each row, row 0 lowest; a pass takes "
            "`word_width / weight_beat` items.\n"
            "- `THRESHOLD`: address is tile << max_lanes | node. Nodes form a heap: node 1 is the "
            "middle threshold, nodes 2k and 2k + 1 the\n  middles of the halves below and above "
            "node k. Node 1 has one more bit, the highest: the channel pools by minimum.\n"
            "- `CONTROL`: item 0 is the number of layers, item 1 the most images in a block.\n"
            "- `SCALE`: lane scales s_l * t_j, weight plane by weight plane.\n"
            "- `LAYER`: a row for each layer.\n",
            f"## Layer row\n\nFields from the lowest bit on, with their widths for {_EXAMPLE}. "
            "`*_last` is a count less one. A *line group* is `streams`\nconsecutive map rows: they "
            "lie at the same address of different banks.\n",
            _table(("field", "bits", "what"), fields),
        )
    )


if __name__ == "__main__":
    print(device_document(), end="")
