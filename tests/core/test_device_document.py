# SPDX-License-Identifier: Apache-2.0
"""docs/device.md is what the code says."""

from pathlib import Path

from xnorflow.core.document import device_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "device.md"


def test_device_document_is_current() -> None:
    assert DOCUMENT.read_text() == device_document(), (
        "make it again: python -m xnorflow.core.document > docs/device.md"
    )
