# SPDX-License-Identifier: Apache-2.0
"""The epilogue: float32, element by element, the same bits whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest

from xnorflow.core.epilogue import (
    Affine,
    AveragePool,
    PReLU,
    Softmax,
    apply_epilogue,
    op_from_json,
    op_to_json,
)


def test_operations_one_by_one() -> None:
    acc = np.array([[[[-4, 0, 3]]], [[[10, -7, 1]]]], np.int64)  # (2, 1, 1, 3)
    arrays = {
        "epilogue.0.scale": np.array([0.5, 1, 2], np.float32),
        "epilogue.0.bias": np.array([1, 0, -1], np.float32),
        "epilogue.1.slope": np.array([0.25, 0.5, 0.1], np.float32),
    }
    logits = apply_epilogue((Affine(), PReLU()), arrays, acc)
    assert logits.dtype == np.float32
    assert logits.tolist() == [[-0.25, 0, 5], [6, -3.5, 1]]
    assert apply_epilogue((), {}, acc).tolist() == [[-4, 0, 3], [10, -7, 1]]


def test_average_pool_runs_over_the_map() -> None:
    acc = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    pooled = apply_epilogue((AveragePool(),), {}, acc)
    np.testing.assert_array_equal(pooled, acc.reshape(2, 6, 4).mean(axis=1).astype(np.float32))
    assert apply_epilogue((), {}, acc).shape == (2, 24)


def test_softmax_sums_to_one_even_for_large_accumulators() -> None:
    acc = np.array([[[[1_000_000, 999_999, -1_000_000]]]])
    shares = apply_epilogue((Softmax(),), {}, acc)[0]
    np.testing.assert_allclose(shares, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0], rtol=1e-6)


def test_affine_rounds_after_each_operation() -> None:
    # 16777217 is no float32: it becomes 16777216 before the scale.
    acc = np.full((1, 1, 1, 1), (1 << 24) + 1, np.int64)
    arrays = {
        "epilogue.0.scale": np.ones(1, np.float32),
        "epilogue.0.bias": np.ones(1, np.float32),
    }
    assert apply_epilogue((Affine(),), arrays, acc)[0, 0] == np.float32(1 << 24)


def test_the_batch_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    acc = rng.integers(-(1 << 20), 1 << 20, (16, 3, 3, 5))
    arrays = {
        f"epilogue.1.{key}": rng.normal(size=5).astype(np.float32) for key in ("scale", "bias")
    }
    ops = (AveragePool(), Affine(), Softmax())
    whole = apply_epilogue(ops, arrays, acc)
    parts = np.concatenate([apply_epilogue(ops, arrays, acc[i : i + 1]) for i in range(16)])
    assert whole.tobytes() == parts.tobytes()


@pytest.mark.parametrize("op", [Affine(), PReLU(), AveragePool(), Softmax()])
def test_names_come_back(op: Affine | PReLU | AveragePool | Softmax) -> None:
    assert op_from_json(op_to_json(op)) == op


@pytest.mark.parametrize("kind", ["relu", "", None, 3, [], {}, ["affine"]])
def test_unknown_operations_list_the_known_ones(kind: object) -> None:
    with pytest.raises(ValueError, match="known: affine, prelu, average_pool, softmax"):
        op_from_json(kind)
