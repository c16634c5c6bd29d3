# SPDX-License-Identifier: Apache-2.0
"""One instance of a compiled model: the functions of its library, and its handle."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_void_p
from pathlib import Path
from typing import Any

__all__ = ["ModelInstance", "Signatures"]

Signatures = Mapping[str, tuple[Any, tuple[Any, ...]]]
"""By name: a function's result, and its arguments behind the handle."""


class ModelInstance:
    """What a harness's ``PREFIX_create`` made, until it is closed.

    Parameters
    ----------
    library : Path
        The shared library.
    prefix : str
        Of its functions' names.
    signatures : Signatures
        Its functions beside ``create`` and ``destroy``, without the prefix.
    what : str
        For the error of a use after ``close``.
    create : int
        Arguments of ``PREFIX_create``.
    """

    def __init__(
        self, library: Path, prefix: str, signatures: Signatures, what: str, *create: int
    ) -> None:
        self.what = what
        loaded = ctypes.CDLL(str(library))
        self._calls: dict[str, Any] = {}
        for name, (result, arguments) in signatures.items():
            function = getattr(loaded, f"{prefix}_{name}")
            function.restype, function.argtypes = result, (c_void_p, *arguments)
            self._calls[name] = function
        maker = getattr(loaded, f"{prefix}_create")
        maker.restype, maker.argtypes = c_void_p, (ctypes.c_uint64,) * len(create)
        self._destroy = getattr(loaded, f"{prefix}_destroy")
        self._destroy.restype, self._destroy.argtypes = None, (c_void_p,)
        self._handle: int | None = maker(*create)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one of the functions.

        Raises
        ------
        ValueError
            If the instance is closed.
        """
        if self._handle is None:
            raise ValueError(f"The {self.what} is closed")
        return self._calls[name](self._handle, *arguments)

    def close(self) -> None:
        """Free it; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._destroy(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()
