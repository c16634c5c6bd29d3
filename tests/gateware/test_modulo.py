# SPDX-License-Identifier: Apache-2.0
"""Arithmetic modulo the number of streams, every case."""

from __future__ import annotations

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from tests.gateware.helpers import trace

from xnorflow.gateware.modulo import add_modulo, next_modulo


class Modulo(wiring.Component):
    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        width = (modulus - 1).bit_length()
        super().__init__({"a": In(width), "b": In(width), "next": Out(width), "total": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.next.eq(next_modulo(self.a, self.modulus)),
            self.total.eq(add_modulo(self.a, self.b, self.modulus)),
        ]
        return m


@pytest.mark.parametrize("modulus", range(2, 9))
def test_modulo(modulus: int) -> None:
    pairs = [{"a": a, "b": b} for a in range(modulus) for b in range(modulus)]
    seen = trace(Modulo(modulus), pairs, "next", "total")
    for pair, out in zip(pairs, seen, strict=True):
        assert out == {
            "next": (pair["a"] + 1) % modulus,
            "total": (pair["a"] + pair["b"]) % modulus,
        }
