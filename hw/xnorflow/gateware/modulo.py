# SPDX-License-Identifier: Apache-2.0
"""Small arithmetic modulo the number of streams, for values that are already below it."""

from amaranth import Array, Mux, Value

__all__ = ["add_modulo", "next_modulo"]


def next_modulo(value: Value, modulus: int) -> Value:
    """(value + 1) mod modulus."""
    return Mux(value == modulus - 1, 0, value + 1)


def add_modulo(a: Value, b: Value, modulus: int) -> Value:
    """(a + b) mod modulus."""
    return Array(total % modulus for total in range(2 * modulus - 1))[a + b]
