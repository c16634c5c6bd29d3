# SPDX-License-Identifier: Apache-2.0
"""docs/models.md is what the code says."""

from pathlib import Path

from xnorflow.zoo.document import models_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


def test_models_document_is_current() -> None:
    assert DOCUMENT.read_text() == models_document(), (
        "make it again: python -m xnorflow.zoo.document > docs/models.md"
    )
