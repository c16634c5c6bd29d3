# SPDX-License-Identifier: Apache-2.0
"""docs/links.md is what the code says."""

from pathlib import Path

from xnorflow.core.link_document import link_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "links.md"


def test_link_document_is_current() -> None:
    assert DOCUMENT.read_text() == link_document(), (
        "make it again: python -m xnorflow.core.link_document > docs/links.md"
    )
