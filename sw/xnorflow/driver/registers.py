# SPDX-License-Identifier: Apache-2.0
"""The device's registers by name, and what a device says about itself."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import (
    INTERFACE_VERSION,
    MAGIC,
    REGISTERS,
    Command,
    DeviceError,
    Status,
)
from xnorflow.driver.errors import DeviceFault, DeviceMismatch
from xnorflow.driver.transport import Transport

__all__ = ["DeviceInfo", "RegisterFile", "geometry_difference"]

_ERROR_TEXT = {
    DeviceError.NONE: "no reason given",
    DeviceError.BAD_PACKET: "a configuration packet with an unknown target, column or address",
    DeviceError.NO_PROGRAM: "a run without a program, or with 0 images or too many",
}
_BYTES = {
    "shape": ("streams", "taps", "columns", "word_width"),
    "widths": ("max_lanes", "accumulator_width", "scale_width", "popcount_levels"),
}
_DEPTHS = tuple(name for name in REGISTERS if name.endswith("_depth"))


def geometry_difference(ours: Geometry, theirs: Geometry) -> str:
    """Fields in which two geometries differ, as ``columns 8, not 4``; empty if they are equal."""
    return ", ".join(
        f"{field.name} {getattr(theirs, field.name)}, not {getattr(ours, field.name)}"
        for field in fields(Geometry)
        if getattr(ours, field.name) != getattr(theirs, field.name)
    )


class RegisterFile:
    """Named access to the registers of core/registers.py."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def read(self, name: str) -> int:
        """Value of a register."""
        return self._transport.read_register(REGISTERS[name].index)

    def write(self, name: str, value: int) -> None:
        """Write a register; ValueError if it is read-only."""
        if REGISTERS[name].access != "rw":
            raise ValueError(f"Register {name!r} is read-only")
        self._transport.write_register(REGISTERS[name].index, value)

    def command(self, command: Command) -> None:
        """Give a command."""
        self.write("command", int(command))

    def status(self) -> Status:
        """The status bits."""
        return Status(self.read("status") & sum(Status))

    def check(self, doing: str) -> Status:
        """The status bits; DeviceFault if the device reports an error."""
        status = self.status()
        if Status.ERROR in status:
            raise self.fault(doing)
        return status

    def fault(self, doing: str) -> DeviceFault:
        """The exception for what the ``error`` register holds."""
        code = self.read("error")
        if code not in set(DeviceError):
            return DeviceFault(f"{self._transport.name}: unknown error {code} while {doing}")
        error = DeviceError(code)
        return DeviceFault(
            f"{self._transport.name}: error {error.name} while {doing}: {_ERROR_TEXT[error]}", error
        )


@dataclass(frozen=True)
class DeviceInfo:
    """What a device reports about itself.

    Parameters
    ----------
    name : str
        The device in words.
    version : int
        Its interface version.
    build_hash : int
        First 32 bits of its design's hash.
    geometry : Geometry
        Shape and memory sizes; without limits, of which it reports only
    limits : int
        their hash (``Geometry.limits_hash``).
    """

    name: str
    version: int
    build_hash: int
    geometry: Geometry
    limits: int = 0

    @classmethod
    def read(cls, transport: Transport) -> DeviceInfo:
        """Read and check a device.

        Raises
        ------
        DeviceMismatch
            If magic, version or build hash are not what this driver expects, or if the geometry
            that the device reports cannot be.
        """
        registers = RegisterFile(transport)
        magic = registers.read("magic")
        if magic != MAGIC:
            raise DeviceMismatch(
                f"{transport.name}: register 0 holds 0x{magic:08x}, an xnorflow device has "
                f"0x{MAGIC:08x} there: another design is loaded, or the link is disturbed"
            )
        version = registers.read("version")
        if version != INTERFACE_VERSION:
            raise DeviceMismatch(
                f"{transport.name}: interface version {version}, this driver speaks "
                f"{INTERFACE_VERSION}; build the device and install xnorflow from the same release"
            )
        build_hash = registers.read("build_hash")
        expected = transport.expected_build_hash
        if expected is not None and build_hash != expected:
            raise DeviceMismatch(
                f"{transport.name}: build hash 0x{build_hash:08x}, but 0x{expected:08x} was "
                "expected: the device was built from other sources; build or load it again"
            )
        return cls(
            transport.name, version, build_hash, cls._geometry(registers, transport.name),
            registers.read("limits"),
        )  # fmt: skip

    @staticmethod
    def _geometry(registers: RegisterFile, name: str) -> Geometry:
        values: dict[str, Any] = {depth: registers.read(depth) for depth in _DEPTHS}
        for register, names in _BYTES.items():
            packed = registers.read(register).to_bytes(4, "little")
            values |= dict(zip(names, packed, strict=False))
        word = registers.read("pixels_and_bus")
        values |= {"pixels": word & 0xFFFF, "weight_bus": word >> 16}
        try:
            return Geometry(**values)
        except ValueError as error:
            raise DeviceMismatch(
                f"{name}: its registers describe no possible geometry ({error}); "
                "the device or the link is damaged"
            ) from error

    def within(self, geometry: Geometry) -> DeviceInfo:
        """The same device, with ``geometry``'s limits if they are those that it is made for.

        Raises
        ------
        DeviceMismatch
            If the limits are others.
        """
        if geometry.limits_hash == self.limits:
            return replace(self, geometry=replace(self.geometry, limits=geometry.limits))
        if not self.limits:
            raise DeviceMismatch(
                f"{self.name} takes any program, but {geometry} is a geometry with limits; "
                f"use {self.geometry}"
            )
        raise DeviceMismatch(
            f"{self.name} is made for programs within limits, whose hash is 0x{self.limits:08x}, "
            f"not 0x{geometry.limits_hash:08x} as in {geometry}; name the geometry in the manifest "
            "of its bitstream"
        )

    def require(self, geometry: Geometry, what: str) -> None:
        """DeviceMismatch unless the device has ``geometry``; ``what`` names who needs it."""
        if geometry != self.geometry:
            raise DeviceMismatch(
                f"{what} needs the geometry {geometry}, but {self.name} is {self.geometry} "
                f"({geometry_difference(geometry, self.geometry)}); "
                "compile for the device's geometry, or open a device of the other"
            )
