# SPDX-License-Identifier: Apache-2.0
"""Serial ports that cannot be opened, and a line on which nobody answers sense."""

from __future__ import annotations

import os
import tty
from pathlib import Path

import pytest

from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.errors import DeviceTimeout, LinkError
from xnorflow.driver.link import Link
from xnorflow.driver.transport import open_transport
from xnorflow.driver.uart import UartPort


class Port:
    """A line whose time passes at once; it says the same whenever it is listened to."""

    name = "a port"
    advice = "that it is a port"
    byte_seconds = 1e-5

    def __init__(self, says: bytes) -> None:
        self.says = says
        self.time = 0.0
        self.closed = 0

    def now(self) -> float:
        return self.time

    def write(self, data: bytes) -> None:
        pass

    def read(self, timeout: float) -> bytes:
        self.time += max(timeout, 1e-3)
        return self.says

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (b"", "no device answers; check that the bitstream is loaded, that it is a port"),
        (b"\x55\xaa\x00", "too noisy, or its speed is wrong: 0 good and [0-9]+ damaged"),
        (
            b"\xff" * 40,
            "too noisy, or its speed is wrong: .* check cable and ground, that it is a port",
        ),
    ],
)
def test_a_line_without_a_device(says: bytes, message: str) -> None:
    link = Link(Port(says))
    with pytest.raises(DeviceTimeout, match=message), link.using():
        pass
    assert link.session is None


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(LinkError, match="There is no port /dev/ttyNone; there is"):
        Accelerator.open("uart:/dev/ttyNone")


def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(LinkError, match="is no serial port"):
        UartPort(str(path))


def test_a_port_has_one_user_and_may_vanish() -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    port = UartPort(os.ttyname(theirs))
    with pytest.raises(LinkError, match="is busy: another program uses it"):
        UartPort(os.ttyname(theirs))
    port.write(b"abc")
    assert os.read(ours, 10) == b"abc"
    os.write(ours, b"xyz")
    assert port.read(1.0) == b"xyz"
    os.close(theirs)
    os.close(ours)
    with pytest.raises(LinkError, match="is gone"):
        port.read(1.0)
    port.close()
    port.close()


@pytest.mark.parametrize(
    "address", ["", "?baud=5", "/dev/x?baud=fast", "/dev/x?speed=1", "/dev/x?baud=0"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="written uart:PATH or uart:PATH"):
        open_transport(f"uart:{address}")


def test_options_of_the_simulator_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no trace"):
        open_transport("uart:/dev/x", trace="a.vcd")
