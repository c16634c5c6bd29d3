# SPDX-License-Identifier: Apache-2.0
"""One simulated device: a model's C interface (harness.cpp) as a Python object."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_int, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.tap import TAP_DTYPE
from xnorflow.simulation.instance import ModelInstance, Signatures
from xnorflow.simulation.model import SimulationModel

__all__ = ["Moved", "SimulatedDevice", "Stalls"]

RESET_CYCLES = 4
CHUNK_CYCLES = 4096
"""Cycles of the first call into the model; later ones aim at ``CHUNK_SECONDS``."""
CHUNK_SECONDS = 0.1
"""How long one call into the model may keep the interpreter from seeing Ctrl-C."""

_NEVER = 2**64 - 1


@dataclass(frozen=True)
class Stalls:
    """Random pauses of the host, to try a device's handshakes.

    Parameters
    ----------
    seed : int
        Every seed gives its own, repeatable pattern.
    config, pixels, results : float
        Probability, 0 <= p < 1, that a stream pauses in a cycle.

    Raises
    ------
    ValueError
        If a probability is out of its range: a stream that always pauses never ends.
    """

    seed: int
    config: float = 0.0
    pixels: float = 0.0
    results: float = 0.0

    def __post_init__(self) -> None:
        for name in ("config", "pixels", "results"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"Stalls: {name} must be a probability 0 <= p < 1, not {getattr(self, name)}"
                )

    @property
    def slowdown(self) -> float:
        """How many cycles a word takes on the slowest stream, on average."""
        return 1 / (1 - max(self.config, self.pixels, self.results))


class _Exchange(Structure):
    """Mirror of ``Exchange`` in harness.cpp."""

    _fields_ = (
        ("config", c_void_p),
        ("config_count", c_uint64),
        ("config_sent", c_uint64),
        ("pixels", c_void_p),
        ("pixel_count", c_uint64),
        ("pixels_sent", c_uint64),
        ("results", c_void_p),
        ("result_count", c_uint64),
        ("results_taken", c_uint64),
        ("first_last", c_uint64),
        ("config_offered", c_uint64),
        ("pixel_offered", c_uint64),
    )


@dataclass(frozen=True)
class Moved:
    """What one exchange moved, and in how many cycles.

    ``first_last`` is the index of the first result word that was marked last, or None.
    ``complete`` is False if cycles or time ran out, or if the result frame was wrong.
    """

    config: int
    pixels: int
    results: npt.NDArray[np.int32]
    first_last: int | None
    complete: bool
    cycles: int


_SIGNATURES: Signatures = {
    "reset": (None, (c_uint64,)),
    "read_register": (c_uint32, (c_uint32,)),
    "write_register": (None, (c_uint32, c_uint32)),
    "exchange": (c_uint64, (POINTER(_Exchange), c_uint64)),
    "set_stalls": (None, (c_uint64, c_uint64, c_uint64, c_uint64)),
    "set_recording": (None, (c_int,)),
    "tap_count": (c_uint64, ()),
    "tap_rows": (c_void_p, ()),
    "cycle": (c_uint64, ()),
    "open_trace": (c_int, (c_char_p,)),
    "close_trace": (None, ()),
}


class SimulatedDevice:
    """One instance of a model, reset and idle.

    Parameters
    ----------
    model : SimulationModel
        From ``build_model``.
    trace : Path or None
        Write a VCD file there, two time steps a cycle; needs a model built with ``trace``.
    stalls : Stalls or None
        Pauses on the streams.

    Raises
    ------
    ValueError
        If the model cannot trace.
    OSError
        If the trace file cannot be written.
    """

    def __init__(
        self,
        model: SimulationModel,
        *,
        trace: Path | None = None,
        stalls: Stalls | None = None,
    ) -> None:
        self.model = model
        self._instance = ModelInstance(model.library, "xnorflow", _SIGNATURES, "simulated device")
        self._call = self._instance.call
        if trace is not None:
            self._open_trace(Path(trace))
        self.set_stalls(stalls)
        self.reset()

    def _open_trace(self, path: Path) -> None:
        if not self.model.trace:
            raise ValueError("This model cannot trace; build it with build_model(..., trace=True)")
        if not self._call("open_trace", str(path).encode()):
            raise OSError(f"Cannot write the trace {path}")

    @property
    def cycle(self) -> int:
        """Cycles simulated since creation."""
        return int(self._call("cycle"))

    def reset(self) -> None:
        """Hold the device in reset for a few cycles."""
        self._call("reset", RESET_CYCLES)

    def read_register(self, index: int) -> int:
        """A 32-bit register; takes one cycle."""
        return int(self._call("read_register", index))

    def write_register(self, index: int, value: int) -> None:
        """Write a 32-bit register; takes one cycle."""
        self._call("write_register", index, value)

    def set_stalls(self, stalls: Stalls | None) -> None:
        """Choose the pauses of the next exchanges."""
        stalls = stalls or Stalls(0)
        rates = (int(p * 2**32) for p in (stalls.config, stalls.pixels, stalls.results))
        self._call("set_stalls", stalls.seed % 2**64, *rates)

    def exchange(
        self,
        *,
        config: npt.NDArray[np.uint32] | None = None,
        pixels: npt.NDArray[np.uint8] | None = None,
        n_results: int = 0,
        max_cycles: int,
        keep_going: Callable[[], bool] = lambda: True,
    ) -> Moved:
        """Send configuration words and pixel bytes and take result words, all at once.

        It ends when everything has moved, when ``max_cycles`` have passed, when a result word is
        wrongly marked (or not marked) as the last, or when ``keep_going()``, asked about ten
        times a second, returns False.
        """
        words = np.ascontiguousarray(config if config is not None else (), np.uint32)
        values = np.ascontiguousarray(pixels if pixels is not None else (), np.uint8)
        results = np.zeros(n_results, np.int32)
        state = _Exchange(
            config=words.ctypes.data,
            config_count=words.size,
            pixels=values.ctypes.data,
            pixel_count=values.size,
            results=results.ctypes.data,
            result_count=n_results,
            first_last=_NEVER,
        )
        cycles = self._run(state, max_cycles, keep_going)
        taken = int(state.results_taken)
        last = None if state.first_last == _NEVER else int(state.first_last)
        everything = (words.size, values.size, n_results)
        return Moved(
            config=int(state.config_sent),
            pixels=int(state.pixels_sent),
            results=results[:taken],
            first_last=last,
            complete=(state.config_sent, state.pixels_sent, taken) == everything
            and last == (n_results - 1 if n_results else None),
            cycles=cycles,
        )

    def _run(self, state: _Exchange, max_cycles: int, keep_going: Callable[[], bool]) -> int:
        """Call the model in chunks, so that the interpreter stays responsive."""
        done, chunk = 0, CHUNK_CYCLES
        while done < max_cycles:
            step = min(chunk, max_cycles - done)
            start = time.perf_counter()
            ran = int(self._call("exchange", ctypes.byref(state), step))
            elapsed = time.perf_counter() - start
            done += ran
            if ran < step or not keep_going():
                break
            chunk = max(1, min(4 * chunk, int(ran * CHUNK_SECONDS / max(elapsed, 1e-9))))
        return done

    def start_recording(self) -> None:
        """Record every write into the activation banks from here on."""
        self._call("set_recording", 1)

    def take_record(self) -> npt.NDArray[Any]:
        """Stop recording; the rows, in order, as ``TAP_DTYPE``."""
        count = int(self._call("tap_count"))
        address = self._call("tap_rows")
        record = np.empty(count, TAP_DTYPE)
        if count:
            ctypes.memmove(record.ctypes.data, address, record.nbytes)
        self._call("set_recording", 0)
        return record

    def close(self) -> None:
        """Free the model and complete its trace; a second call does nothing."""
        self._instance.close()
