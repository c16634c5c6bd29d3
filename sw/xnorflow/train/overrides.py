# SPDX-License-Identifier: Apache-2.0
"""A recipe's values from the command line: ``key=value``.

A key is a field of the recipe, or leads into it by dots: ``augmentation.flip=false``,
``layers.8.head=scale``, ``layers.*.lanes=2``. A value is JSON, or else text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from xnorflow.train.recipes import Recipe

__all__ = ["override"]

SHORT = {"lr": "learning_rate", "batch": "batch_size"}
"""Names that everyone uses."""


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with some of its values replaced.

    Raises
    ------
    ValueError
        If a setting is not ``key=value``, there is no such key (the message names the nearest
        one), or the value is of the wrong kind.
    """
    data = json.loads(json.dumps(recipe.to_json()))  # tuples become lists
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ValueError(f"--set takes KEY=VALUE, not {setting!r}")
        _put(data, [SHORT.get(part, part) for part in key.split(".")], key, _value(text))
    return Recipe.from_json(data)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _put(data: Any, path: list[str], key: str, value: Any) -> None:
    """Replace the value at ``path``; ``*`` is every member of a list."""
    first, rest = path[0], path[1:]
    if isinstance(data, Mapping):
        assert isinstance(data, dict)  # for mypy: to_json makes dicts
        if first not in data:
            raise ValueError(f"the recipe has no key {key!r}{_nearest(first, list(data))}")
        members: list[Any] = [first]
    elif isinstance(data, list):
        members = list(range(len(data)))
        if first != "*":
            names = [str(member) for member in members]
            if first not in names:
                raise ValueError(
                    f"the recipe has no key {key!r}: {first!r} must be * or from 0 to {names[-1]}"
                )
            members = [int(first)]
    else:
        raise ValueError(f"the recipe has no key {key!r}: nothing lies below {data!r}")
    for member in members:
        if rest:
            _put(data[member], rest, key, value)
        else:
            data[member] = _checked(key, data[member], value)


def _checked(key: str, old: Any, value: Any) -> Any:
    """``value`` if it is of the same kind as ``old``; a whole number may stand for a fraction."""
    if old is None or isinstance(old, dict | list):
        return value
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    optional = key.rsplit(".", 1)[-1] == "border" and value is None
    if type(value) is not type(old) and not optional:
        raise ValueError(
            f"{key} must be {_KINDS[type(old)]}, as in {key}={json.dumps(old)}, not {value!r}"
        )
    return value


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, [*known, *SHORT], n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
