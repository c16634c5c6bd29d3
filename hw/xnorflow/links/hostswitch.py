# SPDX-License-Identifier: Apache-2.0
"""Who drives a device that has a network from the start: a host's link, or bytes of images."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from xnorflow.gateware.accelerator import host_ports
from xnorflow.links.standalone import Standalone

__all__ = ["HostSwitch"]


class HostSwitch(wiring.Component):
    """What the link takes for its device and its line: the real ones, once a host has come.

    Once a host has sent configuration, another network may be loaded, which a reset leaves in the
    memories: then the link keeps the device even through a reset.

    Parameters
    ----------
    standalone : Standalone
        Has the device and the line until then.
    device : Component
        Has the accelerator's registers and streams; driven from here.
    line : stream.Interface
        Takes bytes for the line; driven from here.

    Members
    -------
    reg_address, reg_write, reg_write_data, reg_read_data, config, pixels, results
        As of the accelerator.
    host_line : In(stream)
        The link's bytes for the line.
    opened : In(1)
        A session was opened since the reset.
    """

    def __init__(self, standalone: Standalone, device: Any, line: Any) -> None:
        self.standalone = standalone
        self.device = device
        self.line = line
        super().__init__(
            host_ports()
            | {
                "host_line": In(stream.Signature(8)),
                "opened": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        standalone, device = self.standalone, self.device
        host, configured = Signal(), Signal(reset_less=True)
        m.d.comb += [
            host.eq(self.opened | configured),
            standalone.leave.eq(host),
            self.reg_read_data.eq(device.reg_read_data),
        ]
        with m.If(self.config.valid & self.config.ready):
            m.d.sync += configured.eq(1)
        # What the standalone still writes after a host has come is its abort.
        for name in ("reg_address", "reg_write", "reg_write_data"):
            m.d.comb += getattr(device, name).eq(
                Mux(
                    host & ~standalone.reg_write,
                    getattr(self, name),
                    getattr(standalone, name),
                )
            )
        wiring.connect(m, wiring.flipped(self.config), device.config)
        for ours, theirs, out in (
            (self.pixels, standalone.pixels, device.pixels),
            (self.host_line, standalone.line, self.line),
        ):
            m.d.comb += [
                out.valid.eq(Mux(host, ours.valid, theirs.valid)),
                out.payload.eq(Mux(host, ours.payload, theirs.payload)),
                ours.ready.eq(out.ready & host),
                theirs.ready.eq(out.ready & ~host),
            ]
        results = device.results
        m.d.comb += [
            self.results.payload.eq(results.payload),
            self.results.valid.eq(results.valid & host),
            standalone.results.payload.eq(results.payload),
            standalone.results.valid.eq(results.valid & ~host),
            results.ready.eq(Mux(host, self.results.ready, standalone.results.ready)),
        ]
        return m
