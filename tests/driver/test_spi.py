# SPDX-License-Identifier: Apache-2.0
"""SPI buses that cannot be opened, what is asked of the kernel, and frames out of exchanges."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from xnorflow.driver import spidev
from xnorflow.driver.errors import DeviceTimeout, LinkError
from xnorflow.driver.link import Link
from xnorflow.driver.spi import SpiPort
from xnorflow.driver.spidev import MESSAGE, MOST_BYTES, SpidevBus, Transfer
from xnorflow.driver.transport import open_transport

HEADER = Path("/usr/include/linux/spi/spidev.h")


class Bus:
    """Says the same whatever it is told; its time passes with the bytes."""

    name = "a bus"
    byte_seconds = 1e-5

    def __init__(self, *says: bytes) -> None:
        self.says = list(says)
        self.exchanged: list[int] = []
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def transfer(self, data: bytes) -> bytes:
        self.time += 5e-3
        self.exchanged.append(len(data))
        says = self.says.pop(0) if self.says else b""
        return says.ljust(len(data), b"\0")[: len(data)]

    def close(self) -> None:
        pass


def test_what_comes_while_something_is_sent_is_kept() -> None:
    """Frames cut anywhere by the exchanges; zeros between them are nobody's."""
    bus = Bus(b"\0\0\0ab", b"c\0\0\0d", b"", b"\0\0" + b"e" * 30, b"f\0")
    port = SpiPort(bus)
    port.write(bytes(5))
    port.write(bytes(5))
    assert port.read(0.0) == b"abc\0d"
    came = b""
    while not came.endswith(b"f\0"):
        came += port.read(1.0)
    assert came == b"\0" + b"e" * 30 + b"f\0"
    assert port.read(0.02) == b""


def test_long_data_go_in_parts() -> None:
    bus = Bus()
    SpiPort(bus).write(bytes(MOST_BYTES + 7))
    assert bus.exchanged == [MOST_BYTES, 7]


@pytest.mark.parametrize(
    ("level", "message"),
    [
        (
            b"\0",
            "no device answers; check that the bitstream is loaded, that this is the right bus",
        ),
        (b"\xff", "too noisy, or its speed is wrong: 0 good.*at most an eighth of the device"),
        (b"\x55\x00", "too noisy, .*and that mosi and miso are not swapped"),
    ],
)
def test_a_bus_without_a_device(level: bytes, message: str) -> None:
    bus = Bus(*[level * 400] * 20_000)
    link = Link(SpiPort(bus))
    with pytest.raises(DeviceTimeout, match=message), link.using():
        pass


def test_the_kernels_numbers(tmp_path: Path) -> None:
    """Structure and requests are those of the header, where there is one."""
    if not HEADER.exists() or shutil.which("g++") is None:
        pytest.skip("no g++, or no Linux headers")
    names = {
        "SPI_IOC_MESSAGE(1)": spidev.MESSAGE,
        "SPI_IOC_WR_MODE": spidev.WRITE_MODE,
        "SPI_IOC_WR_BITS_PER_WORD": spidev.WRITE_BITS,
        "SPI_IOC_WR_MAX_SPEED_HZ": spidev.WRITE_SPEED,
        "sizeof(spi_ioc_transfer)": ctypes.sizeof(Transfer),
    }
    for field in Transfer._fields_:
        names[f"offsetof(spi_ioc_transfer, {field[0]})"] = getattr(Transfer, field[0]).offset
    checks = "".join(f"static_assert({name} == {value}ul);\n" for name, value in names.items())
    source = tmp_path / "check.cpp"
    source.write_text(
        f"#include <cstddef>\n#include <{HEADER.relative_to('/usr/include')}>\n{checks}"
    )
    subprocess.run(["g++", "-std=c++17", "-fsyntax-only", source], check=True)


class Kernel:
    """Answers in place of the kernel: what is sent comes back inverted."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bytes]] = []
        self.fails: int | None = None

    def ioctl(self, file: int, request: int, argument: Any) -> int:
        if self.fails is not None:
            raise OSError(self.fails, os.strerror(self.fails))
        if request == MESSAGE:
            sent = ctypes.string_at(argument.tx_buf, argument.len)
            inverted = bytes(byte ^ 255 for byte in sent)
            ctypes.memmove(argument.rx_buf, inverted, argument.len)
        else:
            self.asked.append((request, bytes(argument)))
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    return kernel


def test_a_bus_of_linux(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "spidev0.0"
    path.write_text("")
    bus = SpidevBus(str(path), hz=2_500_000)
    assert kernel.asked == [
        (spidev.WRITE_MODE, b"\0"),
        (spidev.WRITE_BITS, b"\x08"),
        (spidev.WRITE_SPEED, (2_500_000).to_bytes(4, "little")),
    ]
    assert bus.transfer(b"\x00\x0f\xff\0") == b"\xff\xf0\x00\xff"
    assert bus.byte_seconds == pytest.approx(3.2e-6)
    kernel.fails = errno.ESHUTDOWN
    with pytest.raises(LinkError, match=f"{path} takes no bytes"):
        bus.transfer(b"a")
    bus.close()
    bus.close()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EINVAL, "cannot be opened in mode 0 at 5 Hz: Invalid argument"),
        (errno.EACCES, "may not be opened: no permission; join its group"),
        (errno.EBUSY, "is busy: another program uses it"),
    ],
)
def test_a_bus_that_refuses(kernel: Kernel, tmp_path: Path, number: int, message: str) -> None:
    path = tmp_path / "spidev0.0"
    path.write_text("")
    kernel.fails = number
    with pytest.raises(LinkError, match=message):
        SpidevBus(str(path), hz=5)


def test_a_bus_that_is_not_there_or_none(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"There is no SPI bus /dev/spidev77\.7; there is "):
        open_transport("spi:/dev/spidev77.7")
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(LinkError, match="is no SPI bus"):
        open_transport(f"spi:{path}")


@pytest.mark.parametrize("address", ["", "?hz=5", "/dev/x?hz=fast", "/dev/x?baud=1", "/dev/x?hz=0"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="written spi:PATH or spi:PATH"):
        open_transport(f"spi:{address}")


def test_options_of_the_simulator_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no trace"):
        open_transport("spi:/dev/x", trace="a.vcd")
