# SPDX-License-Identifier: Apache-2.0
"""The tree of adders: every bit of a word enters once, in time."""

from __future__ import annotations

import pytest

from xnorflow.gateware.popcount import PopcountTree

WIDTHS = (8, 16, 32, 64)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_bit_enters_once(width: int, step: int) -> None:
    tree = PopcountTree(width, step)
    bits = [bit for node in range(tree.nodes(1)) for bit in tree.leaf(node)]
    assert {tree.delay(bit) for bit in bits} == {0}
    for level in range(2, tree.levels + 1):
        for node in range(tree.nodes(level)):
            bit = 2 * tree.slot(level, node) + 1
            assert tree.delay(bit) == sum(tree.registered(below) for below in range(1, level))
            bits.append(bit)
    assert tree.nodes(tree.levels) == 1
    assert tree.delay(1) == tree.cycles - 1
    assert tree.cycles == sum(map(tree.registered, range(1, tree.levels + 1)))
    assert sorted([*bits, 1]) == list(range(width))
