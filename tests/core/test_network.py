# SPDX-License-Identifier: Apache-2.0
"""Layer and network specifications: what they derive and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xnorflow.core.epilogue import Affine, AveragePool
from xnorflow.core.layer import LayerSpec, pixel_scales
from xnorflow.core.network import NetworkSpec

CONV: dict[str, Any] = {
    "name": "conv",
    "in_shape": (8, 8, 3),
    "out_channels": 4,
    "kernel": (3, 3),
    "padding": (1, 1),
    "in_scales": (2, 1),
    "out_lanes": 2,
    "pool": 2,
}
LAST: dict[str, Any] = {
    "name": "fc",
    "in_shape": (4, 4, 4),
    "out_channels": 10,
    "kernel": (4, 4),
    "in_scales": (5, 2),
    "out_lanes": 0,
}


def network(**changes: Any) -> NetworkSpec:
    values: dict[str, Any] = {
        "name": "net",
        "image_shape": (8, 8, 3),
        "layers": (LayerSpec(**CONV), LayerSpec(**LAST)),
    }
    return NetworkSpec(**(values | changes))


def test_derived_numbers() -> None:
    conv, last = LayerSpec(**CONV), LayerSpec(**LAST)
    assert (conv.map_shape, conv.out_shape, conv.kind) == ((8, 8), (4, 4, 4), "conv")
    assert (last.map_shape, last.out_shape, last.kind) == ((1, 1), (1, 1, 10), "fc")
    assert (conv.reduction, conv.accumulator_bound, conv.thresholds) == (27, 81, 3)
    # 22 kernel lines, and columns, meet the 8x8 map; the zero padding does no work.
    assert conv.xnors == 22 * 22 * 3 * 4 * 2
    assert LayerSpec(**CONV | {"border": 0}).xnors == 8 * 8 * 4 * 27 * 2
    assert (last.reduction, last.accumulator_bound, last.thresholds) == (64, 448, 0)


def test_a_ragged_rest_is_dropped() -> None:
    layer = LayerSpec(**CONV | {"in_shape": (9, 8, 3), "stride": 2})
    assert (layer.map_shape, layer.out_shape) == ((5, 4), (2, 2, 4))


@pytest.mark.parametrize(
    ("pool", "pool_stride", "outputs", "covered"),
    [
        (2, 0, (4, 4), (8, 8)),
        (3, 3, (2, 2), (6, 6)),
        (3, 2, (3, 3), (7, 7)),
        (2, 1, (7, 7), (8, 8)),
        (8, 7, (1, 1), (8, 8)),
    ],
)
def test_pooling_windows_that_overlap(
    pool: int, pool_stride: int, outputs: tuple[int, int], covered: tuple[int, int]
) -> None:
    layer = LayerSpec(**CONV | {"pool": pool, "pool_stride": pool_stride, "border": 0})
    assert layer.pool_stride == (pool_stride or pool)
    assert layer.out_shape == (*outputs, 4)
    assert layer.pooled_shape == covered
    assert layer.xnors == covered[0] * covered[1] * 4 * 27 * 2


def test_json_comes_back() -> None:
    spec = network(epilogue=(Affine(),), classes=tuple("0123456789"))
    assert NetworkSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_json_names_the_pool_stride_only_where_windows_overlap() -> None:
    """Files from before windows could overlap have no such key, and keep their digest."""
    plain = LayerSpec(**CONV)
    assert "pool_stride" not in plain.to_json()
    assert LayerSpec.from_json(plain.to_json()) == plain
    assert LayerSpec.from_json(plain.to_json() | {"pool_stride": 2}) == plain
    overlapping = LayerSpec(**CONV | {"pool": 3, "pool_stride": 2})
    assert overlapping.to_json()["pool_stride"] == 2
    assert LayerSpec.from_json(overlapping.to_json()) == overlapping
    with pytest.raises(ValueError, match="layer 'conv': pool_stride must be at least 1, not 0"):
        LayerSpec.from_json(plain.to_json() | {"pool_stride": 0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_shape": (0, 8, 3)}, "in_shape .* has an empty axis"),
        ({"in_shape": (8, 8)}, "in_shape must have 3 numbers, not 2"),
        ({"out_channels": 0}, "out_channels must be at least 1, not 0"),
        ({"kernel": (0, 3)}, "kernel .* has an empty axis"),
        ({"kernel": (11, 11), "padding": (1, 1)}, "larger than the padded map"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"padding": (-1, 0)}, "padding .* is negative"),
        ({"padding": (3, 0)}, "must be smaller than the kernel"),
        ({"border": 4}, r"border code 4 is not in 0\.\.3"),
        ({"border": -1}, "border code -1"),
        ({"in_scales": ()}, "in_scales must be positive and falling"),
        ({"in_scales": (1, 2)}, "in_scales must be positive and falling"),
        ({"in_scales": (2, 0)}, "in_scales must be positive and falling"),
        ({"in_scales": (1,) * 9}, "9 lanes; 8 is the most"),
        ({"weight_scales": (1, 3)}, "weight_scales must be positive and falling"),
        ({"out_lanes": 4}, "out_lanes must be from 0 to 3, not 4"),
        ({"out_lanes": -1}, "out_lanes must be from 0 to 3, not -1"),
        ({"pool": 9}, "pool 9 is larger than the map 8x8"),
        ({"pool": 0}, "pool must be at least 1"),
        ({"pool": 9, "pool_stride": 8}, "pool 9 is larger than the map 8x8"),
        ({"pool": 2, "pool_stride": 3}, "pool_stride 3 does not fit pool 2"),
        ({"pool": 4, "pool_stride": 2}, "pool_stride 2 does not fit pool 4"),
        ({"pool": 1, "pool_stride": -1}, "pool_stride must be at least 1, not -1"),
        ({"out_lanes": 0}, "cannot max-pool"),
        ({"in_scales": (1 << 30,)}, "past 32 bits"),
        ({"name": ""}, "name must be 1 to 64"),
        ({"name": "a b"}, "name must be 1 to 64"),
        ({"name": "\x1b[31m"}, "name must be 1 to 64"),
        ({"name": "x" * 65}, "name must be 1 to 64"),
        ({"name": "input"}, "none of epilogue, input"),
    ],
)
def test_a_layer_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        LayerSpec(**CONV | changes)
    assert "name" in changes or "layer 'conv'" in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"in_shape": "883"},
        {"in_shape": (8.0, 8, 3)},
        {"kernel": ((3, 3), 3)},
        {"kernel": None},
        {"out_channels": "4"},
        {"out_channels": True},
        {"stride": 1.0},
        {"pool": None},
        {"pool_stride": 2.0},
        {"pool_stride": None},
        {"border": 1.5},
        {"border": False},
        {"in_scales": {2: 1}},
        {"weight_scales": 1},
        {"name": 3},
        {"name": None},
    ],
)
def test_a_value_of_the_wrong_kind_is_a_type_error(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(changes))):
        LayerSpec(**CONV | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ()}, "has no layers"),
        ({"layers": (LayerSpec(**LAST), LayerSpec(**LAST))}, "not unique"),
        ({"layers": (LayerSpec(**CONV),)}, "layer 'conv': the last layer must give raw"),
        ({"image_shape": (4, 4, 12)}, "neither the image"),
        ({"image_shape": (-8, -8, 3)}, "has an empty axis"),
        ({"name": "a/b"}, "name must be 1 to 64"),
        ({"classes": ("a", "b")}, "2 class names for 10 logits"),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": "conv"},
        {"layers": (CONV, LAST)},
        {"epilogue": ("affine",)},
        {"classes": (1, 2)},
        {"image_shape": 8},
        {"name": None},
    ],
)
def test_a_network_of_wrong_kinds_is_a_type_error(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(changes))):
        network(**changes)


def test_layers_must_fit_each_other() -> None:
    conv, last = LayerSpec(**CONV), LayerSpec(**LAST)
    for changes, message in (
        ({"in_shape": (4, 4, 5)}, "is not what layer 'conv' gives"),
        ({"in_scales": (1,)}, "takes 1 lanes, but layer 'conv' gives 2"),
    ):
        with pytest.raises(ValueError, match=message):
            network(layers=(conv, LayerSpec(**LAST | changes)))
    raw = LayerSpec(**CONV | {"out_lanes": 0, "pool": 1})
    with pytest.raises(ValueError, match="only the last layer may give raw"):
        network(layers=(raw, last))
    with pytest.raises(ValueError, match="pixels enter with lane weights"):
        network(layers=(LayerSpec(**CONV | {"in_scales": (3, 1)}), last))


def test_a_flattened_image_and_averaged_logits() -> None:
    flat = LayerSpec("fc", (1, 1, 192), 10, in_scales=pixel_scales(8), out_lanes=0)
    assert network(layers=(flat,)).logits == 10
    head = LayerSpec("head", (8, 8, 3), 5, in_scales=(1,), out_lanes=0)
    assert network(layers=(head,)).logits == 320
    averaged = network(layers=(head,), epilogue=(AveragePool(),), classes=tuple("abcde"))
    assert averaged.logits == 5


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [], "epilogue": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [], "epilogue": [], "classes": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": {}, "epilogue": [], "classes": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [3], "epilogue": [], "classes": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [{}], "epilogue": [], "classes": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [], "epilogue": [[]], "classes": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [], "epilogue": ["x"], "classes": []},
        {"name": "n", "image_shape": [1, 1, 1], "layers": [], "epilogue": [], "classes": 3},
    ],
)
def test_json_that_is_no_network_is_refused(data: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        NetworkSpec.from_json(data)


def test_foreign_and_missing_layer_keys_are_named() -> None:
    data = network().to_json()
    data["layers"][0]["dilation"] = 1
    del data["layers"][0]["stride"]
    with pytest.raises(ValueError, match=r"layer 'conv': missing or unknown keys \['dilation'"):
        NetworkSpec.from_json(data)
