# SPDX-License-Identifier: Apache-2.0
"""A component's own registers and memories, for invariants that induction needs."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import Const, Module, Signal, Value
from amaranth.hdl import Fragment, MemoryInstance
from amaranth.lib import wiring

__all__ = ["Inside"]


class Inside:
    """What :class:`Fragment` knows of an elaborated component; add ``fragment`` as the submodule.

    Parameters
    ----------
    component : Component
        Elaborated here, once.
    platform : object
        Chooses the form (:class:`~xnorflow.gateware.target.Target`).
    """

    def __init__(self, component: wiring.Component | Fragment, platform: object = None) -> None:
        self.fragment = Fragment.get(component, platform)

    def part(self, name: str) -> Inside:
        """A submodule.

        Raises
        ------
        KeyError
            If there is none of that name; the message lists those that are there.
        """
        parts = {str(known): part for part, known, _ in self.fragment.subfragments}
        if name not in parts:
            raise KeyError(f"no submodule {name!r}; there are {', '.join(sorted(parts))}")
        return Inside(parts[name])

    def remove(self, name: str) -> None:
        """Leave a submodule out; the proof drives its outputs, as it likes."""
        parts = self.fragment.subfragments
        self.fragment.subfragments = [part for part in parts if part[1] != name]

    def signal(self, name: str) -> Signal:
        """A signal that the component itself drives, by its name.

        Raises
        ------
        KeyError
            If there is none of that name, or several; the message lists those that are there.
        """
        found = [signal for signal in self.signals if signal.name == name]
        if len(found) != 1:
            names = sorted({signal.name for signal in self.signals})
            raise KeyError(f"{len(found)} signals {name!r}; there are {', '.join(names)}")
        return found[0]

    @property
    def signals(self) -> Iterator[Signal]:
        seen = set()
        for statements in self.fragment.statements.values():
            for signal in statements._lhs_signals():
                if id(signal) not in seen:
                    seen.add(id(signal))
                    yield signal

    # -- of a memory ---------------------------------------------------------------------------

    @property
    def _memory(self) -> MemoryInstance:
        if not isinstance(self.fragment, MemoryInstance):
            raise TypeError("this part is not a memory")
        return self.fragment

    @property
    def write_address(self) -> Value:
        """The address at a memory's only write port."""
        (port,) = self._memory._write_ports
        return port._addr

    @property
    def read_address(self) -> Value:
        """The address at a memory's first read port."""
        return self._memory._read_ports[0]._addr

    def word(self, m: Module, address: Value, name: str = "word") -> Signal:
        """What a memory holds at an address, by a read port of its own."""
        word = Signal(len(self._memory._read_ports[0]._data), name=name)
        at = Signal(len(self.read_address), name=f"{name}_address")
        m.d.comb += at.eq(address)
        self._memory.read_port(domain="comb", addr=at, data=word, en=Const(1), transparent_for=())
        return word
