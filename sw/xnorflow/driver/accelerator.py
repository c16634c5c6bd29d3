# SPDX-License-Identifier: Apache-2.0
"""The accelerator as a Python object: numpy images in, logits out."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.epilogue import apply_epilogue
from xnorflow.core.geometry import Geometry
from xnorflow.core.images import check_images
from xnorflow.core.registers import Command, Status
from xnorflow.driver.block import Progress, run_blocks
from xnorflow.driver.errors import DeviceMismatch, DeviceTimeout, NoProgram
from xnorflow.driver.program import DeviceProgram, to_program
from xnorflow.driver.registers import DeviceInfo, RegisterFile, geometry_difference
from xnorflow.driver.result import RunResult
from xnorflow.driver.transport import RecordingTransport, Transport, open_transport

__all__ = ["Accelerator"]

ABORT_READS = 1000
"""Status reads, after an abort, until the device must be idle."""


class Accelerator:
    """One device with, at most, one loaded program.

        with Accelerator.open("sim", geometry="3x3x8x32") as device:
            device.load("mnist.safetensors")
            logits = device.infer(images)          # uint8 (N, H, W, C) -> float32 (N, classes)

    Parameters
    ----------
    transport : Transport
        The link; closed with the accelerator.
    geometry : Geometry, str or None
        If given, the device must have it.

    Raises
    ------
    DeviceMismatch
        If magic, version, build hash or geometry are not as expected.
    DeviceTimeout
        If the device does not answer.
    """

    def __init__(self, transport: Transport, *, geometry: Geometry | str | None = None) -> None:
        self.transport = transport
        self.registers = RegisterFile(transport)
        self.program: DeviceProgram | None = None
        self._resident = False
        self.info = DeviceInfo.read(transport)
        wanted = Geometry.parse(geometry) if isinstance(geometry, str) else geometry
        if wanted is not None:
            self.info = self.info.within(wanted)
        if wanted is not None and wanted != self.geometry:
            raise DeviceMismatch(
                f"{self.info.name} is {self.geometry}, but {wanted} was asked for "
                f"({geometry_difference(wanted, self.geometry)})"
            )
        if Status.BUSY in self.registers.status():
            self.abort()

    @classmethod
    def open(
        cls, device: str, *, geometry: Geometry | str | None = None, **options: Any
    ) -> Accelerator:
        """Open a device by name.

        Parameters
        ----------
        device : str
            ``"sim"``: the simulated array (needs ``geometry``); ``"uart:PATH"``: a board on a
            serial port; ``"spi:PATH"``: one on an SPI bus; others as
            ``register_transport`` made them known.
        geometry : Geometry, str or None
            Shape and memory sizes, as in ``3x3x8x32``.
        **options
            For the transport; the simulator takes those of ``open_simulation``.
        """
        if isinstance(geometry, str):
            geometry = Geometry.parse(geometry)
        transport = open_transport(device, geometry=geometry, **options)
        try:
            return cls(transport, geometry=geometry)
        except BaseException:
            transport.close()
            raise

    @property
    def geometry(self) -> Geometry:
        """The device's geometry, as its registers report it."""
        return self.info.geometry

    def load(self, source: Any) -> DeviceProgram:
        """Compile if need be, and load.

        Parameters
        ----------
        source : Artifact, str, Path or program
            A path names an artifact.

        Raises
        ------
        ValueError
            If the program was compiled for another geometry, or the network does not fit.
        DeviceFault
            If the device refuses the program.
        """
        program = self._compiled(source)
        self.program = None
        self._send_program(program)
        self.program = program
        return program

    def adopt(self, source: Any) -> DeviceProgram:
        """Take a network as the one that the device holds already: nothing is sent.

        For a network that is baked in (``xnorflow build --net``). A wrong one gives wrong results:
        the device cannot say which one it holds.

        Parameters
        ----------
        source : Artifact, str, Path or program
            As for :meth:`load`.

        Raises
        ------
        ValueError
            If the program was compiled for another geometry, or the network does not fit.
        """
        self.program = self._compiled(source)
        self._resident = True
        return self.program

    def _compiled(self, source: Any) -> DeviceProgram:
        """A program for this device."""
        program = to_program(source, self.geometry)
        self.info = self.info.within(program.geometry)
        if program.geometry != self.geometry:
            raise ValueError(
                f"The program was compiled for {program.geometry}, but {self.info.name} is "
                f"{self.geometry} ({geometry_difference(program.geometry, self.geometry)}); "
                "compile it for the device's geometry"
            )
        return program

    def _send_program(self, program: DeviceProgram) -> None:
        self.abort()
        self.transport.send_config(np.asarray(program.config, np.uint32))
        self.registers.check("loading the program")
        self._resident = True

    def abort(self) -> None:
        """Return the device to idle; the next run loads the program again.

        Raises
        ------
        DeviceTimeout
            If the device stays busy.
        """
        self._resident = False
        self.registers.command(Command.ABORT)
        for _ in range(ABORT_READS):
            if Status.BUSY not in self.registers.status():
                return
        raise DeviceTimeout(
            f"{self.info.name}: still busy {ABORT_READS} status reads after an abort; reset it"
        )

    def infer(
        self, images: npt.NDArray[np.uint8], *, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Logits (N, classes) of uint8 images (N, height, width, channels)."""
        return self.run(images, progress=progress).logits

    def classify(
        self, images: npt.NDArray[np.uint8], *, progress: Progress | None = None
    ) -> npt.NDArray[np.int64]:
        """Class indices (N,) of uint8 images (N, height, width, channels)."""
        return self.run(images, progress=progress).classes

    def run(
        self,
        images: npt.NDArray[np.uint8],
        *,
        record: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> RunResult:
        """Infer, and return counters and, if asked for, every layer's codes.

        Parameters
        ----------
        images : uint8 array (N, height, width, channels)
            Any number; they are cut into device blocks.
        record : bool
            Also return every layer's codes; needs a device that shows them (the simulator).
        progress : callable or None
            Called as ``progress(done, total)`` after every block.
        timeout : float or None
            Seconds that one block may take; None for the transport's own choice.

        Raises
        ------
        NoProgram
            If nothing is loaded.
        TypeError, ValueError
            If the images are of the wrong type or shape, or cannot be recorded.
        DeviceFault, DeviceTimeout
            If the device reports an error or does not answer; it is left idle.
        """
        if self.program is None:
            raise NoProgram("No program is loaded; call load() with an artifact first")
        program = self.program
        check_images(images, program.network)
        if record and not isinstance(self.transport, RecordingTransport):
            raise ValueError(
                f"{self.info.name} cannot record its layers' codes; use the device 'sim'"
            )
        if not self._resident:
            self._send_program(program)
        try:
            outcome = run_blocks(
                self.transport,
                program,
                images,
                record=record,
                timeout=timeout,
                progress=progress,
            )
        except BaseException:
            # A block that ended early leaves words in the streams; Ctrl-C is such an end too.
            self.abort()
            raise
        accumulators = outcome.accumulators
        return RunResult(
            logits=apply_epilogue(program.network.epilogue, program.epilogue, accumulators),
            accumulators=accumulators,
            cycles=outcome.cycles,
            wait_cycles=outcome.wait_cycles,
            blocks=outcome.blocks,
            seconds=outcome.seconds,
            useful_xnors=program.useful_xnors(len(accumulators)),
            array_xnors=outcome.cycles * self.geometry.xnors_per_cycle,
            codes=outcome.codes,
        )

    def close(self) -> None:
        """End the link; a second call does nothing."""
        self.transport.close()

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
