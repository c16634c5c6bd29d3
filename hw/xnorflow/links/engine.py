# SPDX-License-Identifier: Apache-2.0
"""The device's end of the link: requests in, one answer each out, every effect exactly once."""

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from xnorflow.core.link import (
    ANSWER_HEAD,
    ARGUMENT_BYTES,
    CHECK_BYTES,
    MAX_WORDS,
    REQUEST_HEAD,
    LinkLimits,
    Opcode,
    Status,
)
from xnorflow.gateware.results import result_layout
from xnorflow.links.inbox import Inbox
from xnorflow.links.outbox import Outbox
from xnorflow.links.receiver import FrameReceiver
from xnorflow.links.sender import FrameSender

__all__ = ["LinkEngine"]

_CONTROL_BYTES = REQUEST_HEAD + ARGUMENT_BYTES + CHECK_BYTES


class LinkEngine(wiring.Component):
    """Frames of core/link.py on one side, the accelerator's ports on the other.

    A request is done when its frame has ended, its CRC is right, its session is ours and its
    number is the expected one; in every other case it has no effect. Data wait in the inbox and
    results in the outbox, so no request ever waits for a stream.

    Parameters
    ----------
    limits : LinkLimits
        Sizes of the buffers.

    Members
    -------
    byte, strobe : In
        A byte of the line in a cycle with ``strobe``; as :class:`FrameReceiver` takes it.
    damaged : In(1)
        Something came that was no byte.
    line : Out(stream)
        Bytes for the line.
    opened : Out(1)
        A host has come: a session was opened since the reset.
    reg_address, reg_write, reg_write_data, reg_read_data
        To the accelerator's register bus.
    config, pixels : Out(stream)
    results : In(stream)
        To the accelerator's streams.

    Timing
    ------
    An answer is ready ``answer_cycles`` after its request's delimiter at the latest. A request
    that ends earlier than that after the one before, or for whose answer there is no room, gets
    none and has no effect; on a line whose bytes are ``byte_cycles`` apart or more, none ends
    earlier.
    """

    answer_cycles = FrameSender.frame_cycles(ANSWER_HEAD + 4 * MAX_WORDS + 1) + 2 * MAX_WORDS + 5
    byte_cycles = -(-answer_cycles // (REQUEST_HEAD + CHECK_BYTES + 2))

    def __init__(self, limits: LinkLimits | None = None) -> None:
        self.limits = limits or LinkLimits()
        super().__init__(
            {
                "byte": In(8),
                "strobe": In(1),
                "damaged": In(1),
                "line": Out(stream.Signature(8)),
                "opened": Out(1),
                "reg_address": Out(8),
                "reg_write": Out(1),
                "reg_write_data": Out(32),
                "reg_read_data": In(32),
                "config": Out(stream.Signature(32)),
                "pixels": Out(stream.Signature(8)),
                "results": In(stream.Signature(result_layout)),
            }
        )

    def connect(
        self,
        m: Module,
        receiver: wiring.Component,
        line: stream.Interface,
        device: wiring.Component,
    ) -> None:
        """Join both sides, in the module ``m`` that holds all of them.

        Parameters
        ----------
        m : Module
        receiver : Component
            Gives ``byte``, ``strobe`` and ``damaged``.
        line : stream.Interface
            Takes bytes for the line.
        device : Component
            Has the accelerator's registers and streams.
        """
        wiring.connect(m, self.line, line)
        m.d.comb += [
            self.byte.eq(receiver.byte),
            self.strobe.eq(receiver.strobe),
            self.damaged.eq(receiver.damaged),
            device.reg_address.eq(self.reg_address),
            device.reg_write.eq(self.reg_write),
            device.reg_write_data.eq(self.reg_write_data),
            self.reg_read_data.eq(device.reg_read_data),
        ]
        wiring.connect(m, self.config, device.config)
        wiring.connect(m, self.pixels, device.pixels)
        wiring.connect(m, device.results, self.results)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender(depth=self.limits.send_depth)
        m.submodules.inbox = inbox = Inbox(depth=self.limits.data_depth)
        m.submodules.outbox = outbox = Outbox(depth=self.limits.result_depth)
        m.d.comb += [
            receiver.byte.eq(self.byte),
            receiver.strobe.eq(self.strobe),
            receiver.damaged.eq(self.damaged),
        ]
        wiring.connect(m, wiring.flipped(self.line), sender.line)
        wiring.connect(m, wiring.flipped(self.config), inbox.config)
        wiring.connect(m, wiring.flipped(self.pixels), inbox.pixels)
        wiring.connect(m, wiring.flipped(self.results), outbox.results)

        # The end of a frame, from registers: what it is made of is a long way already.
        ending, good = Signal(), Signal()
        m.d.sync += [ending.eq(receiver.end), good.eq(receiver.good)]

        # The request, as its bytes come.
        session, sequence, opcode = head = [
            Signal(8, name=name) for name in ("session", "sequence", "opcode")
        ]
        first, rest = Signal(8), Signal(32)
        position = Signal(4)  # bytes that came; 15 stands for more
        with m.If(receiver.valid):
            with m.Switch(position):
                for place, field in enumerate((*head, first)):
                    with m.Case(place):
                        m.d.sync += field.eq(receiver.data)
                with m.Case(*range(REQUEST_HEAD + 1, REQUEST_HEAD + ARGUMENT_BYTES)):
                    m.d.sync += rest.eq(Cat(rest[8:], receiver.data))
            with m.If(position != 15):
                m.d.sync += position.eq(position + 1)
        with m.If(ending):
            m.d.sync += position.eq(0)

        # Cycle 0, behind that of its delimiter: what becomes of it.
        ours, opened, expected = Signal(8), self.opened, Signal(8)
        answering, whole, control, known, formed = (
            Signal(name=name) for name in ("answering", "whole", "control", "known", "formed")
        )
        status = Signal(Status)
        done = Signal()  # it is sequenced and has its effect
        opens = Signal()  # a new session begins
        m.d.comb += [
            whole.eq(
                ending & good & ~answering & sender.room
                & (position >= REQUEST_HEAD + CHECK_BYTES)
            ),
            control.eq(position == _CONTROL_BYTES),
            known.eq(opened & (session == ours)),
        ]  # fmt: skip
        with m.Switch(opcode):
            with m.Case(Opcode.READ, Opcode.WRITE, Opcode.TAKE, Opcode.FLUSH):
                m.d.comb += formed.eq(control)
            with m.Case(Opcode.CONFIG):
                m.d.comb += formed.eq(inbox.whole)
            with m.Case(Opcode.PIXELS):
                m.d.comb += formed.eq(1)
        with m.If(control & (opcode == Opcode.HELLO)):
            m.d.comb += [status.eq(Status.DONE), opens.eq(whole & ~known)]
        with m.Elif(~known):
            m.d.comb += status.eq(Status.NO_SESSION)
        with m.Elif(control & (opcode == Opcode.SYNC)):
            m.d.comb += status.eq(Status.DONE)
        with m.Elif(sequence != expected):
            m.d.comb += status.eq(Status.UNEXPECTED)
        with m.Elif(~formed):
            m.d.comb += status.eq(Status.MALFORMED)
        with m.Elif(_is_data(opcode) & ~inbox.fits):
            m.d.comb += status.eq(Status.FULL)
        with m.Else():
            m.d.comb += [status.eq(Status.DONE), done.eq(whole)]
        with m.If(done):
            m.d.sync += expected.eq(expected + 1)
        with m.If(opens):
            m.d.sync += [ours.eq(session), opened.eq(1), expected.eq(0)]

        # Cycle 1: effects. Cycle 2: the inbox forgets what was not kept.
        ended, clear = Signal(), Signal()
        m.d.sync += [
            ended.eq(ending),
            inbox.begin.eq(ended),
            inbox.keep.eq(done & _is_data(opcode)),
            self.reg_write.eq(done & (opcode == Opcode.WRITE)),
            outbox.take.eq(done & (opcode == Opcode.TAKE)),
            clear.eq(opens | (done & (opcode == Opcode.FLUSH))),
        ]
        m.d.comb += [
            inbox.data.eq(receiver.data),
            inbox.write.eq(receiver.valid & (position >= REQUEST_HEAD)),
            inbox.keep_config.eq(opcode == Opcode.CONFIG),
            inbox.clear.eq(clear),
            outbox.clear.eq(clear),
            outbox.confirmed.eq(rest[:16]),
            outbox.at.eq(rest[16:]),
            self.reg_address.eq(first),
            self.reg_write_data.eq(rest),
        ]

        # The answer. Its head is the request's, whose fields stay until the next request's come;
        # its words may go later, so what they are is kept.
        took = Signal(Status)
        left = Signal(range(MAX_WORDS + 1))  # words that may still go
        value, last = Signal(32), Signal()
        index = Signal(3)
        takes, greets = Signal(), Signal()
        credit = Signal(8)
        frame = sender.frame
        with m.FSM() as answer:
            with m.State("idle"):
                m.d.sync += [
                    took.eq(status),
                    takes.eq(opcode == Opcode.TAKE),
                    greets.eq(opcode == Opcode.HELLO),
                    last.eq(0),
                    left.eq(0),
                    index.eq(0),
                ]
                with m.If(status == Status.DONE), m.Switch(opcode):
                    with m.Case(Opcode.TAKE):
                        m.d.sync += left.eq(first)
                    with m.Case(Opcode.READ, Opcode.HELLO):
                        m.d.sync += left.eq(1)
                with m.If(whole):
                    m.next = "head"
            with m.State("head"):
                m.d.comb += frame.valid.eq(1)
                fields = (session, sequence, Cat(opcode[:4], took), expected, credit)
                with m.If(index < len(fields) - 1):  # it stays once it is offered
                    m.d.sync += credit.eq(inbox.credit)
                with m.Switch(index):
                    for place, field in enumerate(fields):
                        with m.Case(place):
                            m.d.comb += frame.payload.byte.eq(field)
                with m.If(frame.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == len(fields) - 1):
                        m.next = "next"
            with m.State("next"):
                m.d.comb += outbox.look.eq(1)
                m.next = "load"
                with m.If((left == 0) | (takes & (~outbox.some | last))):
                    m.next = "mark"
            with m.State("load"):
                # A register may change while its bytes go, a result's word does not.
                m.d.sync += [value.eq(self.reg_read_data), left.eq(left - 1), index.eq(0)]
                m.next = "word"
            with m.State("word"):
                m.d.comb += [frame.valid.eq(1), frame.payload.byte.eq(value)]
                with m.If(takes):
                    m.d.comb += frame.payload.byte.eq(outbox.word.data.word_select(index[:2], 8))
                with m.Elif(greets):
                    limits = Const(self.limits.word, 32)
                    m.d.comb += frame.payload.byte.eq(limits.word_select(index[:2], 8))
                with m.If(frame.ready):
                    m.d.sync += [value.eq(value >> 8), index.eq(index + 1)]
                    with m.If(index == 3):
                        m.d.comb += outbox.next.eq(1)
                        m.d.sync += last.eq(takes & outbox.word.last)
                        m.next = "next"
            with m.State("mark"):
                m.d.comb += [
                    frame.valid.eq(1),
                    frame.payload.byte.eq(last),
                    frame.payload.last.eq(1),
                ]
                with m.If(frame.ready):
                    m.next = "idle"
        m.d.comb += answering.eq(~answer.ongoing("idle"))
        return m


def _is_data(opcode: Value) -> Value:
    return (opcode == Opcode.CONFIG) | (opcode == Opcode.PIXELS)
