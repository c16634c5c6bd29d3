# SPDX-License-Identifier: Apache-2.0
"""The main state machine: receive images, run layer after layer, count cycles."""

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.registers import DeviceError, Status

__all__ = ["Control"]


class Control(wiring.Component):
    """Runs one block at a command.

    Parameters
    ----------
    flush_cycles : int
        Cycles after which nothing is left in the pipelines.

    Members
    -------
    run, abort, images : In
        From the register block.
    layers, block : In
        From the program: number of layers, most images in a block.
    bad_packet : In(1)
        The loader met a bad packet.
    formatter_start, formatter_done : Out, In
        Receive the images.
    layer_start, layer_done : Out, In
        Run the layer whose row is ``layer``.
    waiting : In(1)
        This cycle waits for the host.
    receiving : Out(1)
        The banks belong to the formatter.
    layer : Out(8)
    busy, flush : Out(1)
    status, error, cycles, wait_cycles : Out(32)
        For the register block.
    """

    def __init__(self, *, flush_cycles: int) -> None:
        self.flush_cycles = flush_cycles
        super().__init__(
            {
                "run": In(1),
                "abort": In(1),
                "images": In(16),
                "layers": In(16),
                "block": In(16),
                "bad_packet": In(1),
                "formatter_start": Out(1),
                "formatter_done": In(1),
                "layer_start": Out(1),
                "layer_done": In(1),
                "waiting": In(1),
                "receiving": Out(1),
                "layer": Out(8),
                "busy": Out(1),
                "flush": Out(1),
                "status": Out(32),
                "error": Out(32),
                "cycles": Out(32),
                "wait_cycles": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        idle = Signal()
        done = Signal()
        refused = Signal()
        left = Signal(range(self.flush_cycles + 1))
        runnable = (
            (self.layers != 0) & (self.images != 0) & (self.images <= self.block) & ~self.bad_packet
        )
        m.d.comb += [
            self.status.eq(
                Mux(self.busy, Status.BUSY, 0)
                | Mux(done, Status.DONE, 0)
                | Mux(refused | self.bad_packet, Status.ERROR, 0)
            ),
            self.error.eq(
                Mux(
                    self.bad_packet,
                    DeviceError.BAD_PACKET,
                    Mux(refused, DeviceError.NO_PROGRAM, DeviceError.NONE),
                )
            ),
            self.flush.eq(left != 0),
            self.busy.eq(~idle | self.flush),
        ]
        with m.If(self.abort):
            m.d.sync += left.eq(self.flush_cycles)
        with m.Elif(self.flush):
            m.d.sync += left.eq(left - 1)
        with m.If(~idle & self.waiting):
            m.d.sync += self.wait_cycles.eq(self.wait_cycles + 1)
        with m.Elif(~idle):
            m.d.sync += self.cycles.eq(self.cycles + 1)

        @contextmanager
        def state(name: str) -> Iterator[None]:
            with m.State(name):
                yield
                with m.If(self.abort):
                    m.next = "IDLE"

        with m.FSM():
            with state("IDLE"):
                m.d.comb += idle.eq(1)
                m.d.sync += self.layer.eq(0)
                with m.If(self.run & ~self.flush):
                    m.d.sync += [done.eq(0), refused.eq(~runnable)]
                    with m.If(runnable):
                        m.d.sync += [self.cycles.eq(0), self.wait_cycles.eq(0)]
                        m.next = "START_INPUT"
            with state("START_INPUT"):
                m.d.comb += [self.formatter_start.eq(1), self.receiving.eq(1)]
                m.next = "INPUT"
            with state("INPUT"):
                m.d.comb += self.receiving.eq(1)
                with m.If(self.formatter_done):
                    m.next = "START_LAYER"
            with state("FETCH_ROW"):
                m.next = "START_LAYER"
            with state("START_LAYER"):
                m.d.comb += self.layer_start.eq(1)
                m.next = "LAYER"
            with state("LAYER"), m.If(self.layer_done):
                with m.If(self.layer == self.layers - 1):
                    # The first row is fetched while idle: a block may follow at once.
                    m.d.sync += [done.eq(1), self.layer.eq(0)]
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += self.layer.eq(self.layer + 1)
                    m.next = "FETCH_ROW"
        with m.If(self.abort):  # also in the cycle in which the block ends
            m.d.sync += [done.eq(0), refused.eq(0)]
        return m
