# SPDX-License-Identifier: Apache-2.0
"""A network that a design holds from the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xnorflow.core.answer import Answer
from xnorflow.core.contents import Contents

__all__ = ["Baked"]


@dataclass(frozen=True)
class Baked:
    """What gateware and manifests need of a network that is baked in.

    Parameters
    ----------
    name : str
        The network's.
    digest : str
        SHA-256 of the artifact's content, as ``xnorflow info`` shows it.
    contents : Contents
        Of the memories.
    answer : Answer or None
        What names the class without a host; None if the design cannot.
    why : str
        Why it cannot.
    """

    name: str
    digest: str
    contents: Contents
    answer: Answer | None
    why: str = ""

    def facts(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "name": self.name,
            "digest": self.digest,
            "own_input": self.answer is not None,
            "image_bytes": None if self.answer is None else self.answer.image_bytes,
            "why_not": self.why or None,
        }
