# SPDX-License-Identifier: Apache-2.0
"""bitstreams/README.md, from the manifests beside it: ``python -m xnorflow.boards.document``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from xnorflow.boards.catalog import BOARDS

__all__ = ["page"]

_HEAD = """# Bitstreams

What `make bitstreams` built: a folder a board, with its manifest, nextpnr's report, and the bitstream itself where it
is small. The others come out of the same command, with the `bitstream_sha256` of the manifest. No board has run one yet
([docs/bring-up.md](../docs/bring-up.md)).

| board | array | clock | routed for | GOPS | LUTs | flip-flops | block RAMs | bitstream |
|---|---|---|---|---|---|---|---|---|
"""
_FOOT = """
Clock and routed clock are in MHz; the latter is nextpnr's analysis. GOPS are binary operations (XNORs and additions) a second,
in 10^9, at the clock. Images a second of the shipped networks are in the manifests.
"""


def page(folder: Path) -> str:
    """The page about the manifests in a folder's subfolders, boards in the catalogue's order."""
    rows = []
    for name in BOARDS:
        path = folder / name / "manifest.json"
        if path.is_file():
            rows.append(_row(json.loads(path.read_text())))
    return _HEAD + "".join(rows) + _FOOT


def _row(found: dict[str, Any]) -> str:
    shape, _, limits = found["geometry"].partition(",")
    cells = (
        f"`{found['board']}`",
        f"`{shape}`" + (", small accelerator" if "mlp" in limits.split(",") else ""),
        f"{found['clock_mhz']:g}",
        f"{found['fmax_mhz']:.1f}",
        f"{found['gops']:.1f}",
        f"{found['lut']:,}",
        f"{found['ff']:,}",
        str(found["memory_blocks"]),
        f"{found['bitstream_bytes']:,} bytes",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "bitstreams")
    (target / "README.md").write_text(page(target))
