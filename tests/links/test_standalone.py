# SPDX-License-Identifier: Apache-2.0
"""A simulated board that has a network from the start, through its two pins, without a host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from tests.system.test_baked import FLAT, fully_connected

from xnorflow.compile.bake import bake
from xnorflow.compile.program import compile_network
from xnorflow.core.answer import Answer
from xnorflow.core.registers import REGISTERS, Command
from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.link import Link
from xnorflow.driver.link_transport import LinkTransport
from xnorflow.flat.accelerator import FlatAccelerator
from xnorflow.gateware.verilog import convert
from xnorflow.golden.model import GoldenNetwork
from xnorflow.links.standalone import BUFFER_BYTES, Standalone
from xnorflow.links.uart import UartDevice
from xnorflow.simulation.uart import (
    DIVISOR,
    TOP,
    SimulatedBoard,
    SimulatedLine,
    UartModel,
    build_uart,
)
from xnorflow.zoo.catalog import sample

BYTE = 10 * DIVISOR
"""Cycles."""
GAP_BYTES = 100
IMAGE_BYTES = 784
NETWORK = fully_connected(3)
IMAGES = sample("mnist")[0][:16]
CLASSES = [f"{each}\n".encode() for each in GoldenNetwork(NETWORK)(IMAGES).logits.argmax(axis=1)]
SLACK = 20_000
"""Cycles that an image takes behind its last byte, and more."""


@pytest.fixture(scope="module")
def model() -> UartModel:
    baked = bake(NETWORK, FLAT)
    device = FlatAccelerator(FLAT, contents=baked.contents)
    top = UartDevice(device, divisor=DIVISOR, answer=baked.answer, gap_bytes=GAP_BYTES)
    return build_uart(convert(top, TOP), DIVISOR, "a network without a host")


@pytest.fixture
def board(model: UartModel) -> Iterator[SimulatedBoard]:
    board = SimulatedBoard(model)
    yield board
    board.close()


def say(board: SimulatedBoard, data: bytes, cycles: int = SLACK) -> bytes:
    """What the board answers to bytes that follow each other without a pause."""
    board.send(data)
    board.run(len(data) * BYTE + cycles)
    return board.take()


def image(index: int) -> bytes:
    return IMAGES[index].tobytes()


def test_images_differ() -> None:
    assert len(set(CLASSES)) > 3


def test_images_one_by_one_and_in_a_row(board: SimulatedBoard) -> None:
    for index in range(3):
        assert say(board, image(index)) == CLASSES[index]
        board.run(2 * GAP_BYTES * BYTE)  # a pause between images means nothing
    assert say(board, IMAGES[3:].tobytes()) == b"".join(CLASSES[3:])


def test_a_pause_in_an_image_discards_it(board: SimulatedBoard) -> None:
    for cut in (1, 300, IMAGE_BYTES - 1):
        assert say(board, image(0)[:cut], GAP_BYTES * BYTE + SLACK) == b"?\n"
        assert say(board, image(1)) == CLASSES[1]


def test_a_short_pause_is_none(board: SimulatedBoard) -> None:
    assert say(board, image(0)[:300], (GAP_BYTES - 10) * BYTE) == b""
    assert say(board, image(0)[300:]) == CLASSES[0]


def test_a_byte_too_many_spoils_the_image_that_it_begins(board: SimulatedBoard) -> None:
    assert say(board, image(0) + b"x", GAP_BYTES * BYTE + SLACK) == CLASSES[0] + b"?\n"
    assert say(board, image(1)) == CLASSES[1]


def test_the_buffer_holds_what_comes_while_an_image_is_computed(board: SimulatedBoard) -> None:
    assert say(board, image(0) * 3) == CLASSES[0] * 3
    assert BUFFER_BYTES * BYTE >= SLACK


def test_a_damaged_byte_discards_the_image(board: SimulatedBoard) -> None:
    """Spikes of a cycle are outvoted; many of them damage bytes, or make one of nothing."""
    board.set_spikes(5, 0.2)
    board.send(image(0))
    board.run(IMAGE_BYTES * BYTE)
    board.set_spikes(5, 0.0)
    board.run(GAP_BYTES * BYTE + SLACK)
    assert board.take().endswith(b"?\n")
    assert say(board, image(1)) == CLASSES[1]


def test_a_reset_leaves_the_network(board: SimulatedBoard) -> None:
    board.send(image(0))
    board.run(300 * BYTE)
    board.reset()
    board.run(2 * IMAGE_BYTES * BYTE)
    board.take()
    board.run(GAP_BYTES * BYTE + SLACK)
    board.take()
    assert say(board, image(1)) == CLASSES[1]


def test_a_host_takes_over(board: SimulatedBoard) -> None:
    """In the middle of an image, too; with the baked network, then with another one."""
    board.send(image(0)[:200])
    board.run(250 * BYTE)
    transport = LinkTransport(Link(SimulatedLine(board)))
    with Accelerator(transport, geometry=FLAT) as device:
        device.adopt(compile_network(NETWORK, FLAT))
        assert (device.run(IMAGES).logits == GoldenNetwork(NETWORK)(IMAGES).logits).all()
        other = fully_connected(4)
        device.load(other)
        assert (device.run(IMAGES).logits == GoldenNetwork(other)(IMAGES).logits).all()
        board.reset()  # the other network stays: nothing is answered without a host
        board.take()
        assert say(board, image(1), GAP_BYTES * BYTE + SLACK) == b""


def test_a_reset_after_a_host_that_loaded_nothing(board: SimulatedBoard) -> None:
    with Accelerator(LinkTransport(Link(SimulatedLine(board))), geometry=FLAT) as device:
        assert say(board, image(1), GAP_BYTES * BYTE + SLACK) == b""
        board.reset()
        board.take()
        assert say(board, image(1)) == CLASSES[1]
        assert device.geometry == FLAT


def test_the_answer_is_the_models(model: UartModel) -> None:
    baked = bake(NETWORK, FLAT)
    assert baked.answer is not None
    golden = GoldenNetwork(NETWORK)(IMAGES)
    accumulators = golden.accumulators.reshape(len(IMAGES), -1)
    assert (baked.answer.classes(accumulators) == golden.logits.argmax(axis=1)).all()
    assert np.unique(golden.logits, axis=0).shape[0] > 1


def test_more_bytes_than_the_buffer_holds_discard_the_image() -> None:
    """A device that takes none: the image is aborted, and the pause answered."""
    answer = Answer(image_bytes=BUFFER_BYTES + 100, scale=(1, 1), bias=(0, 0), names=("a", "b"))
    dut = Standalone(answer, accumulator_width=8, gap_cycles=50)
    writes, said = [], bytearray()

    async def line(context: Any) -> None:
        context.set(dut.line.ready, 1)
        for cycle in range(answer.image_bytes + 200):
            context.set(dut.strobe, cycle < answer.image_bytes)
            if context.get(dut.reg_write):
                name = {r.index: r.name for r in REGISTERS.values()}[context.get(dut.reg_address)]
                writes.append((name, context.get(dut.reg_write_data)))
            if context.get(dut.line.valid):
                said.append(context.get(dut.line.payload))
            await context.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(line)
    simulator.run()
    run, abort = ("command", Command.RUN), ("command", Command.ABORT)
    assert writes == [("images", 1), run, abort, run]
    assert bytes(said) == b"?\n"
