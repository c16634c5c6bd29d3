# SPDX-License-Identifier: Apache-2.0
"""A product with a register before and one behind it."""

from amaranth import ClockSignal, Const, Module, Shape, Signal, unsigned
from amaranth.hdl import Instance
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.gateware.target import family_of

__all__ = ["Product"]

_DSP_BITS = 18


class Product(wiring.Component):
    """a * b, one a cycle.

    Parameters
    ----------
    a, b : Shape

    Members
    -------
    a, b : In
    product : Out
        Wide enough for every product, signed if an operand is; ``latency_cycles`` later.

    Timing
    ------
    On an ECP5 both registers are the DSP block's own: between those of logic a product takes the
    block's time and two long wires. Where ``b`` is one bit, no block is needed: it lets ``a`` pass.
    """

    latency_cycles = 2

    def __init__(self, a: Shape, b: Shape) -> None:
        self.shapes = a, b
        product = Shape(a.width + b.width, a.signed or b.signed)
        super().__init__({"a": In(a), "b": In(b), "product": Out(product)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.shapes[1] == unsigned(1):
            self._gate(m)
            return m
        if family_of(platform) == "ecp5" and max(s.width for s in self.shapes) <= _DSP_BITS:
            m.submodules.dsp = self._ecp5_block()
            return m
        a, b = Signal.like(self.a, reset_less=True), Signal.like(self.b, reset_less=True)
        result = Signal.like(self.product, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), result.eq(a * b)]
        m.d.comb += self.product.eq(result)
        return m

    def _gate(self, m: Module) -> None:
        passed = Signal.like(self.a, reset_less=True)
        result = Signal.like(self.a, reset_less=True)
        m.d.sync += [passed.eq(self.a), result.eq(passed)]
        with m.If(~self.b):
            m.d.sync += passed.eq(0)
        m.d.comb += self.product.eq(result)

    def _ecp5_block(self) -> Instance:
        """A MULT18X18D with its input and output registers."""
        ports: dict[str, object] = {}
        for name, value, shape in zip("AB", (self.a, self.b), self.shapes, strict=True):
            for pin in range(_DSP_BITS):
                above = value[-1] if shape.signed else Const(0)
                ports[f"i_{name}{pin}"] = value[pin] if pin < shape.width else above
            ports[f"i_SIGNED{name}"] = Const(int(shape.signed))
            ports[f"i_SOURCE{name}"] = Const(0)
        for pin in range(_DSP_BITS):
            ports[f"i_C{pin}"] = Const(0)
        for pin in range(len(self.product)):
            ports[f"o_P{pin}"] = self.product[pin]
        registers = {
            f"p_REG_{stage}_{kind}": f"{kind}0" if stage != "PIPELINE" or kind != "CLK" else "NONE"
            for stage in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
            for kind in ("CLK", "CE", "RST")
        }
        return Instance(
            "MULT18X18D",
            p_REG_INPUTC_CLK="NONE",
            p_CLK0_DIV="ENABLED",
            p_GSR="DISABLED",
            p_RESETMODE="SYNC",
            i_CLK0=ClockSignal(),
            i_CE0=Const(1),
            i_RST0=Const(0),
            **registers,
            **ports,
        )
