# SPDX-License-Identifier: Apache-2.0
"""The selector: every index of any number of words, in both forms."""

from __future__ import annotations

import random

import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from tests.gateware.helpers import trace

from xnorflow.gateware.selector import Selector

WIDTH = 5


class Selection(wiring.Component):
    """Controls registered before the words come, as they are meant to be."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        count = selector.count
        self.words: data.View
        super().__init__(
            {
                "index": In(range(count + 1)),
                "words": In(data.ArrayLayout(WIDTH, count)),
                "o": Out(WIDTH),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        controls = self.selector.controls(self.index)
        assert len(controls) == self.selector.width
        words = [self.words[at] for at in range(self.selector.count)]
        m.d.comb += self.o.eq(self.selector.select(words, controls))
        return m


@pytest.mark.parametrize("family", ["portable", "ecp5", "xc7"])
@pytest.mark.parametrize("count", range(1, 10))
def test_selects_every_word_or_none(family: str, count: int) -> None:
    rng = random.Random(count)
    selector = Selector(family, count)
    inputs = [
        {"index": index, "words": [rng.getrandbits(WIDTH) for _ in range(count)]}
        for index in [*range(count + 1)] * 8
    ]
    inputs += [{"index": index, "words": [31] * count} for index in range(count + 1)]
    inputs += [{"index": index, "words": [0] * count} for index in range(count + 1)]
    for now, out in zip(inputs, trace(Selection(selector), inputs, "o"), strict=True):
        right = 0 if now["index"] == selector.none else now["words"][now["index"]]
        assert out["o"] == right, now
