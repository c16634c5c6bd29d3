# SPDX-License-Identifier: Apache-2.0
"""What the compiler says when a network and a geometry do not go together."""

__all__ = ["CompileError"]


class CompileError(ValueError):
    """A network that a geometry cannot run: the message says what, by how much, the way out."""
