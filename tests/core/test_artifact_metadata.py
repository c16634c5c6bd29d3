# SPDX-License-Identifier: Apache-2.0
"""Signed but senseless metadata: whatever JSON a file holds, loading ends in ArtifactError."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from xnorflow.core.artifact import Artifact, ArtifactError, digest

WRONG: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    1e999,
    10**30,
    "",
    "8",
    "\ud800",
    [],
    [[]],
    ["a", 1],
    [1.0, 2.0, 3.0],
    {},
    {"name": "x"},
]


def load_signed(artifact: Artifact, path: Path, **metadata: str) -> Artifact:
    """Load the artifact with other metadata and a digest that fits it."""
    changed = artifact.metadata() | metadata
    changed["digest"] = digest(changed, artifact.tensors)
    save_file(artifact.tensors, path, changed)
    return Artifact.load(path)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from paths(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with ``new`` at ``path``."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def test_every_place_of_the_network_is_checked(artifact: Artifact, tmp_path: Path) -> None:
    network = json.loads(json.dumps(artifact.network.to_json()))
    allowed = {("name",): ["8"], ("classes",): [[]], ("layers", 0, "border"): [0]}
    allowed |= {("layers", 1, "border"): [0], **{("classes", i): ["8"] for i in range(3)}}
    path = tmp_path / "net.safetensors"
    tried = 0
    for place in paths(network):
        for wrong in WRONG:
            changed = replaced(network, place, wrong)
            unchanged = json.dumps(changed) == json.dumps(network)
            fits = [json.dumps(value) for value in allowed.get(place, [])]
            if unchanged or json.dumps(wrong) in fits:
                continue
            tried += 1
            try:
                load_signed(artifact, path, network=json.dumps(changed))
            except ArtifactError as error:
                assert len(str(error)) < 1000, (place, wrong)
                str(error).encode()
            else:
                pytest.fail(f"{wrong!r} at {place} was taken")
    assert tried > 500


def test_every_missing_or_foreign_key_is_found(artifact: Artifact, tmp_path: Path) -> None:
    network = artifact.network.to_json()
    path = tmp_path / "net.safetensors"
    for place in ((), ("layers", 0), ("layers", 1)):
        owner = network
        for key in place:
            owner = owner[key]  # type: ignore[index]
        dropped = [{k: owner[k] for k in owner if k != drop} for drop in owner]
        for changed in ({**owner, "other": 1}, *dropped):
            with pytest.raises(ArtifactError, match="key"):
                load_signed(artifact, path, network=json.dumps(replaced(network, place, changed)))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "3", '"net"', "[]", "NaN", "[" * 100_000, '{"a":' * 50_000, "1" * 10_000],
    ids=range(10),
)
@pytest.mark.parametrize("key", ["network", "provenance"])
def test_text_that_is_no_object(artifact: Artifact, tmp_path: Path, key: str, text: str) -> None:
    with pytest.raises(ArtifactError) as error:
        load_signed(artifact, tmp_path / "net.safetensors", **{key: text})
    assert len(str(error.value)) < 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_anywhere_is_an_artifact_error_or_fits(
    artifact: Artifact, tmp_path: Path, data: st.DataObject
) -> None:
    network = artifact.network.to_json()
    place = data.draw(st.sampled_from(list(paths(network))))
    changed = replaced(network, place, data.draw(json_values))
    try:
        loaded = load_signed(artifact, tmp_path / "net.safetensors", network=json.dumps(changed))
    except ArtifactError:
        return
    assert loaded.network.tensors().keys() == loaded.tensors.keys()
