# SPDX-License-Identifier: Apache-2.0
"""What a proof is: properties around a component, how deep they are looked at, how it can fail."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from amaranth.lib import wiring

__all__ = ["Edit", "Proof", "edited"]


@dataclass(frozen=True)
class Edit:
    """A fault: one place in a module's source that is changed.

    Parameters
    ----------
    module : str
        Below ``xnorflow``: ``"gateware.queue"``.
    old, new : str
        ``old`` stands in the source once.
    """

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Proof:
    """Properties around a component of the gateware.

    Parameters
    ----------
    name : str
        ``subject-case``.
    says : str
        What is proved, in one line; proofs of one subject may say the same.
    build : callable
        Makes the component of the properties; its inputs are free.
    depth : int
        Cycles: of the induction, or those that are looked at.
    fault : Edit
        A fault of the gateware with which the proof fails.
    bounded : bool
        Only the first ``depth`` cycles after the start; else every cycle, by induction.
    family : str
        Whose cells the component may use.
    fault_depth : int
        Cycles in which the fault shows.
    """

    name: str
    says: str
    build: Callable[[], wiring.Component]
    depth: int
    fault: Edit
    bounded: bool = False
    family: str = "portable"
    fault_depth: int = 20


@contextmanager
def edited(edit: Edit) -> Iterator[None]:
    """The gateware with a fault, for components made and elaborated inside.

    Functions take the code of the changed source; classes and modules stay the same objects.

    Raises
    ------
    ValueError
        If the module has the text not once.
    """
    module = importlib.import_module(f"xnorflow.{edit.module}")
    source = inspect.getsource(module)
    if (count := source.count(edit.old)) != 1:
        raise ValueError(
            f"the fault's text {edit.old!r} stands {count} times in xnorflow.{edit.module}; "
            "choose one that stands there once"
        )
    changed = ModuleType(module.__name__)
    exec(compile(source.replace(edit.old, edit.new), module.__name__, "exec"), changed.__dict__)
    ours, theirs = _functions(module, module.__name__), _functions(changed, module.__name__)
    before: dict[str, CodeType] = {name: function.__code__ for name, function in ours.items()}
    try:
        for name, function in ours.items():
            function.__code__ = theirs[name].__code__
        yield
    finally:
        for name, function in ours.items():
            function.__code__ = before[name]


def _functions(holder: Any, module: str, path: str = "") -> dict[str, FunctionType]:
    """A module's own functions and methods by their path."""
    found: dict[str, FunctionType] = {}
    for name, value in vars(holder).items():
        where = f"{path}.{name}"
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if isinstance(value, property):
            value = value.fget
        if isinstance(value, FunctionType) and value.__module__ == module:
            if value.__qualname__ == where[1:]:
                found[where] = value
        elif isinstance(value, type) and value.__module__ == module:
            found.update(_functions(value, module, where))
    return found
