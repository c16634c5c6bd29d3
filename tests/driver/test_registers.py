# SPDX-License-Identifier: Apache-2.0
"""What the driver reads from a device, against what the gateware puts there."""

from dataclasses import fields, replace

import pytest
from tests.driver.fakes import GEOMETRY, FakeDevice

from xnorflow.core.geometry import Geometry
from xnorflow.core.registers import REGISTERS
from xnorflow.driver.errors import DeviceMismatch
from xnorflow.driver.registers import DeviceInfo, RegisterFile, geometry_difference
from xnorflow.gateware.registers import constant_values


@pytest.mark.parametrize(
    "text",
    [
        "2x1x2x8",
        "8x8x128x64,activation_depth=1048576,weight_depth=1048576,accumulator_width=32",
        "3x3x8x32,popcount_levels=1,max_lanes=1,scale_width=8,layer_depth=256,scale_depth=4096,pool_depth=16",
        "3x3x16x64,pixels=4,weight_bus=512",
    ],
)
def test_the_driver_reads_what_the_gateware_states(text):
    fake = FakeDevice()
    fake.values |= constant_values(Geometry.parse(text), 0xDEADBEEF)
    info = DeviceInfo.read(fake)
    assert info.geometry == Geometry.parse(text)
    assert info.build_hash == 0xDEADBEEF
    assert info.name == "fake device"


def test_every_field_of_a_geometry_is_read():
    """A geometry that differs in any one field is seen as another."""
    for field in fields(Geometry)[:-1]:  # of limits only the hash
        value = getattr(GEOMETRY, field.name)
        other = replace(GEOMETRY, **{field.name: {1: 2, 16: 32}.get(value, value - 1)})
        info = DeviceInfo.read(FakeDevice(other))
        assert info.geometry == other
        assert geometry_difference(GEOMETRY, other).startswith(f"{field.name} ")
    assert geometry_difference(GEOMETRY, GEOMETRY) == ""


@pytest.mark.parametrize(
    "name", ["magic", "version", "shape", "widths", "pool_depth", "pixels_and_bus"]
)
def test_a_wrong_constant_is_refused(name):
    fake = FakeDevice()
    fake.values[name] = 0
    with pytest.raises(DeviceMismatch, match="fake device"):
        DeviceInfo.read(fake)


def test_only_writable_registers_are_written():
    registers = RegisterFile(FakeDevice())
    registers.write("images", 3)
    assert registers.read("images") == 3
    for register in REGISTERS.values():
        if register.access == "r":
            with pytest.raises(ValueError, match="read-only"):
                registers.write(register.name, 1)
