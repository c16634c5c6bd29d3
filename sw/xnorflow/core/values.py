# SPDX-License-Identifier: Apache-2.0
"""Names and integers of layers and networks, checked: they may come from anyone's file."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["check_integer", "check_name", "integers"]

MAX_INTEGER = (1 << 31) - 1

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_RESERVED = {"input", "epilogue"}
"""Names that results and tensors already use."""


def check_name(what: str, name: Any) -> None:
    """Names appear in tensor names, file names and messages, so they are short and plain."""
    if not isinstance(name, str):
        raise TypeError(f"A {what}'s name must be a string, not {name!r}")
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ValueError(
            f"A {what}'s name must be 1 to 64 of the characters A-Z a-z 0-9 _ . - (the first a "
            f"letter, digit or _) and none of {', '.join(sorted(_RESERVED))}; not {name[:80]!r}"
        )


def integers(owner: str, what: str, values: Any, length: int | None = None) -> tuple[int, ...]:
    """``values`` as a tuple of plain integers, or one clear error that begins with ``owner``."""
    sequence = isinstance(values, tuple | list)
    if not sequence or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise TypeError(f"{owner}: {what} must be a sequence of integers, not {values!r}")
    if length is not None and len(values) != length:
        raise ValueError(f"{owner}: {what} must have {length} numbers, not {len(values)}")
    if any(abs(v) > MAX_INTEGER for v in values):
        raise ValueError(f"{owner}: {what} holds a number past 32 bits")
    return tuple(values)


def check_integer(owner: str, what: str, value: Any) -> None:
    """One clear error that begins with ``owner`` unless ``value`` is a plain integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{owner}: {what} must be an integer, not {value!r}")
    if abs(value) > MAX_INTEGER:
        raise ValueError(f"{owner}: {what} is a number past 32 bits")
